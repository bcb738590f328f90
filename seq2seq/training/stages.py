"""Runs of a recipe with stages: each stage is a run of its own, which starts from the model of the one before."""

from pathlib import Path

from seq2seq.config import Config, stage_recipe
from seq2seq.errors import TrainingError
from seq2seq.model_directory import LAST, STAGES
from seq2seq.model_directory.directory import CONFIG, load_model_config
from seq2seq.training.checkpoints import check_finished, check_recipe, refuse_model_without_checkpoint
from seq2seq.training.parts import PartRun, check_files, record_recipe, refuse_other_parts


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
