"""The models that a recipe names: from which a run starts, whose tokenizers it takes, and which teach it."""

import os
from collections.abc import Collection
from pathlib import Path

from seq2seq.config import Config
from seq2seq.errors import ModelDirectoryError
from seq2seq.model_directory.directory import load_recipe, read_metadata
from seq2seq.model_directory.pretrained import find_other_model

DISTILLATION_TEACHERS = "training.distillation.teachers"


def check_other_models(config: Config, made_before: Collection[Path] = (), *, resumes: bool = False) -> None:
    """Check that the models exist that a recipe names, and that teachers have its task.

    Args:
        config: The recipe.
        made_before: Directories that need not exist yet, since their models are trained before this run.
        resumes: Whether the run resumes: it then has copies of weights and tokenizers, but not of its teachers.

    Raises:
        CorpusError: An environment variable in a path is not set.
        ModelDirectoryError: A folder does not exist; or see `find_distillation_teacher`.
    """
    training, expected = config.training, {os.path.realpath(folder) for folder in made_before}
    copied = {"training.warm_start": training.warm_start, "tokenizer.from_model": config.tokenizer.from_model}
    for key, model in copied.items():
        if model is None or resumes:
            continue
        folder = find_other_model(model)
        if not folder.is_dir() and os.path.realpath(folder) not in expected:
            try:
                read_metadata(folder)
            except ModelDirectoryError as error:
                raise ModelDirectoryError(f"{key}: {error}") from None
    for model in training.distillation.teachers:
        if os.path.realpath(find_other_model(model)) not in expected:
            find_distillation_teacher(config, model)


def find_distillation_teacher(config: Config, model: str) -> Path:
    """The directory of a teacher.

    Raises:
        CorpusError: An environment variable in the path is not set.
        ModelDirectoryError: There is no model, or it has another task than the recipe.
    """
    folder = find_other_model(model)
    try:
        load_recipe(folder, type(config))
    except ModelDirectoryError as error:
        raise ModelDirectoryError(f"{DISTILLATION_TEACHERS}: {error}") from None
    return folder
