"""Token frequencies as the least that a model must beat."""

from types import SimpleNamespace

import numpy as np
import pytest

from seq2seq.training import corpus_checks
from seq2seq.training.corpus_checks import unigram_loss
from seq2seq.training.run_state import RunState


class Corpus:
    """As much of an encoded corpus as is counted."""

    def __init__(self, *sentences):
        self.target = SimpleNamespace(tokens=np.concatenate(sentences).astype(np.uint16))
        self.sentences = len(sentences)

    def __len__(self):
        return self.sentences


def mixture(*parts, counts=None):
    return SimpleNamespace(parts=parts, counts=np.array(counts or [len(part) for part in parts]))


def test_is_the_cross_entropy_of_smoothed_counts():
    train, valid = Corpus([4, 4, 5, 3], [4, 3]), Corpus([4, 5, 6, 3])
    counts = {4: 3, 5: 1, 6: 0, 3: 2}  # 6 tokens of a vocabulary of 8
    expected = -np.mean([np.log((counts[token] + 1) / (6 + 8)) for token in (4, 5, 6, 3)])
    assert unigram_loss(mixture(train), valid, 8) == pytest.approx(expected)


def test_corpora_count_by_their_share_of_an_epoch():
    parts = Corpus([4, 3], [4, 3]), Corpus([5, 3])
    doubled = Corpus([4, 3]), Corpus([5, 3], [5, 3])
    valid = Corpus([5, 3])
    shares = unigram_loss(mixture(*parts, counts=[1, 2]), valid, 6)
    assert shares == pytest.approx(unigram_loss(mixture(*doubled), valid, 6))
    assert shares < unigram_loss(mixture(*parts), valid, 6)


def test_a_large_corpus_counts_whole_and_is_not_read_whole(monkeypatch):
    monkeypatch.setattr(corpus_checks, "MAX_COUNTED_TOKENS", 2)
    large, small = Corpus([4, 3], [5, 5], [5, 3]), Corpus([5, 3])
    as_if = Corpus([4, 3], [4, 3], [4, 3])
    valid = Corpus([5, 3])
    found = unigram_loss(mixture(large, small), valid, 6)
    monkeypatch.setattr(corpus_checks, "MAX_COUNTED_TOKENS", 99)
    assert found == pytest.approx(unigram_loss(mixture(as_if, small), valid, 6))


def test_a_model_that_has_learnt_nothing_is_not_the_best():
    progress = RunState()
    assert not progress.update_best(6.0, 0.1, "bleu", 1, beats_baseline=False)
    assert not progress.update_best(5.9, 0.0, "bleu", 2, beats_baseline=False)
    assert (progress.best, progress.wait) == (None, 0), "it gets better all the same, and nothing is to be stopped"
    assert not progress.update_best(5.95, 0.2, "bleu", 3, beats_baseline=False)
    assert (progress.best, progress.wait) == (None, 1)
    assert progress.update_best(5.0, 0.0, "bleu", 4), "the first that has learnt something"
    assert (progress.best, progress.wait) == (0.0, 0)
