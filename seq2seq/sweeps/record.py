"""The record of a sweep: one file with everything that it ran, to which each event appends a line."""

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from seq2seq.errors import ModelDirectoryError
from seq2seq.storage.files import check_regular_file, wrap_storage_errors

RECORD = "sweep.jsonl"
State = Literal["planned", "running", "interrupted", "failed", "done"]


@dataclass(frozen=True)
class RunRecord:
    """State and results of a run.

    Attributes:
        name: Name of the run's folder in that of the sweep.
        overrides: Overrides of the recipe, without the seed.
        seed: Random seed.
        commands: Commands that make its results, for a shell: that which trains it and, of a translator, those which
            translate and score the validation corpus and, if asked, the test corpus. The scores are computed in the
            sweep's own process; `seq2seq evaluate` and `seq2seq compare` print the same ones.
        training_text: Checksum of the training corpora.
        state: `planned`, `running`, `interrupted`, `failed` or `done`.
        error: Why it failed.
        environment: Where it was trained last: `versions` of Python and packages, `system`, `cpu`, its usable `cores`,
            and the working `directory`, in which the commands are run.
        recipe: File of the resolved recipe, in the folder of the sweep; None until training ends or is interrupted.
        recipe_sha256: Its checksum.
        parameters: Number of parameters.
        cpu_minutes: CPU time of training in minutes, user and system, over all sessions.
        validation: `loss` of the delivered model, in nats per token, and, of a translator, `BLEU`, of the validation
            corpus translated with the recipe's search options, and its `BLEU_signature`.
        test: Scores of the test corpus, each with a signature: `BLEU`, `BLEU_lowercased` and `chrF2`; and, unless the
            run is of the first setting, the difference of its BLEU from that of the run of the first setting with the
            same seed, `BLEU_difference`, with `p_bootstrap` and `p_randomization`.
    """

    name: str
    overrides: tuple[str, ...]
    seed: int
    commands: tuple[str, ...]
    training_text: str
    state: State = "planned"
    error: str | None = None
    environment: dict[str, Any] = field(default_factory=dict)
    recipe: str | None = None
    recipe_sha256: str | None = None
    parameters: int | None = None
    cpu_minutes: float | None = None
    validation: dict[str, Any] = field(default_factory=dict)
    test: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.state not in get_args(State):
            raise ValueError(f"unknown state {self.state!r}")


class SweepRecord:
    """The file `sweep.jsonl` of a sweep; the last line of a run counts.

    Args:
        folder: Folder of the sweep.

    Raises:
        ModelDirectoryError: A line is damaged; a half-written last line is ignored.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / RECORD
        self.runs: dict[str, RunRecord] = {}  # by name, in the order in which they were planned
        if os.path.lexists(self.path):
            *lines, _ = check_regular_file(self.path).read_bytes().split(b"\n")
            for number, line in enumerate(lines, start=1):
                try:
                    values = json.loads(line)
                    lists = {name: tuple(values[name]) for name in ("overrides", "commands")}
                    run = RunRecord(**values | lists)
                except (ValueError, KeyError, TypeError) as error:
                    raise ModelDirectoryError(
                        f"{self.path}:{number}: damaged: {error}. Delete this line; its run is then checked again."
                    ) from None
                self.runs[run.name] = run

    def append(self, run: RunRecord) -> None:
        """Add a line to the file, in one write that is on the disk when this returns.

        Raises:
            StorageError: It cannot be written.
        """
        line = json.dumps(asdict(run), ensure_ascii=False).encode() + b"\n"
        with wrap_storage_errors(self.path), self.path.open("a+b") as file:
            file.seek(0)
            complete = file.read().rfind(b"\n") + 1
            file.truncate(complete)  # a line that was half-written when the machine stopped
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
        self.runs[run.name] = run
