"""What a model must beat to have learnt anything: token frequencies alone."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from seq2seq.config import TrainingConfig
from seq2seq.data.encoded import EncodedCorpus
from seq2seq.data.mixture import EncodedMixture

MIN_GAIN = 0.1  # nats per target token below the frequencies, for a model that has learnt something
MAX_COUNTED_TOKENS = 10_000_000  # tokens of each training corpus, enough for frequencies
FINAL_NO_GAIN_WARNING = (
    "warning: no validation was clearly better than token frequencies: this model has learnt next to nothing, and what "
    "it writes means nothing"
)


def frequency_loss(train: EncodedMixture, valid: EncodedCorpus, vocabulary_size: int) -> float:
    """The loss of a model that predicts every target token by its frequency in the training corpora.

    Frequencies are counted on at most `MAX_COUNTED_TOKENS` tokens of each corpus, EOS included, weighted by the
    corpora's shares of an epoch, with one more for each token of the vocabulary (Laplace smoothing).

    Returns:
        Mean negative log-likelihood per target token of the validation corpus, in nats.
    """
    counts = np.ones(vocabulary_size)
    for part, sentences in zip(train.parts, train.counts, strict=True):
        tokens = part.target.tokens[:MAX_COUNTED_TOKENS]
        share = sentences / len(part) * len(part.target.tokens) / len(tokens)
        counts += np.bincount(tokens, minlength=vocabulary_size) * share
    nll = np.log(counts.sum()) - np.log(counts)
    found = np.bincount(valid.target.tokens, minlength=vocabulary_size)
    return float((found * nll).sum() / found.sum())


def should_warn(entry: Mapping[str, Any], before: int, config: TrainingConfig) -> bool:
    """Whether to say that a validation shows no gain: the first one, and the first one after the warmup.

    Args:
        entry: Its line of the history.
        before: The update of the validation before it; 0: there was none.
        config: For the warmup.
    """
    return not before or before < config.schedule.warmup_updates <= entry["update"]


def no_gain_warning(entry: Mapping[str, Any], baseline_loss: float, uniform_loss: float, config: TrainingConfig) -> str:
    """What to say of a validation that shows no gain over token frequencies, and what to change.

    Args:
        entry: Its line of the history.
        baseline_loss: The loss of token frequencies, nats per token.
        uniform_loss: The loss of a model that holds all tokens for equally likely.
        config: For the learning rate and its warmup.
    """
    loss, warmup = entry["valid_loss"], config.schedule.warmup_updates
    how = "no" if loss >= baseline_loss else "hardly"
    if entry["update"] < warmup:
        remedy = f"The learning rate is still rising, until update {warmup:,}: train for longer than that"
    elif abs(loss - uniform_loss) < (uniform_loss - baseline_loss) / 2:  # initial weights are a little above a guess
        remedy = (
            f"It is still near a guess ({uniform_loss:.2f}): train for longer, or with a higher "
            "training.learning_rate (it "
            f"is {config.learning_rate:g})"
        )
    else:
        remedy = (
            f"If the next validation is no better either, start again with a lower training.learning_rate (it is "
            f"{config.learning_rate:g}) or a longer warmup (it is {warmup:,} updates): "
            f"--set training.schedule.warmup_updates={max(300, 2 * warmup)}"
        )
    return (
        f"warning: after update {entry['update']:,} the model predicts {how} better than token frequencies, so it is "
        f"not called best: {loss:.2f} nats per token, and frequencies alone have {baseline_loss:.2f}. {remedy}"
    )


def short_run_warning(updates: int, config: TrainingConfig) -> str:
    """What to say before a run of so many updates that ends within its warmup; "" of any other."""
    warmup = config.schedule.warmup_updates
    if updates > warmup:
        return ""
    return (
        f"warning: this run has {updates:,} updates, and its learning rate rises until update {warmup:,}. Raise "
        f"training.epochs, or lower training.schedule.warmup_updates"
    )
