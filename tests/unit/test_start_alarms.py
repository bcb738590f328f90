"""What is said before the first batch, and what it is counted from."""

import subprocess
from types import SimpleNamespace

import numpy as np
import pytest

from seq2seq.config import TokenizerConfig, TrainingConfig, load_config
from seq2seq.corpora import SentencePair
from seq2seq.data.encoded import encode_corpus
from seq2seq.data.mixture import EncodedMixture
from seq2seq.data.tokenizer import Tokenizer, Tokenizers
from seq2seq.training import corpus_checks
from seq2seq.training.corpus_checks import (
    Overlap,
    VocabularyUse,
    count_overlaps,
    hash_sentences,
    most_frequent_target,
    vocabulary_use,
)
from seq2seq.training.start_alarms import (
    describe_overlaps,
    overlap_alarm,
    partial_epoch_alarm,
    phrasebook_alarm,
    precision_alarm,
    short_run_alarm,
    vocabulary_alarm,
)
from tests.toy import pairs

TRAIN = [*pairs(60, 1), ("the king sees cat now", "ein anderer Satz"), ("a dog", "ein anderer Satz")]


@pytest.fixture(scope="module")
def tokenizer():
    return Tokenizer.train([side for pair in TRAIN for side in pair], TokenizerConfig(vocabulary_size=60))


@pytest.fixture
def encode(tokenizer, tmp_path):
    """Encoded pairs."""

    def encode(name, *texts):
        sentences = [SentencePair(*pair, "") for pair in texts]
        return encode_corpus(sentences, tokenizer, tokenizer, tmp_path / name)

    return encode


def test_a_run_that_ends_within_its_warmup():
    config = TrainingConfig.model_validate({"schedule": {"warmup_updates": 150}})
    text = short_run_alarm(75, config).text
    assert "has 75 updates, but its learning rate rises until update 150" in text
    assert "training.schedule.warmup_updates=7" in text
    assert "Raise training.epochs, or" in text
    assert "Raise training.updates, or" in short_run_alarm(75, config.model_copy(update={"updates": 75})).text
    assert short_run_alarm(151, config) is None
    planned = TrainingConfig.model_validate({"minutes": 0.01, "updates": 1, "schedule": {"warmup_updates": 1}})
    text = short_run_alarm(1, planned).text
    assert text == "this run has 1 update, but its learning rate rises until update 1. Raise training.minutes"


def test_minutes_that_are_too_short_for_one_epoch():
    config = TrainingConfig.model_validate({"minutes": 6.0})
    text = partial_epoch_alarm(1088, 1246, config).text
    assert text.startswith(
        "6 minutes of training are too few for one pass over the text: this run ends after 87% of it."
    )
    assert "Raise training.minutes to 35 for five epochs" in text
    assert partial_epoch_alarm(1246, 1246, config) is None
    assert partial_epoch_alarm(10, 1246, TrainingConfig(updates=10)) is None


@pytest.mark.parametrize(
    ("precision", "gpu", "said"),
    [("mixed_float16", False, "37 times"), ("mixed_bfloat16", False, "2 times"), ("mixed_float16", True, None),
     ("float32", False, None), ("tf32", True, None)],
)  # fmt: skip
def test_half_precision_on_a_cpu(precision, gpu, said):
    alarm = precision_alarm(precision, gpu)
    assert alarm is None if said is None else said in alarm.text and "training.precision=float32" in alarm.text


@pytest.mark.parametrize(
    ("size", "rare", "smallest", "advised"),
    [
        (6000, 3199, 90, 2800),  # 5,000 pairs of Multi30k
        (2000, 1157, 90, 840),  # 800
        (300, 106, 70, None),  # 100
        (6000, 20, 110, None),  # 29,000
        (8000, 756, 2330, None),  # message catalogues in Chinese
        (3000, 1500, 2330, 2330),
        (2500, 1500, 2330, None),  # all of it is characters, and no size helps
    ],
)
def test_a_vocabulary_that_is_rare_in_its_own_text(size, rare, smallest, advised):
    alarm = vocabulary_alarm(VocabularyUse(size, rare, 10 * size, smallest))
    assert (alarm is None) == (advised is None)
    if alarm:
        assert f"{rare:,} of its {size:,} pieces occur fewer than 5 times" in alarm.text
        assert "10.0 tokens per piece" in alarm.text
        assert alarm.text.endswith(f"tokenizer.vocabulary_size={advised}")


def test_pieces_are_counted_on_the_sides_that_their_tokenizer_reads(encode, tokenizer):
    train = encode("train", *TRAIN)
    counts = sum(np.bincount(side.tokens, minlength=60) for side in (train.source, train.target))[4:]
    joint = vocabulary_use(EncodedMixture([train]), Tokenizers(tokenizer, tokenizer))
    assert (joint.size, joint.rare, joint.tokens) == (60, int((counts < 5).sum()), int(counts.sum()))
    copy = Tokenizer(bytes(bytearray(tokenizer.model)))  # equal, but no joint one
    apart = vocabulary_use(EncodedMixture([train]), Tokenizers(tokenizer, copy))
    rare = [int((np.bincount(side.tokens, minlength=60)[4:] < 5).sum()) for side in (train.source, train.target)]
    assert apart.rare == max(rare) > joint.rare


def test_bytes_are_not_rare_pieces():
    tokenizer = Tokenizer.train(
        [side for pair in TRAIN for side in pair], TokenizerConfig(vocabulary_size=310, byte_fallback=True)
    )
    sides = SimpleNamespace(tokens=np.tile(np.arange(310), 5), lengths=np.full(5, 310))
    tokens = np.delete(np.arange(310), [tokenizer.ids([f"<0x{byte:02X}>"])[0] for byte in range(256)])
    part = SimpleNamespace(source=sides, target=SimpleNamespace(tokens=np.tile(tokens, 5)))
    part.source = part.target
    use = vocabulary_use(SimpleNamespace(parts=[part]), Tokenizers(tokenizer, tokenizer))
    assert use.rare == 0
    assert use.smallest > 256


def test_validation_sentences_that_are_trained_on(encode, monkeypatch):
    train = encode("train", *TRAIN)
    known, other = TRAIN[5], (TRAIN[6][0], "das ist ein anderer")
    valid = encode("valid", known, other, ("a bird sees the man", "ein Vogel"), known)
    test = encode("test", TRAIN[0], ("a bird sees the man", "ein Vogel"))
    expected = [(4, 3, 2), (2, 1, 1)]
    assert count_overlaps(EncodedMixture([train]), [valid, test]) == expected
    assert count_overlaps(EncodedMixture([train]), [valid]) == expected[:1]
    monkeypatch.setattr(corpus_checks, "CHUNK_SENTENCES", 7)
    assert count_overlaps(EncodedMixture([encode("more", *TRAIN[:3]), train]), [valid, test]) == expected


def test_hashes_tell_sentences_apart_by_their_tokens_and_their_order(encode):
    corpus = encode("texts", *((text, text) for text in ("dog cat", "cat dog", "dog cat", "dog cat cat", "dog")))
    hashes = hash_sentences(corpus.source, 0, 5)
    assert hashes[0] == hashes[2]
    assert len(set(hashes.tolist())) == 4
    np.testing.assert_array_equal(hash_sentences(corpus.source, 2, 4), hashes[2:4])


@pytest.mark.parametrize(
    ("overlap", "sides", "said"),
    [
        (
            Overlap(1000, 20, 3),
            ["source", "target"],
            "of 20 of 1,000 validation pairs is in the training corpus",
        ),
        (Overlap(1000, 19, 19), ["source", "target"], None),
        (Overlap(12, 0, 0), ["source", "target"], None),
        (Overlap(1000, 1000, 30), ["target"], "30 of 1,000 validation pairs are in the training corpus"),
        (Overlap(1000, 1000, 10), ["target"], None),
    ],
)
def test_an_overlap_rings_from_a_share_on(overlap, sides, said):
    alarm = overlap_alarm(overlap, sides, "pair")
    assert (alarm is None) == (said is None)
    if alarm:
        assert said in alarm.text
        assert "--set data.valid='{fraction: 0.02}'" in alarm.text


def test_test_sentences_that_are_trained_on_have_a_remedy_that_works(tmp_path):
    alarm = overlap_alarm(Overlap(3, 2, 1), ["source", "target"], "pair", "test")
    assert alarm.text.startswith("the source of 2 of 3 test pairs is in the training corpus, and the whole pair of 1:")
    (tmp_path / "TRAIN").write_text("a b\tx\na\ty\nc d\tz\n")
    (tmp_path / "TEST").write_text("a\ty\nc d\tw\nnew\tw\n")
    command = alarm.text[alarm.text.index("awk") :]
    subprocess.run(command, shell=True, cwd=tmp_path, check=True)
    assert (tmp_path / "NEW").read_text() == "a b\tx\n"
    assert overlap_alarm(Overlap(3, 0, 0), ["source", "target"], "pair", "test") is None


@pytest.mark.parametrize(
    ("overlaps", "sides", "said"),
    [
        (
            {"validation": Overlap(500, 3, 1)},
            ("source", "target"),
            "3 of 500 validation sources, with the same target 1",
        ),
        (
            {"validation": Overlap(500, 0, 0), "test": Overlap(1000, 1000, 0)},
            ("source", "target"),
            "1,000 of 1,000 test sources",
        ),
        (
            {"validation": Overlap(9, 9, 2), "test": Overlap(8, 8, 1)},
            ("target",),
            "2 of 9 validation lines; 1 of 8 test lines",
        ),
        ({"validation": Overlap(500, 0, 0)}, ("source", "target"), ""),
    ],
)
def test_every_overlap_is_counted_in_the_summary(overlaps, sides, said):
    assert describe_overlaps(overlaps, SimpleNamespace(sides=sides, corpus_unit="line")) == said


def test_the_most_frequent_target(encode, tokenizer, monkeypatch):
    first, second = encode("first", *TRAIN[:60]), encode("second", *TRAIN[60:])
    assert most_frequent_target(EncodedMixture([first, second]), tokenizer) == "ein anderer Satz"
    monkeypatch.setattr(corpus_checks, "CHUNK_SENTENCES", 7)
    assert most_frequent_target(EncodedMixture([first, second]), tokenizer) == "ein anderer Satz"
    once = encode("once", ("b", "zwei Hund"), ("a", "ein Baum"))
    assert most_frequent_target(EncodedMixture([once]), tokenizer) == "zwei Hund"


@pytest.mark.parametrize(
    ("settings", "rings"),
    [
        ([], False),
        (["data.train.tsv=mine.tsv"], True),
        (["data.train.tsv=mine.tsv", "data.valid.fraction=0.02"], False),
        (["data.train.tsv=mine.tsv", "data.valid.tsv=valid.tsv"], False),
        (["data.train.mixture=[{tsv: mine.tsv}, {phrasebook: train}]"], False),
        (["data.train.mixture=[{tsv: mine.tsv}, {tsv: a}]", "data.valid.mixture=[{phrasebook: valid}]"], True),
    ],
)
def test_validation_that_is_still_the_recipes(settings, rings):
    """A corpus of one's own in a packaged recipe, and its validation on the phrasebook."""
    alarm = phrasebook_alarm(load_config("quickstart", settings))
    assert (alarm is not None) == rings
    if alarm:
        assert "data.train is mine.tsv" in alarm.text
        assert "--set data.valid='{fraction: 0.02}'" in alarm.text
