"""Unknown tokens in a translation: kept, never chosen, or replaced by what they attend to."""

import re

import keras
import numpy as np
import pytest

from seq2seq.config import SearchOptions, TokenizerConfig
from seq2seq.data.tokenizer import EOS_ID, UNK_ID, Tokenizer, Tokenizers
from seq2seq.errors import ConfigError
from seq2seq.inference.translator import Translator
from seq2seq.inference.unknown_tokens import most_attended
from seq2seq.models.build import build_model
from tests.conftest import randomize
from tests.toy import pairs, toy_config

# Characters that the tokenizer does not know, in the order in which they stand.
UNKNOWN = ["Zx", "ß☃", "☃", "Z"]
SENTENCE = "the Zx sees the birdß☃ ☃ and  Z often"


pytestmark = pytest.mark.usefixtures("shared_searches")


@pytest.fixture(scope="module")
def tokenizer():
    return Tokenizer.train([side for pair in pairs(200, 1) for side in pair], TokenizerConfig(vocabulary_size=50))


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    return toy_config(tmp_path_factory.mktemp("toy"))


@pytest.fixture(scope="module")
def translator(config, tokenizer):
    """A model that says unknown often."""
    keras.utils.set_random_seed(2)
    model = build_model(config, Tokenizers(tokenizer, tokenizer))
    randomize(model, seed=5, scale=0.7)
    model.output_bias.assign(np.asarray(model.output_bias) + 4.5 * (np.arange(50) == UNK_ID))
    return Translator(model, tokenizer, tokenizer)


def options(**values):
    return SearchOptions(**{"beam_size": 2, "max_length_factor": 1.0, "max_length_extra": 8} | values)


def spell(pieces, unknown):
    """The text of pieces from the meaning of ▁, with given texts for the unknown ones."""
    unknown = iter(unknown)
    text = "".join(next(unknown) if piece == "<unk>" else piece.replace("▁", " ") for piece in pieces)
    return re.sub(" +", " ", text.replace("</s>", "")).strip()


def test_surfaces_are_the_text(tokenizer):
    surfaces = tokenizer.surfaces(SENTENCE)
    ids = tokenizer.encode(SENTENCE)
    assert [surface for surface, token in zip(surfaces, ids, strict=True) if token == UNK_ID] == UNKNOWN
    assert "".join(surfaces) == " " + re.sub(" +", " ", SENTENCE)
    assert all((surface[0] == " ") == (piece[0] == "▁") for surface, piece in zip(surfaces, tokenizer.pieces(ids)))  # noqa: B905
    assert tokenizer.surfaces("  ") == []


@pytest.mark.parametrize(
    ("pieces", "unknown", "text"),
    [
        (["▁the", "<unk>", "▁the"], [" Zoë"], "the Zoë the"),
        (["▁the", "▁", "<unk>", "▁the"], [" Zoë"], "the Zoë the"),
        (["▁the", "▁", "<unk>", "▁the"], ["Zoë"], "the Zoë the"),
        (["▁the", "<unk>", "s"], ["é"], "theés"),
        (["<unk>", "<unk>", "▁", "<unk>", "▁", "</s>"], [" a", "b", " c"], "ab c "),
        (["▁", "<unk>", "▁the"], [" a"], "a the"),
        (["▁the", "<unk>", "<unk>", "</s>"], [" </s>", " <unk>▁"], "the </s> <unk>▁"),
        (["▁the", "</s>"], [], "the"),
        ([], [], ""),
    ],
)
def test_decoding_with_texts_for_unknown_tokens(tokenizer, pieces, unknown, text):
    ids = [EOS_ID if piece == "</s>" else UNK_ID if piece == "<unk>" else tokenizer.ids([piece])[0] for piece in pieces]
    assert tokenizer.pieces(ids) == pieces
    assert tokenizer.decode_with_unknowns(ids, unknown) == text


def test_without_unknown_tokens_decoding_is_decoding(tokenizer):
    for source, _ in pairs(20, 3):
        ids = tokenizer.encode(source)
        assert tokenizer.decode_with_unknowns([*ids, EOS_ID], []) == tokenizer.decode(ids) == source


def test_the_most_attended_text():
    weights = np.array([0.1, 0.3, 0.2, 0.4])  # the last is of EOS
    assert most_attended([" the", " dog", "s"], weights) == " dog"
    assert most_attended([" the", " ", "☃"], weights) == "☃", "a lone space has no text"
    assert most_attended([" ", "", "", "☃", "."], np.array([0.1, 0.3, 0.1, 0.05, 0.2, 0.25])) == "☃", (
        "bytes of a snowman"
    )
    assert most_attended([" "], np.array([0.5, 0.5])) == " ⁇ "


@pytest.mark.parametrize("values", [{"beam_size": 1}, {"n_best": 2}, {"sample": True, "n_best": 3}])
def test_unknown_tokens_are_replaced_by_what_they_attend_to(translator, values):
    sentences = [SENTENCE, "bird", "", "Z"]
    kept, replaced = (
        translator.translate(sentences, options(**values, unk_handling=handling)) for handling in ("keep", "replace")
    )
    count = 0
    for before, after in zip(kept, replaced, strict=True):
        known = iter(UNKNOWN if len(before.source_tokens) > 4 else ["Z"])
        texts = [next(known) if piece == "<unk>" else piece.replace("▁", " ") for piece in before.source_tokens[:-1]]
        with_text = [s for s, text in enumerate(texts) if text.strip()]
        for a, b in zip(before.hypotheses, after.hypotheses, strict=True):
            assert (a.tokens, a.score) == (b.tokens, b.score)
            np.testing.assert_array_equal(a.attention, b.attention)
            rows = [weights for weights, token in zip(a.attention, a.tokens, strict=True) if token == "<unk>"]
            chosen = [texts[max(with_text, key=lambda s: weights[s])] for weights in rows]
            count += len(chosen)
            assert "⁇" not in b.text
            assert re.sub(" +", " ", b.text).strip() == spell(a.tokens, chosen)
            assert a.text.count("⁇") == len(chosen)
    assert count > 5


def test_the_pieces_of_a_long_line_are_replaced_from_their_own_text(translator):
    (whole,) = translator.translate([SENTENCE], options(unk_handling="replace", max_source_tokens=6))
    assert whole.num_segments > 2
    surfaces = translator.tokenizers.source.surfaces(SENTENCE)
    source = [place for place, piece in enumerate(whole.source_tokens) if piece != "</s>"]
    texts = dict(zip(source, surfaces, strict=True))
    rows = [weights for weights, token in zip(whole.attention, whole.tokens, strict=True) if token == "<unk>"]
    chosen = [texts[max((s for s in texts if texts[s].strip()), key=lambda s: weights[s])] for weights in rows]
    unknown = iter(chosen)
    parts = " ".join(whole.tokens).split("</s>")
    spelled = (spell(part.split(), [next(unknown) for piece in part.split() if piece == "<unk>"]) for part in parts)
    assert re.sub(" +", " ", whole.text).strip() == " ".join(filter(None, spelled))


@pytest.mark.parametrize("values", [{"beam_size": 1}, {"n_best": 2}, {"sample": True, "n_best": 3}])
def test_suppressed_unknown_tokens_are_never_chosen(translator, values):
    def count(unk):
        results = translator.translate([SENTENCE, "bird"], options(**values, unk_handling=unk))
        return sum(hypothesis.tokens.count("<unk>") for result in results for hypothesis in result.hypotheses)

    assert count("keep") > 0, "or this test would see nothing"
    assert count("suppress") == 0


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"unk_handling": "replace"}, "'unk_handling: replace' needs attention"),
        ({"coverage_penalty": 0.2}, "'coverage_penalty: 0.2' needs"),
    ],
)
def test_a_model_without_attention_cannot_look_at_it(config, tokenizer, values, message):
    without = config.model_copy(update={"decoder": config.decoder.model_copy(update={"attention": "none"})})
    model = build_model(without, Tokenizers(tokenizer, tokenizer))
    plain = Translator(model, tokenizer, tokenizer)
    with pytest.raises(ConfigError, match=message):
        plain.translate(["the bird"], options(**values))
    for kind in ({"beam_size": 1, "unk_handling": "suppress"}, {"n_best": 2}, {"sample": True}):
        (result,) = plain.translate(["the bird"], options(**kind))
        assert result.attention.shape == (len(result.tokens), 0)
        assert result.tokens
