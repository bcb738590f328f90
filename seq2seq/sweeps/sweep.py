"""A resumable queue of runs: what is planned, trained, scored on validation and, if asked, on test text."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from shlex import join
from typing import Any

from seq2seq.config import Config, TranslationConfig, changed_keys, dump_config, load_config, override_config
from seq2seq.errors import ConfigError, Seq2SeqError, TrainingError
from seq2seq.model_directory import LOCK_FILE, STAGES
from seq2seq.model_directory.directory import read_history, read_metadata
from seq2seq.storage.files import atomic_write
from seq2seq.storage.locks import file_lock, pid_file, wait_for_lock
from seq2seq.sweeps.grid import Setting
from seq2seq.sweeps.processes import explain_exit, run_process
from seq2seq.sweeps.record import RECORD, RunRecord, SweepRecord
from seq2seq.sweeps.scores import (
    TextFiles,
    all_scores,
    bleu,
    check_same_text,
    paired_test,
    test_pairs,
    write_text,
)
from seq2seq.sweeps.table import SweepTable

RECIPE, LOCK = "recipe.yaml", "sweep.lock"
EXIT_INTERRUPTED = 130  # of a command that has saved
SHOWN_SCORES = "BLEU", "loss"


def is_sweep(folder: Path) -> bool:
    """Whether a folder has a sweep."""
    return (folder / RECORD).is_file()


@dataclass
class Sweep:
    """A sweep in a folder.

    Attributes:
        folder: The folder. It has the recipe of all runs (`recipe.yaml`), the record (`sweep.jsonl`), the text on which
            the models are compared, and a model directory and a log for each run.
        recipe: The recipe, without the overrides of the settings.
        record: What has run.
        say: Function called with messages.
    """

    folder: Path
    recipe: Config
    record: SweepRecord
    say: Callable[[str], None]

    @classmethod
    def open(cls, folder: Path, say: Callable[[str], None]) -> "Sweep":
        """Read a sweep from its folder.

        Raises:
            ConfigError, ModelDirectoryError: Its recipe or its record is missing or damaged.
        """
        return cls(folder, load_config(folder / RECIPE), SweepRecord(folder), say)

    @classmethod
    def plan(
        cls,
        folder: Path,
        recipe: Config,
        settings: Sequence[Setting],
        seeds: int,
        say: Callable[[str], None],
    ) -> "Sweep":
        """Plan the runs of all settings with seeds 1 to `seeds`, and check everything that can be checked before them.

        A folder that has runs already gets those that it lacks.

        Raises:
            ConfigError: A setting is not a valid recipe, settings validate on different text, or the folder has a sweep
                of a different recipe.
            CorpusError: A corpus cannot be read.
            ModelDirectoryError: The record is damaged.
        """
        if is_sweep(folder):
            started = load_config(folder / RECIPE)
            if changed := changed_keys(started, recipe):
                raise ConfigError(
                    f"{folder}: has a sweep of a different recipe; changed: {', '.join(changed)}. "
                    "Give another --output."
                )
        configs = {setting.label: override_config(recipe, setting.overrides, setting.label) for setting in settings}
        pairs = check_same_text(configs)
        folder.mkdir(parents=True, exist_ok=True)
        if not is_sweep(folder):
            with atomic_write(folder / RECIPE) as partial:
                partial.write_text(dump_config(recipe), encoding="utf-8")
        if isinstance(recipe, TranslationConfig):
            write_text(folder, "valid", pairs)
        sweep = cls(folder, recipe, SweepRecord(folder), say)
        for seed in range(1, seeds + 1):
            for setting in settings:
                if setting.run_name(seed) not in sweep.record.runs:
                    sweep.record.append(sweep._planned(setting, seed))
        return sweep

    def _planned(self, setting: Setting, seed: int) -> RunRecord:
        run = RunRecord(setting.run_name(seed), setting.overrides, seed, "")
        return replace(run, command=join(["seq2seq", *self._train_arguments(run)]))

    def _train_arguments(self, run: RunRecord) -> list[str]:
        sets = [part for override in (*run.overrides, f"seed={run.seed}") for part in ("--set", override)]
        return ["train", str(self.folder / RECIPE), *sets, "--output", str(self.folder / run.name)]

    def run(self, settings: Sequence[Setting], seeds: int) -> int:
        """Train and score the runs that are not done: all settings with a seed, then all with the next one.

        Returns:
            The number of runs that failed, whose errors are in the record.

        Raises:
            TrainingError: Another process runs a sweep in the folder.
            KeyboardInterrupt: The sweep was interrupted; the current run has saved, and `run` resumes it.
        """
        names = [setting.run_name(seed) for seed in range(1, seeds + 1) for setting in settings]
        with self._lock():
            for number, name in enumerate(names, start=1):
                run = self.record.runs[name]
                if run.state != "done":
                    self.say(f"run {number} of {len(names)}: {name} (log: {self._log(run)})")
                    self._train(run)
        return sum(self.record.runs[name].state == "failed" for name in names)

    def test(self) -> None:
        """Translate the test corpus with the best setting and the first one, and score it; what is done is kept.

        Raises:
            ConfigError: There is no setting of which all runs are done, or no test corpus, or the model does not
                translate.
            TrainingError: A translation failed; or see `run`.
        """
        if not isinstance(self.recipe, TranslationConfig):
            raise ConfigError(f"--test: a model of `task: {self.recipe.task}` does not translate.")
        table = SweepTable(self.record.runs.values())
        if table.best is None or not table.settings[0].is_done:
            raise ConfigError(
                f"{self.folder}: --test compares the best setting with the first; neither may lack a run."
            )
        files = write_text(self.folder, "test", test_pairs(self.recipe))
        with self._lock():
            first = {run.seed: run for run in table.settings[0].runs}
            for setting in dict.fromkeys([table.settings[0].label, table.best.label]):
                for run in table.by_label[setting].runs:
                    if not run.test:
                        self._test(run, first.get(run.seed, run), files)

    def _test(self, run: RunRecord, first: RunRecord, files: TextFiles) -> None:
        hypotheses, language = self._translate(run, files, "test"), self.recipe.languages[1]
        scores = all_scores(hypotheses, files, language)
        if run.name != first.name:
            baseline = self.folder / first.name / hypotheses.name
            scores |= paired_test(hypotheses, baseline, files, language)
        self.record.append(replace(run, test=scores))

    def _train(self, run: RunRecord) -> None:
        """Train and score a run, and record how it ended."""
        lock = self.folder / run.name / LOCK_FILE
        if lock.exists():
            if pid_file(lock).exists():  # a sweep that was killed may have left a process that still trains
                self.say("waiting until no other process trains into its folder")
            with wait_for_lock(lock):
                pass
        self.record.append(replace(run, state="running", error=None))
        try:
            self._run(self._train_arguments(run), run)
            ended = replace(run, state="done", error=None, validation=self._validate(run))
        except KeyboardInterrupt:
            self.record.append(replace(run, state="interrupted", **self._facts(run)))
            raise
        except Seq2SeqError as error:
            ended = replace(run, state="failed", error=str(error))
            self.say(f"failed: {run.name}: {error}")
        self.record.append(replace(ended, **self._facts(run)))
        if ended.state == "done":
            self.say(
                ", ".join(f"{name} {value:.4g}" for name, value in ended.validation.items() if name in SHOWN_SCORES)
            )

    def _validate(self, run: RunRecord) -> dict[str, Any]:
        """The validation scores of a trained run."""
        scores = {"loss": read_metadata(self.folder / run.name)["scores"]["validation"]["valid_loss"]}
        if not isinstance(self.recipe, TranslationConfig):
            return scores
        files = TextFiles(self.folder / "valid.source", self.folder / "valid.reference")
        return bleu(self._translate(run, files, "valid"), files, self.recipe.languages[1]) | scores

    def _translate(self, run: RunRecord, files: TextFiles, name: str) -> Path:
        """Translate a text with the model of a run, into its folder."""
        folder = self.folder / run.name
        output = folder / f"{name}.hypotheses"
        self._run(["translate", str(folder), "-i", str(files.source), "-o", str(output), "--quiet"], run)
        return output

    def _run(self, arguments: Sequence[str], run: RunRecord) -> None:
        """Run a command.

        Raises:
            TrainingError: It failed.
            KeyboardInterrupt: It was interrupted.
        """
        log = self._log(run)
        begin = log.stat().st_size if log.exists() else 0
        code = run_process(arguments, log)
        if code == EXIT_INTERRUPTED:
            raise KeyboardInterrupt
        if code:
            raise TrainingError(f"{explain_exit(code, log, begin)} (log: {log})")

    def _log(self, run: RunRecord) -> Path:
        return self.folder / f"{run.name}.log"

    def _facts(self, run: RunRecord) -> dict[str, Any]:
        """The number of parameters and the CPU minutes of a run so far; none before its first validation."""
        folder, facts = self.folder / run.name, {}
        with suppress(Seq2SeqError, KeyError):
            if histories := [found for one in [*(folder / STAGES).glob("*"), folder] if (found := read_history(one))]:
                facts["cpu_minutes"] = round(sum(history[-1]["cpu_seconds"] for history in histories) / 60, 2)
            facts["parameters"] = read_metadata(folder)["parameters"]
        return facts

    def _lock(self) -> Any:
        return file_lock(
            self.folder / LOCK,
            lambda process: TrainingError(
                f"{self.folder}: process {process} runs this sweep. Wait for it or end it, or give another --output."
            ),
        )
