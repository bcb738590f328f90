"""Load the teachers of a run with word-level distillation."""

from seq2seq.config import Config, LanguageModelConfig, Precision
from seq2seq.data.tokenizer import Tokenizers
from seq2seq.errors import ConfigError
from seq2seq.model_directory.directory import load_tokenizers
from seq2seq.model_directory.model import load_language_model, load_model
from seq2seq.model_directory.other_models import DISTILLATION_TEACHERS, find_distillation_teacher
from seq2seq.models.distillation import Distillation


def load_distillation(config: Config, tokenizers: Tokenizers, precision: Precision) -> Distillation | None:
    """The teachers of `training.distillation`; None if there are none. Call it in the scope of the run's strategy.

    Args:
        config: The recipe.
        tokenizers: Tokenizers of the run.
        precision: Precision of the run, in which teachers compute, too.

    Raises:
        ConfigError: A tokenizer of a teacher is not this run's, by its fingerprint.
        ModelDirectoryError: A directory is incomplete or damaged, or has a model of another task.
    """
    options, teachers = config.training.distillation, []
    for name in options.teachers:
        folder = find_distillation_teacher(config, name)
        stored = load_tokenizers(folder)
        for side in config.sides:
            theirs, ours = getattr(stored, side).fingerprint()[:8], getattr(tokenizers, side).fingerprint()[:8]
            if theirs != ours:
                raise ConfigError(
                    f"{DISTILLATION_TEACHERS}: the {side} tokenizer of {folder} (SHA-256 {theirs}) is not that "
                    f"of this run ({ours}), and a teacher predicts the student's tokens. Set 'tokenizer.from_model: "
                    f"{name}', or leave this teacher out."
                )
        load = load_language_model if isinstance(config, LanguageModelConfig) else load_model
        teachers.append(load(folder, precision)[0])
    return Distillation(teachers, options.weight, options.temperature) if teachers else None
