"""Vectors of tokens and words: whose they are, neighbours and projections, against NumPy."""

import numpy as np
import pandas as pd
import pytest

from seq2seq.analysis.plots.translations import plot_projection
from seq2seq.analysis.representations import (
    embeddings,
    nearest_neighbours,
    principal_components,
    source_states,
    tsne,
    word_states,
)
from seq2seq.analysis.words import subword_positions
from seq2seq.data.tokenizer import Tokenizer
from seq2seq.errors import ArgumentError, EvaluationError
from seq2seq.inference.translator import Translator
from seq2seq.phrasebook.grammar.phenomena import split_words
from tests.toy import save_random_model, toy_tokenizer

SENTENCES = ["the dog sees, often.", "", "the kings love cats and trees there", "bird"]


@pytest.fixture(scope="module")
def translator(tmp_path_factory):
    tokenizer = toy_tokenizer()
    model = save_random_model(tmp_path_factory.mktemp("toy") / "model", tokenizer, embeddings={"tied": "none"})
    return Translator(model, tokenizer, tokenizer)


@pytest.mark.parametrize(
    "text",
    [
        "the dog sees, often.",
        " two  blanks\tand a tab ",
        "o'clock at 12:30, isn't it?",
        "Zoe\u0308 und Käse",  # an e with a combining diaeresis, and letters that are spelled by bytes
        "日本 x … y",
        "",
    ],
)
def test_pieces_of_words_spell_them(text):
    tokenizer = toy_tokenizer()
    ids = tokenizer.encode(text)
    found = subword_positions(tokenizer, text)
    plain = tokenizer.decode(ids)
    assert [word for word, _ in found] == split_words(plain)
    places = [place for _, pieces in found for place in pieces]
    assert sorted(set(places)) == list(range(len(ids)))  # every piece is some word's
    assert places == sorted(places)
    for word, pieces in found:
        assert word in tokenizer.decode([ids[place] for place in pieces])


def test_a_piece_over_two_words_is_of_both():
    class Joined(Tokenizer):
        def __init__(self):
            self.prefix = []

        def surfaces(self, text):
            return [" the", " do", "g!", "", "é"]

    assert subword_positions(Joined(), "the dog!é") == [("the", [0]), ("dog", [1, 2]), ("!", [2]), ("é", [3, 4])]


def test_embeddings_are_the_models_tables(translator):
    model, tokenizer = translator.model, translator.tokenizers.source
    tables = {table: embeddings(translator, table) for table in ("source", "target", "output")}
    for table, layer in (
        ("source", model.source_embedding),
        ("target", model.target_embedding),
        ("output", model.output_embedding),
    ):
        assert tables[table].shape == (tokenizer.vocabulary_size, 12)
        (place,) = tokenizer.ids(["▁oft"])
        np.testing.assert_array_equal(tables[table].loc["▁oft"], np.asarray(layer.table)[place])
    assert not np.allclose(tables["source"], tables["target"])
    with pytest.raises(ArgumentError, match=r"table: .* found the string 'sorce'. Did you mean 'source'\?"):
        embeddings(translator, "sorce")


def test_states_do_not_depend_on_the_batch_and_end_with_the_sentence(translator):
    together = source_states(translator, SENTENCES)
    for sentence, states in zip(SENTENCES, together, strict=True):
        assert states.shape == (len(translator.tokenizers.source.encode(sentence)) + 1, 12)
        np.testing.assert_allclose(states, source_states(translator, [sentence])[0], atol=1e-5)


def test_states_are_what_attention_reads(translator):
    ids = [*translator.tokenizers.source.encode(SENTENCES[0]), 3]
    memory, _ = translator.model.encode(np.array([ids], np.int32))
    np.testing.assert_allclose(source_states(translator, SENTENCES)[0], memory.states.numpy()[0], atol=1e-5)
    embedded = source_states(translator, SENTENCES, "embedding")[0]
    np.testing.assert_array_equal(embedded, np.asarray(translator.model.source_embedding.table)[ids])


def test_a_words_state_is_the_mean_of_its_pieces(translator):
    frame, vectors = word_states(translator, SENTENCES)
    assert vectors.shape == (len(frame), 12)
    states = source_states(translator, SENTENCES)
    assert (frame["subwords"] > 1).any()
    for number, sentence in enumerate(SENTENCES):
        here = frame["sentence"] == number
        assert frame.loc[here, "word"].tolist() == [*split_words(sentence), "</s>"]
        assert frame.loc[here, "position"].tolist() == list(range(here.sum()))
        start = 0
        for vector, pieces in zip(vectors[here], frame.loc[here, "subwords"], strict=True):
            expected = sum(states[number][start + step] for step in range(pieces)) / pieces
            np.testing.assert_allclose(vector, expected, atol=1e-6)
            start += pieces
        assert start == len(states[number])


def test_neighbours_have_the_greatest_cosines(rng):
    vectors = pd.DataFrame(rng.normal(size=(20, 5)) * rng.uniform(0.1, 9, (20, 1)), [f"t{i}" for i in range(20)])
    vectors.loc["t9"] = 0  # has no direction
    found = nearest_neighbours(vectors, ["t3", "t7"], count=4)
    assert found["rank"].tolist() == [1, 2, 3, 4] * 2
    for name, part in found.groupby("name"):
        x = vectors.loc[name]
        cosines = {
            other: float(x @ y) / max(np.sqrt(float(x @ x) * float(y @ y)), 1e-12)
            for other, y in vectors.iterrows()
            if other != name
        }
        best = sorted(cosines, key=cosines.get, reverse=True)[:4]
        assert part["neighbour"].tolist() == best
        np.testing.assert_allclose(part["cosine"], [cosines[other] for other in best])
    with pytest.raises(EvaluationError, match=r"no vector of 't77'. Did you mean 't7'\?"):
        nearest_neighbours(vectors, ["t77"])


def test_principal_components_are_those_of_the_covariance(rng):
    vectors = pd.DataFrame(rng.normal(size=(30, 4)) @ rng.normal(size=(4, 4)) + 5, [f"t{i}" for i in range(30)])
    found, shares = principal_components(vectors, 3)
    values, directions = np.linalg.eigh(np.cov(vectors.to_numpy().T))
    order = np.argsort(-values)[:3]
    np.testing.assert_allclose(shares, values[order] / values.sum())
    expected = (vectors.to_numpy() - vectors.to_numpy().mean(axis=0)) @ directions[:, order]
    np.testing.assert_allclose(np.abs(found), np.abs(expected), atol=1e-9)
    assert list(found.index) == list(vectors.index)


def test_tsne_keeps_neighbours_and_repeats_itself(rng):
    centres = np.eye(3).repeat(12, axis=0) * 8
    vectors = pd.DataFrame(centres + rng.normal(size=centres.shape), range(36))
    layout = tsne(vectors, perplexity=5, seed=3)
    pd.testing.assert_frame_equal(layout, tsne(vectors, perplexity=5, seed=3))
    points = layout.to_numpy()
    distances = np.linalg.norm(points[:, None] - points[None], axis=-1) + 1e9 * np.eye(36)
    assert (distances.argmin(axis=1) // 12 == np.arange(36) // 12).all()
    with pytest.raises(ValueError, match=r"perplexity.* must be less than n_samples"):
        tsne(vectors, perplexity=40)


def test_a_projection_has_names_and_kinds(rng):
    points = pd.DataFrame(rng.normal(size=(5, 2)), list("abcde"))
    figure = plot_projection(points, ["x", "y", "x", "x", "y"], "Two kinds", ("first", "second"), list("abcde"))
    (axes,) = figure.axes
    assert (axes.get_xlabel(), axes.get_ylabel(), axes.get_title()) == ("first", "second", "Two kinds")
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["x (3)", "y (2)"]
    assert [text.get_text() for text in axes.texts] == list("abcde")
    np.testing.assert_allclose(axes.collections[1].get_offsets(), points.to_numpy()[[1, 4]])


def test_names_in_a_projection_do_not_cover_each_other():
    points = pd.DataFrame([[0.0, 0.0]] * 6 + [[0.5, 0.0], [1.0, 1.0]])
    names = [f"name {number}" for number in range(8)]
    figure = plot_projection(points, ["only"] * 8, "title", names=names)
    figure.draw_without_rendering()
    written = figure.axes[0].texts
    assert [text.get_text() for text in written] == ["name 0", "name 1", "name 2", "name 3", "name 6", "name 7"]
    boxes = [text.get_window_extent() for text in written]
    assert not any(one.overlaps(other) for place, one in enumerate(boxes) for other in boxes[:place])
    assert not figure.legends
