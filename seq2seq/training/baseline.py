"""What a model must beat to have learnt anything: token frequencies alone."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from seq2seq.config import TrainingConfig
from seq2seq.encoding import EncodedCorpus
from seq2seq.mixture import EncodedMixture

LEAST_GAIN = 0.1  # nats per target token below the frequencies, for a model that has learnt something
COUNTED = 10_000_000  # tokens of each training corpus, enough for frequencies
WARNING_AT_THE_END = (
    "warning: no validation was clearly better than token frequencies: this model has learnt next to nothing, and what "
    "it writes means nothing. Train again with a lower training.learning_rate or a longer training.schedule.warmup, or "
    "for longer."
)


def frequency_loss(train: EncodedMixture, valid: EncodedCorpus, vocabulary_size: int) -> float:
    """The loss of a model that predicts every target token by its frequency in the training corpora.

    Frequencies are counted on at most `COUNTED` tokens of each corpus, EOS included, weighted by the corpora's shares
    of an epoch, with one more for each token of the vocabulary (Laplace smoothing).

    Returns:
        Mean negative log-likelihood per target token of the validation corpus, in nats.
    """
    counts = np.ones(vocabulary_size)
    for part, sentences in zip(train.parts, train.counts, strict=True):
        tokens = part.target.tokens[:COUNTED]
        share = sentences / len(part) * len(part.target.tokens) / len(tokens)
        counts += np.bincount(tokens, minlength=vocabulary_size) * share
    nll = np.log(counts.sum()) - np.log(counts)
    found = np.bincount(valid.target.tokens, minlength=vocabulary_size)
    return float((found * nll).sum() / found.sum())


def warning_of_no_gain(entry: Mapping[str, Any], frequencies: float, config: TrainingConfig) -> str:
    """What to say of a validation, a line of the history, that shows no gain over the loss of `frequencies`."""
    warmup = config.schedule.warmup
    if entry["update"] < warmup:
        remedy = f"The learning rate is still rising, until update {warmup:,}: look at the next validation"
    else:
        longer = max(300, 2 * warmup)
        remedy = (
            f"If the next validation is no better either, start again with a lower training.learning_rate (it is "
            f"{config.learning_rate:g}) or a longer warmup (it is {warmup:,} updates): "
            f"--set training.schedule.warmup={longer}"
        )
    how = "no" if entry["valid_loss"] >= frequencies else "hardly"
    return (
        f"warning: after update {entry['update']:,} the model predicts {how} better than token frequencies, so it is "
        f"not called best: {entry['valid_loss']:.2f} nats per token, and frequencies alone have {frequencies:.2f}. "
        f"{remedy}"
    )
