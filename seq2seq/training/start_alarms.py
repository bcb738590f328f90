"""Alarms before the first batch, about the recipe, the machine and the corpora."""

import math
from collections.abc import Mapping, Sequence

from seq2seq.config import Config, TrainingConfig
from seq2seq.config.precision import Precision
from seq2seq.plurals import pluralize
from seq2seq.training.alarms import Alarm
from seq2seq.training.corpus_checks import RARE_COUNT, Overlap, VocabularyUse, count_overlaps, vocabulary_use
from seq2seq.training.preparation import TrainingData

SLOWDOWN_ON_CPU = {"mixed_float16": 37, "mixed_bfloat16": 2}  # measured time as a multiple of that in float32
MAX_OVERLAP = 0.02  # share of the sentences of a validation or test corpus
VALIDATION, TEST = "validation", "test"
MAX_RARE_PIECES = 0.4  # share of the vocabulary


def find_overlaps(data: TrainingData) -> dict[str, Overlap]:
    """Overlap of the validation and test corpora with the training text, by `VALIDATION` and `TEST`.

    Reads the corpora.
    """
    corpora = {VALIDATION: data.valid} | ({} if data.test is None else {TEST: data.test})
    return dict(zip(corpora, count_overlaps(data.train, list(corpora.values())), strict=True))


def describe_overlaps(overlaps: Mapping[str, Overlap], data: TrainingData) -> str:
    """Describe the overlap of each corpus with the training corpora; "" if there is none."""
    found = []
    for name, overlap in overlaps.items():
        if len(data.sides) > 1 and overlap.sources:
            whole = f", with the same target {overlap.pairs:,}" if overlap.pairs else ""
            found.append(f"{overlap.sources:,} of {pluralize(overlap.total, f'{name} source')}{whole}")
        elif overlap.pairs:
            found.append(f"{overlap.pairs:,} of {pluralize(overlap.total, f'{name} {data.corpus_unit}')}")
    return "; ".join(found)


def start_alarms(
    config: Config, data: TrainingData, overlaps: Mapping[str, Overlap], precision: Precision, is_gpu: bool
) -> list[Alarm]:
    """Problems of a run before it starts. Reads the encoded corpora once."""
    options = config.tokenizer
    found = [
        precision_alarm(precision, is_gpu),
        phrasebook_alarm(config),
        *(overlap_alarm(overlap, data.sides, data.corpus_unit, name) for name, overlap in overlaps.items()),
        vocabulary_alarm(vocabulary_use(data.train, data.tokenizers))
        if options.are_trained and options.model_type != "char"
        else None,
    ]
    return [alarm for alarm in found if alarm is not None]


def short_run_alarm(updates: int, config: TrainingConfig) -> Alarm | None:
    """Alarm for a run that ends within its warmup."""
    warmup, lower = config.schedule.warmup_updates, max(updates // 10, 1)
    if updates > warmup:
        return None
    end = "epochs" if updates != config.updates else "updates" if config.minutes is None else "minutes"
    shorter = "" if lower >= warmup else f", or lower the warmup: --set training.schedule.warmup_updates={lower}"
    return Alarm(
        "short run",
        f"this run has {pluralize(updates, 'update')}, but its learning rate rises until update {warmup:,}. Raise "
        f"training.{end}{shorter}",
    )


def partial_epoch_alarm(updates: int, epoch_batches: int, config: TrainingConfig) -> Alarm | None:
    """Alarm for planned minutes that end before all training text has been read once."""
    share = updates * config.accumulation_steps / epoch_batches
    if config.minutes is None or share >= 1.0:
        return None
    return Alarm(
        "partial epoch",
        f"{pluralize(config.minutes, 'minute')} of training are too few for one pass over the text: this run ends "
        f"after {share:.0%} of it. Raise training.minutes to {math.ceil(config.minutes * 5 / share):,} for five "
        "epochs, or train on less text",
    )


def phrasebook_alarm(config: Config) -> Alarm | None:
    """Alarm for validation on the embedded phrasebook in a run with another training corpus."""
    train, valid = config.corpora.train, config.corpora.valid
    if valid.held_out or not all(part.phrasebook for part in valid.parts()):
        return None
    if any(part.phrasebook for part in train.parts()):
        return None
    return Alarm(
        "phrasebook",
        f"data.train is {train.name(config.sides)}, but data.valid is still the recipe's phrasebook (English-German): "
        "validation measures other text. Hold out a part of yours: --set data.valid='{fraction: 0.02}', or name a "
        "file: --set data.valid.tsv=FILE",
    )


def precision_alarm(precision: str, is_gpu: bool) -> Alarm | None:
    """Alarm for half precision on a device that emulates it."""
    if is_gpu or precision not in SLOWDOWN_ON_CPU:
        return None
    return Alarm(
        "precision",
        f"{precision} is for GPUs. On a CPU it saves no time: an epoch took about {SLOWDOWN_ON_CPU[precision]} times "
        "as long as in float32. Start a new run, in another directory, with --set training.precision=float32",
        of_result=False,
    )


def vocabulary_alarm(use: VocabularyUse) -> Alarm | None:
    """Alarm for a trained vocabulary of which a large part is rare in its own training text."""
    advised = max(use.size - use.rare, use.smallest)
    advised -= advised % (10 if advised < 1000 else 100) if advised > use.smallest else 0
    if use.rare <= MAX_RARE_PIECES * use.size or advised > 0.9 * use.size:
        return None
    return Alarm(
        "vocabulary",
        f"there is too little text for the vocabulary: {use.rare:,} of its {use.size:,} pieces occur fewer than "
        f"{RARE_COUNT} times in the training text, which has {use.tokens / use.size:.1f} tokens per piece. Use more "
        f"text, or start a new run, in another directory, with --set tokenizer.vocabulary_size={advised}",
    )


def overlap_alarm(overlap: Overlap, sides: Sequence[str], unit: str, name: str = VALIDATION) -> Alarm | None:
    """Alarm for training on a part of the validation or test corpus: scores are then better than on new text."""
    known = overlap.sources if len(sides) > 1 else overlap.pairs
    if known < max(1.0, MAX_OVERLAP * overlap.total):
        return None
    total = pluralize(overlap.total, f"{name} {unit}")
    what = (
        f"the source of {overlap.sources:,} of {total} is in the training corpus, and the whole pair of "
        f"{overlap.pairs:,}"
        if len(sides) > 1
        else f"{overlap.pairs:,} of {total} {'is' if overlap.pairs == 1 else 'are'} in the training corpus"
    )
    if name == TEST:
        key = "$1" if len(sides) > 1 else "$0"
        return Alarm(
            "test overlap",
            f"{what}: scores on it will be better than on new text. Remove them from the training corpus; from "
            f"tab-separated text: awk -F'\\t' 'NR == FNR {{known[{key}]; next}} !({key} in known)' TEST TRAIN > NEW",
        )
    return Alarm(
        "overlap",
        f"{what}: validation measures how well they were memorised. Remove them from one of the two, or hold out a "
        "part of the training corpus: --set data.valid='{fraction: 0.02}'",
    )
