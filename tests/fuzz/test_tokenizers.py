"""Any text becomes tokens, and tokens become the text again, as far as a tokenizer promises."""

import io

import numpy as np
import pytest
import sentencepiece
from hypothesis import example, given
from hypothesis import strategies as st

from seq2seq.config import TokenizerConfig
from seq2seq.data.bpe_dropout import BPEDropoutSampler
from seq2seq.data.encoded import ArraySide
from seq2seq.data.subword_sampling import draw_side
from seq2seq.data.subword_units import SubwordUnits, Vocabulary
from seq2seq.data.tokenizer import Tokenizer
from seq2seq.data.unigram_sampler import UnigramSampler
from seq2seq.errors import TokenizerError
from seq2seq.text.cleaning import clean
from tests.fuzz.conftest import examples, outcome
from tests.fuzz.texts import broken, sentences
from tests.toy import pairs

KINDS = {
    "spelling": {"byte_fallback": True},
    "unknown": {"vocabulary_size": 56},
    "folding": {"byte_fallback": True, "normalization": "nmt_nfkc"},
    "pairs": {
        "byte_fallback": True,
        "model_type": "bpe",
        "split_digits": True,
        "user_defined_symbols": ("<de>", "0 0"),
    },
}
texts = sentences | broken
# What the tokenizers know, in any order: words, symbols and characters without a piece.
mixed_texts = st.lists(st.sampled_from(["the", "dog", "Vogel", "<de>", "0 0", "42", "\u4e16", "d", "dogsees"])).map(
    " ".join
)


@pytest.fixture(scope="module")
def tokenizers():
    text = [side for pair in pairs(100, 1) for side in pair]
    return {
        kind: Tokenizer.train(text, TokenizerConfig(**{"vocabulary_size": 310, **options}))
        for kind, options in KINDS.items()
    }


def words(text):
    """What stands between spaces; U+2581 is SentencePiece's own sign for one."""
    return [word for word in text.replace("\u2581", " ").split(" ") if word]


def solid(text):
    return "".join(text.replace("\u2581", " ").split())


@pytest.mark.parametrize("kind", KINDS)
@given(text=texts)
@example(text="\ud83d\ude00\ud83d")
@example(text="\ud834\udd5e")
@example(text="\ufeffa")
@example(text="a" + "\u0301" * 300)
@example(text="\0\0")
def test_any_text_becomes_tokens_and_a_line_again(tokenizers, kind, text):
    tokenizer = tokenizers[kind]
    ids = tokenizer.encode(text)
    assert all(0 <= token < tokenizer.vocabulary_size for token in ids)
    assert not {tokenizer.pad_id, tokenizer.bos_id, tokenizer.eos_id} & set(ids)
    assert tokenizer.encode_batch([text, "the dog", text]) == [ids, tokenizer.encode("the dog"), ids]
    decoded = tokenizer.decode(ids)
    assert "\n" not in decoded
    decoded.encode()
    assert len(tokenizer.pieces(ids)) == len(ids)
    surfaces = tokenizer.surfaces(text)
    assert len(surfaces) == len(ids)
    if kind != "folding":  # which leaves characters out
        assert solid("".join(surfaces)) == solid(clean(text))


@pytest.mark.parametrize("kind", ["spelling", "pairs"])
@given(text=texts)
@example(text="\u2581a\u2581 \u2581b\u2581")
def test_spelt_text_comes_back(tokenizers, kind, text):
    tokenizer = tokenizers[kind]
    text = clean(text)
    decoded = tokenizer.decode(tokenizer.encode(text))
    assert words(decoded) == words(text)
    assert "\u2581" in text or decoded == " ".join(words(text))


@pytest.fixture(scope="module")
def samplers(tokenizers):
    """Tokenizers with a method each; that of `crossing` has pieces that span several words."""
    model = io.BytesIO()
    ids = {"pad_id": 0, "unk_id": 1, "bos_id": 2, "eos_id": 3}
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([side for pair in pairs(100, 1) for side in pair]), model_writer=model, vocab_size=90,
        split_by_whitespace=False, minloglevel=2, **ids,
    )  # fmt: skip
    crossing = Tokenizer(model.getvalue())
    assert any("▁" in piece[1:] for piece in crossing.pieces(range(90)))
    return {kind: (tokenizer, 0.5 if kind == "pairs" else 0.1) for kind, tokenizer in tokenizers.items()} | {
        "crossing": (crossing, 0.1)
    }


@pytest.mark.parametrize("kind", [*KINDS, "crossing"])
@given(lines=st.lists(texts | mixed_texts, min_size=1, max_size=3), seed=st.integers(0, 99))
@example(lines=["<de> dog <de>0 0", "the dog\u4e16 sees"], seed=1)
@example(lines=[""], seed=1)
def test_a_sampled_segmentation_is_the_same_text(samplers, kind, lines, seed):
    tokenizer, strength = samplers[kind]
    stored = [[*tokenizer.encode(line), tokenizer.eos_id] for line in lines]
    side = ArraySide(np.concatenate(stored), np.cumsum([0, *map(len, stored)]))
    vocabulary = Vocabulary(tokenizer)
    units = SubwordUnits(side, vocabulary)
    method = BPEDropoutSampler if kind == "pairs" else UnigramSampler
    sampler = method(units.distinct, vocabulary, strength)
    drawn = draw_side(side, units, sampler, np.random.default_rng(seed), max_tokens=10**6)
    for index, ids in enumerate(stored):
        found = drawn.ids(np.array([index])).tolist()
        assert tokenizer.decode(found) == tokenizer.decode(ids)
        fixed = [[token for token in row if vocabulary.texts[token] is None] for row in (ids, found)]
        assert fixed[0] == fixed[1]


@given(text=texts)
def test_folded_text_comes_back_as_its_normal_form(tokenizers, text):
    tokenizer = tokenizers["folding"]
    normal = tokenizer._processor.normalize(clean(text))
    assert tokenizer.decode(tokenizer.encode(text)) == clean(normal.replace("\u2581", " ")).strip(" ")


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_any_tokens_become_a_line(tokenizers, kind, data):
    """As a model may choose them: halves of characters and line feeds in bytes too."""
    tokenizer = tokenizers[kind]
    ids = data.draw(st.lists(st.integers(0, tokenizer.vocabulary_size - 1), max_size=30))
    unknown = [f" {number}" for number in range(ids.count(tokenizer.unk_id))]
    for text in (tokenizer.decode(ids), tokenizer.decode_with_unknowns(ids, unknown)):
        assert "\n" not in text
        text.encode()
    assert tokenizer.ids(tokenizer.pieces(ids)) == ids


@examples(3)
@given(place=st.integers(0, 10**6), byte=st.integers(0, 255), cut=st.booleans())
def test_a_damaged_model_is_an_error_or_a_tokenizer(tokenizers, place, byte, cut):
    model = bytearray(tokenizers["unknown"].model)
    model[place % len(model)] = byte
    damaged = bytes(model[: place % len(model)] if cut else model)
    tokenizer, error = outcome(TokenizerError, lambda: Tokenizer(damaged, "model.spm"))
    if tokenizer is None:
        assert error.startswith("model.spm: ")
        return
    ids = tokenizer.encode("the dog sees \u2603 and birds")
    tokenizer.pieces(ids)
    tokenizer.decode(ids).encode()


@examples(0.1)
@given(
    text=st.lists(texts, max_size=20),
    options=st.fixed_dictionaries({"byte_fallback": st.booleans(), "exact_size": st.booleans()}),
)
def test_training_gives_a_tokenizer_or_an_error(text, options):
    """Of another size only with a notice, and where the exact one is not asked for."""
    said = []
    config = TokenizerConfig(vocabulary_size=300, **options)
    tokenizer, error = outcome(TokenizerError, lambda: Tokenizer.train(text, config, said.append))
    if tokenizer is None:
        assert "there is no text" in error or (options["exact_size"] and "exactly 300 pieces: the text allows" in error)
    else:
        assert len(said) == (tokenizer.vocabulary_size != 300)
        assert not (said and options["exact_size"])
