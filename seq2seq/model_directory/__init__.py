"""A trained model on disk."""

from pathlib import Path
from typing import Literal

WeightsDtype = Literal["float32", "float16"]  # of the stored weights; they are read as float32
# Next to the checkpoints, which are not part of the delivered model.
LOCK_FILE = "checkpoints/train.lock"
LAST = "checkpoints/last.safetensors"  # a run that has it resumes
# Folders of the runs that are trained before that of the model; `NAME.yaml` beside one is the complete recipe.
STAGES = "stages"  # all stages but the last one
TEACHERS = "teachers"


def recorded_in(recipe: Path) -> Path | None:
    """The model directory whose run has written this recipe; None for any other recipe."""
    folder, name = recipe.parent, recipe.stem
    has_parts = name in (STAGES, TEACHERS) and ((folder / name).is_dir() or (folder / "config.yaml").exists())
    return folder if recipe.name == "config.yaml" or (has_parts and recipe.suffix == ".yaml") else None


def whole_recipe(directory: Path) -> Path | None:
    """The complete recipe of the run that this directory of a stage or a teacher belongs to; None for any other run."""
    folder = directory.parent
    recipe = folder.parent / f"{folder.name}.yaml"
    return recipe if folder.name in (STAGES, TEACHERS) and recipe.exists() else None
