"""The models that a recipe names: from which a run starts, whose tokenizers it takes, and which teach it."""

import os
from collections.abc import Collection
from pathlib import Path

from seq2seq.config import Config
from seq2seq.model_directory.directory import read_metadata
from seq2seq.model_directory.pretrained import find_other_model


def check_other_models(config: Config, made_before: Collection[Path] = ()) -> None:
    """Check that the models exist that a recipe names.

    Args:
        config: The recipe.
        made_before: Directories that need not exist yet, since their models are trained before this run.

    Raises:
        CorpusError: An environment variable in a path is not set.
        ModelDirectoryError: A folder does not exist.
    """
    training, expected = config.training, {os.path.realpath(folder) for folder in made_before}
    for model in (training.warm_start, config.tokenizer.from_model, *training.distillation.teachers):
        if model is None:
            continue
        folder = find_other_model(model)
        if not folder.is_dir() and os.path.realpath(folder) not in expected:
            read_metadata(folder)  # which raises
