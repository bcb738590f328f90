"""Parts of a run, each of which is a run of its own: its stages, or its teachers and the student."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from seq2seq.config import Config, dump_config
from seq2seq.corpora import open_corpus
from seq2seq.errors import CorpusError, ModelDirectoryError, TrainingError
from seq2seq.model_directory import STAGES, TEACHERS
from seq2seq.model_directory.directory import CONFIG
from seq2seq.model_directory.other_models import check_other_models
from seq2seq.storage.files import atomic_write
from seq2seq.training.display import Display
from seq2seq.training.report import TrainingReport
from seq2seq.training.run_state import resume_command


class PartRun(NamedTuple):
    """The run of a part of a recipe: of a stage, or of a teacher.

    Attributes:
        name: Name of the part in messages.
        directory: Its model directory: that of the whole run for the last stage, `stages/N` or `teachers/N` in it for
            the others.
        config: Its recipe, without stages and teachers.
        is_done: Whether it is not trained again: a later part has begun, or, for a teacher, the text is translated.
        changed: Keys in which the recipe of a part that is done has changed, to no effect.
    """

    name: str
    directory: Path
    config: Config
    is_done: bool
    changed: list[str]


def refuse_other_parts(directory: Path, kind: str = "", count: int = 0) -> None:
    """Refuse to train where parts have begun that the recipe does not have.

    Args:
        directory: The model directory.
        kind: Folder of the parts of the recipe: `STAGES`, `TEACHERS` or "".
        count: Number of these parts.

    Raises:
        TrainingError: Such a part has begun.
    """
    for name in (STAGES, TEACHERS):
        first = count + 1 if name == kind else 1
        if (directory / name / str(first) / CONFIG).exists():
            raise TrainingError(
                f"{directory}: has a run with {name} that has begun, but this recipe has "
                f"{'fewer' if first > 1 else 'none'}. To resume that run: "
                f"{resume_command(directory / name / '1')}. To start a new run, give another --output."
            )


def record_recipe(config: Config, file: Path) -> None:
    """Write the complete recipe of several runs into their directory, which is made if it does not exist."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(file) as partial:
        partial.write_text(dump_config(config), encoding="utf-8")


def check_files(config: Config, label: str, before: Collection[Path] = ()) -> None:
    """Check that the corpora and models of a part exist, so that no missing file is found after days of training.

    Args:
        config: Recipe of the part.
        label: Name of the part in errors.
        before: Directories of the parts before it, whose models need not exist yet.

    Raises:
        CorpusError, ModelDirectoryError: One of them is missing.
    """
    data = config.corpora
    try:
        for corpus in (data.train, None if data.valid.held_out else data.valid, data.test):
            if corpus is not None:
                open_corpus(corpus, config.sides)
        check_other_models(config, before)
    except (CorpusError, ModelDirectoryError) as error:
        raise type(error)(f"{label}: {error}") from None


def train_parts(
    runs: Sequence[PartRun], train_part: Callable[[Config, Path], TrainingReport], display: Display, is_whole: bool
) -> TrainingReport | None:
    """Train the runs that are not done, until one is interrupted; returns the report of the last one, if any.

    `is_whole`: no further part follows these. A run that was asked to stop when it was ending anyway is reported as
    interrupted if another part follows.
    """
    report = None
    for run in runs:
        if run.changed:
            name, keys = run.name.partition(" of ")[0], ", ".join(run.changed)
            display.print(f"warning: {name} is finished, and keeps its model; changed to no effect: {keys}")
        if not run.is_done:
            display.print(f"{run.name}: {run.directory}")
            report = train_part(run.config, run.directory)
            if report.end is None:
                break
            if report.stopped and not (is_whole and run is runs[-1]):
                display.print(f"stopped before the next part. Resume with: {resume_command(run.directory)}")
                return replace(report, end=None)
    return report
