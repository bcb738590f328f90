"""Token frequencies as the least that a model must beat."""

from types import SimpleNamespace

import numpy as np
import pytest

from seq2seq.config import TrainingConfig
from seq2seq.training import validation
from seq2seq.training.run_state import RunState
from seq2seq.training.validation import no_gain_warning, short_run_warning, unigram_loss


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
    monkeypatch.setattr(validation, "MAX_COUNTED_TOKENS", 2)
    large, small = Corpus([4, 3], [5, 5], [5, 3]), Corpus([5, 3])
    as_if = Corpus([4, 3], [4, 3], [4, 3])
    valid = Corpus([5, 3])
    found = unigram_loss(mixture(large, small), valid, 6)
    monkeypatch.setattr(validation, "MAX_COUNTED_TOKENS", 99)
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


def test_the_warning_names_what_was_found_and_what_to_do():
    config = TrainingConfig(learning_rate=0.005)
    entry = {"update": 1658, "valid_loss": 6.187}
    text = no_gain_warning(entry, 6.004, 8.7, config)
    for part in (
        "no better than token frequencies",
        "update 1,658",
        "6.19 nats",
        "6.00",
        "0.005",
        "it is 0 updates",
        "training.schedule.warmup_updates=300",
    ):
        assert part in text
    assert "hardly better" in no_gain_warning(entry, 6.19, 8.7, config)
    rising = config.model_copy(update={"schedule": config.schedule.model_copy(update={"warmup_updates": 2000})})
    text = no_gain_warning(entry, 6.004, 8.7, rising)
    assert "until update 2,000: train for longer than that" in text
    assert "--set" not in text
    for loss in (8.5, 8.72):
        text = no_gain_warning(entry | {"valid_loss": loss}, 6.004, 8.7, config)
        assert "near a guess (8.70): train for longer, or with a higher training.learning_rate (it is 0.005)" in text
    assert "a lower training.learning_rate" in no_gain_warning(entry | {"valid_loss": 12.0}, 6.004, 8.7, config)


def test_a_run_that_ends_within_its_warmup_is_told_before():
    config = TrainingConfig.model_validate({"schedule": {"warmup_updates": 150}})
    assert "has 75 updates, and its learning rate rises until update 150" in short_run_warning(75, config)
    assert short_run_warning(75, config).endswith("Raise training.epochs, or lower training.schedule.warmup_updates")
    assert "Raise training.updates," in short_run_warning(75, config.model_copy(update={"updates": 75}))
    assert short_run_warning(151, config) == ""
