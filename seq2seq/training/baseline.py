"""What a model must beat to have learnt anything: token frequencies alone."""

import numpy as np

from seq2seq.encoding import EncodedCorpus
from seq2seq.mixture import EncodedMixture

LEAST_GAIN = 0.1  # nats per target token below the frequencies, for a model that has learnt something
COUNTED = 10_000_000  # tokens of each training corpus, enough for frequencies


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
        counts += np.bincount(tokens, minlength=vocabulary_size) * (sentences / len(part))
    nll = np.log(counts.sum()) - np.log(counts)
    found = np.bincount(valid.target.tokens, minlength=vocabulary_size)
    return float((found * nll).sum() / found.sum())
