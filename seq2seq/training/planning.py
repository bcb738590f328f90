"""Plan a complete recipe for your own sentence pairs, from the amount of text and the training time.

With little text a model must be kept from overfitting; with much text it must be large enough to learn it. Most choices
are rows of `PLAN`, interpolated by the amount of text; `docs/your-own-pairs.md` has the measurements behind them.
"""

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from seq2seq.config import CorpusConfig, TranslationConfig, override_config, validate_config
from seq2seq.config.corpus import ValidConfig
from seq2seq.config.data import DataConfig
from seq2seq.config.overrides import override_values
from seq2seq.config.section import MAX_INTEGER
from seq2seq.corpora import open_corpus
from seq2seq.corpora.survey import CorpusSurvey, DetectedPairs, survey_corpus
from seq2seq.errors import ConfigError, CorpusError, EvaluationError
from seq2seq.evaluation.tokenizers import DEFAULT_TOKENIZER, bleu_tokenizer
from seq2seq.plurals import pluralize

Overrides = Sequence[str] | Mapping[str, Any]  # as in `load_config`

# Characters of the longer side: some 100, 800, 5,000, 30,000 and 300,000 sentences, and 3 and 30 million.
CHARACTERS = 6e3, 5e4, 3e5, 2e6, 2e7, 2e8, 2e9
PLAN = {
    # Width grows with the amount of text.
    "units": (192, 256, 256, 384, 512, 768, 1024),
    # Shorter pieces for less text, which has fewer examples of each (Sennrich and Zhang 2019); in addition, one piece
    # per character, of which Chinese has thousands.
    "pieces": (120, 450, 1700, 6000, 12000, 20000, 32000),
    # Small batches give more updates on little text, and noisier ones, which regularises (ibid.).
    "batch_tokens": (200, 300, 500, 1000, 1000, 2000, 4000),
    # Higher for low resources (ibid.). Additional word dropout did not help, see the measurements.
    "dropout": (0.4, 0.4, 0.35, 0.3, 0.2, 0.1, 0.1),
    # Fewer passes over more text.
    "epochs": (40, 30, 30, 12, 8, 4, 2),
}
# One vocabulary for both languages if the source alphabet has most letters of the target text: names and numbers can
# then be copied, and one embedding table is learnt from both sides (Press and Wolf 2017).
JOINT_SHARE = 0.8
# High, so that little text is learnt in few epochs, and lower for wide models; warmup, a short memory of squared
# gradients and the decay to almost zero at the end of the run make it safe (Popel and Bojar 2018). There is no early
# stopping: it would end a run before the decay, in which translations improve most.
LEARNING_RATE, FINAL_SHARE, BETA_2 = 4e-3, 0.01, 0.98
CONDITIONAL = {"type": "cgru", "attention": "additive", "bridge": "mean"}  # as in Nematus (Sennrich et al. 2017)
BASE_UNITS = 384  # wider models have a lower learning rate
WARMUP_SHARE, MIN_WARMUP, MAX_WARMUP = 0.1, 20, 200  # share of the updates; limits in updates
# Assumptions for the model size: characters of one side that a CPU core processes per minute, and the number of passes
# that a model needs unless it has fewer epochs. The measured speed decides the number of updates, see
# `training.minutes`.
CHARACTERS_PER_MINUTE, CHARACTERS_PER_TOKEN, WANTED_PASSES = 600_000, 4, 10
# Held out: about 12 of 100 pairs, 50 of 800, 150 of 5,000, 500 of 29,000.
HELD_OUT, HELD_OUT_EXPONENT, MAX_HELD_OUT = 0.6, 0.65, 2_000
MAX_INTERVAL = 2_000  # updates between validations, if an epoch has more
WORDS_PER_CHARACTER = 1 / 15  # minimum of text with spaces between words


def plan_held_out(survey: CorpusSurvey) -> ValidConfig:
    """The number of pairs to hold out for validation: a share that falls with the size of the corpus, at most 2,000."""
    wanted = min(HELD_OUT * survey.pairs**HELD_OUT_EXPONENT, MAX_HELD_OUT)
    return ValidConfig(pairs=max(round(wanted), 1))


def plan_training(
    found: DetectedPairs, minutes: float | None = None, valid: ValidConfig | None = None, overrides: Overrides = ()
) -> tuple[TranslationConfig, CorpusSurvey]:
    """Read detected pairs and plan a recipe for them; `valid` is by default the result of `plan_held_out`.

    Raises:
        CorpusError: See `survey_corpus`; or there are too few pairs to train on and to hold out.
        ConfigError: `minutes` is out of range; or an override is wrong, or names other pairs to train on.
    """
    _refuse_other_pairs(found.corpus, overrides)
    if minutes is not None and not 0.0 < minutes < math.inf:  # refused before the text is read
        raise ConfigError(f"'minutes': found {minutes:g}, expected a number of minutes above 0.")
    survey = survey_corpus(open_corpus(found.corpus))
    valid = valid or plan_held_out(survey)
    if survey.pairs < (2 if valid.held_out else 1):
        more = ", to train on one and to hold out another" if valid.held_out else " to train on"
        raise CorpusError(
            f"{found.corpus.name()}: expected pairs{more}, found {pluralize(survey.pairs, 'pair')}"
            f"{f' (left out: {survey.dropped})' if survey.dropped else ''}. Give more text, or check the columns."
        )
    data = DataConfig(
        train=found.corpus,
        valid=valid,
        source_language=found.source_language,
        target_language=found.target_language,
    )
    return plan_recipe(data, survey, minutes, overrides), survey


def _refuse_other_pairs(corpus: CorpusConfig, overrides: Overrides) -> None:
    """Refuse overrides of `data.train`: the plan is for the pairs that were read."""
    for key in override_values(overrides):
        if key in ("data", "data.train") or key.startswith("data.train."):
            raise ConfigError(
                f"'{key}': the recipe is planned for the pairs of {corpus.name()}. To plan for other pairs, give their "
                "file instead: seq2seq train OTHER.tsv (--columns I,J chooses columns). To train on other pairs with "
                "this plan, store it with --dump-config, and set the key in that recipe."
            )


def plan_recipe(
    data: DataConfig, survey: CorpusSurvey, minutes: float | None = None, overrides: Overrides = ()
) -> TranslationConfig:
    """Choose a complete recipe from nothing but the amounts of text and time: the same pairs give the same recipe.

    The network is that of `multi30k-en-de-small`: a bidirectional GRU encoder, and a conditional GRU decoder with
    additive attention.

    Args:
        data: The corpora; `valid` may come from `plan_held_out`.
        survey: Survey of `data.train` by `survey_corpus`.
        minutes: Planned duration of training; by default it depends on the amount of text.
        overrides: Keys to override, as by `--set`. Settings that are planned from such a key follow its value: the
            width of the decoder, the embeddings and the learning rate follow `encoder.units`.

    Raises:
        ConfigError: An override is wrong.
    """
    given = override_values(overrides)

    def chosen(key: str, planned: Any) -> Any:
        """The value of an override or, if it is invalid, the planned one: the schema will refuse the override."""
        value = given.get(key, planned)
        if isinstance(planned, bool):
            return value if isinstance(value, bool) else planned
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        fits = is_number and 0 < value <= MAX_INTEGER and not (isinstance(planned, int) and value % 1)
        return value if fits else planned

    minutes = chosen("training.minutes", None if minutes is None else float(minutes))
    text = max(survey.source_characters, survey.target_characters, 1)
    readable = math.inf if minutes is None else max(minutes, 0.0) * CHARACTERS_PER_MINUTE  # < 0 is refused later
    epochs = chosen("training.epochs", int(_round(_at(text, "epochs"), 1)))
    passes = min(epochs, readable / text)
    hurry = min(1.0, readable / (min(WANTED_PASSES, epochs) * text))  # the share of the text that can be learnt well

    planned_units = int(_round(_at(hurry * text, "units"), 32))
    units = chosen("encoder.units", chosen("decoder.units", planned_units))
    joint = chosen("tokenizer.joint", survey.shared_characters >= JOINT_SHARE)
    alphabets = survey.source_alphabet, survey.target_alphabet
    pieces = _at(hurry * text, "pieces") + (sum(alphabets) if joint else max(alphabets))
    longest = chosen("data.filters.max_tokens", data.filters.max_tokens)
    batch_tokens = chosen("batching.max_tokens", int(_round(_at(hurry * text, "batch_tokens"), 100)))
    dropout = _round(_at(text, "dropout") * math.sqrt(passes / epochs), 0.05)  # few passes overfit less
    epoch_updates = text / CHARACTERS_PER_TOKEN / batch_tokens
    planned_rate = float(f"{LEARNING_RATE * min(1.0, BASE_UNITS / units):.2g}")
    learning_rate = chosen("training.learning_rate", planned_rate)
    measures_bleu = chosen("validation.compute_bleu", True)
    language = given.get("data.target_language", data.target_language)
    # Without attention, nothing reads the outputs to which the dropout of a single layer applies.
    attends = given.get("decoder.attention") != "none"
    is_read = attends or given.get("decoder.bridge") in ("mean", "max")
    values = {
        "data": data.model_dump(),
        "tokenizer": {
            "joint": joint,
            "vocabulary_size": int(_round(pieces, 10 ** max(int(math.log10(pieces)) - 1, 1))),
            "split_digits": True,  # so that unseen numbers can be copied
        },
        "batching": {"max_tokens": max(batch_tokens, longest)},
        "embeddings": {"size": units, "tied": "all" if joint else "target", "dropout": dropout},
        "encoder": {"units": units, "dropout": dropout if is_read else 0.0},
        "decoder": {"units": units, "dropout": dropout} | (CONDITIONAL if attends else {}),
        "training": {
            "learning_rate": learning_rate,
            "beta_2": BETA_2,
            "schedule": {
                "type": "cosine",
                "warmup_updates": int(min(max(WARMUP_SHARE * passes * epoch_updates, MIN_WARMUP), MAX_WARMUP)),
                "min_learning_rate": FINAL_SHARE * learning_rate,
            },
            "epochs": epochs,
            "minutes": minutes,
        },
        "validation": {
            "interval_updates": MAX_INTERVAL if epoch_updates > MAX_INTERVAL else None,
            "metric": "bleu" if measures_bleu and _bleu_finds_words(language, survey) else "loss",
        },
    }
    config = validate_config(values, "the planned recipe")
    assert isinstance(config, TranslationConfig)
    return override_recipe(config, overrides)


def override_recipe(config: TranslationConfig, overrides: Overrides) -> TranslationConfig:
    """The recipe with some keys overridden, as by `--set`, and checked."""
    changed = override_config(config, overrides, "the planned recipe")
    assert isinstance(changed, TranslationConfig)
    return changed


def describe_recipe(config: TranslationConfig) -> str:
    """Describe the main choices of a recipe in one line."""
    training, tokenizer = config.training, config.tokenizer
    length = [pluralize(training.epochs, "epoch")] if training.epochs else []
    if training.updates:  # they take precedence over minutes
        length.append(pluralize(training.updates, "update"))
    elif training.minutes:
        length.append(pluralize(training.minutes, "minute"))
    at_most = "at most " * (len(length) > 1 or (bool(length) and config.validation.patience is not None))
    batch, teachers = config.batching.max_tokens, config.teachers.count
    several = f" for each of {pluralize(teachers, 'teacher')} and the student" if teachers and length else ""
    return (
        f"{'joint vocabulary' if tokenizer.joint else 'two vocabularies'} of {tokenizer.vocabulary_size:,}, "
        f"{config.encoder.units} units, dropout {config.encoder.dropout:g}, "
        f"batches {f'of {batch:,} tokens' if batch else 'as suits the device'}, "
        f"learning rate {training.learning_rate:g}, {at_most}{' or '.join(length)}{several}"
    )


def _at(characters: float, choice: str) -> float:
    """A row of `PLAN` at an amount of text, interpolated by its logarithm."""
    return float(np.interp(math.log(max(characters, 1.0)), np.log(CHARACTERS), PLAN[choice]))


def _round(value: float, step: float) -> float:
    """Round to a multiple of a step, without floating-point noise."""
    return round(round(value / step) * step, 6)


def _bleu_finds_words(language: Any, survey: CorpusSurvey) -> bool:
    """Whether BLEU is a suitable validation metric: it must be able to separate the words of the target text.

    Even on a dozen sentences it is a better one than the loss, which is lowest long before translations are best.
    """
    if survey.target_words >= WORDS_PER_CHARACTER * survey.target_characters:
        return True
    if isinstance(language, str):
        with suppress(EvaluationError):  # an unknown language, which the schema refuses
            return bleu_tokenizer(language) != DEFAULT_TOKENIZER
    return False
