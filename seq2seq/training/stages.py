"""Runs of a recipe with stages: each stage is a run of its own, which starts from the model of the one before."""

from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from seq2seq.config import Config, dump_config, stage_recipe
from seq2seq.corpora import open_corpus
from seq2seq.errors import CorpusError, ModelDirectoryError, TrainingError
from seq2seq.model_directory import LAST, STAGES, TEACHERS
from seq2seq.model_directory.directory import CONFIG, load_model_config
from seq2seq.model_directory.other_models import check_other_models
from seq2seq.storage.files import atomic_write
from seq2seq.training.checkpoints import check_finished, check_recipe, refuse_model_without_checkpoint
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


def stage_runs(config: Config, directory: Path, allow_changes: bool = False) -> list[PartRun]:
    """The runs of all stages of a recipe, in order; the recipe is written to `stages.yaml`.

    Raises:
        TrainingError: The directory has a run without stages, or a stage that has begun with a different recipe.
        CorpusError, ModelDirectoryError: A file or a model is missing of a stage that has not begun.
    """
    count = len(config.stages)
    folders = [*(directory / STAGES / str(number) for number in range(1, count)), directory]
    has_begun = [(folder / CONFIG).exists() for folder in folders]
    if has_begun[-1] and not all(has_begun):
        raise TrainingError(f"{directory}: has a run without stages, or with fewer of them. Give another --output.")
    refuse_model_without_checkpoint(directory)
    refuse_other_parts(directory, STAGES, count - 1)
    runs = []
    for number, folder in enumerate(folders):
        before = None if number == 0 else folders[number - 1]
        if before is not None and (folder / LAST).exists():  # where it was then, if the directory has been moved since
            before = Path(load_model_config(folder).training.warm_start or before)
        stage = stage_recipe(config, number, before)
        is_done = any(has_begun[number + 1 :])
        if not has_begun[number]:
            check_files(stage, f"{STAGES}.{number}", folders[:number])
        changed = check_finished(folder, stage, allow_changes) if is_done else []
        if not is_done and (folder / LAST).exists():  # now, before `stages.yaml` is written
            check_recipe(folder, stage, allow_changes)
        runs.append(PartRun(f"stage {number + 1} of {count}", folder, stage, is_done, changed))
    record_recipe(config, directory / f"{STAGES}.yaml")
    return runs


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
