"""The tree of a search against a beam search in plain Python, and against what the translator returns."""

from collections import Counter

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from seq2seq.analysis.search_tree import (
    RecordingStep,
    build_tree,
    finished_hypotheses,
    greedy_path,
    path_from_root,
    sample_counts,
    sampling_probabilities,
    search_tree,
)
from seq2seq.config import EmbeddingsConfig, LanguageModelDecoderConfig, SearchOptions
from seq2seq.data.tokenizer import BOS_ID, EOS_ID, Tokenizer, Tokenizers
from seq2seq.errors import ArgumentError
from seq2seq.inference.shortlist import shortlist_from_pairs
from seq2seq.inference.translator import Translator
from seq2seq.models.build import build_model
from seq2seq.models.language_model import LanguageModel
from seq2seq.search import NEG_INF, beam_search
from tests.conftest import randomize
from tests.fake import BOS, EOS, PAD, UNK, Fake, V
from tests.reference import log_softmax
from tests.toy import toy_config, toy_tokenizer
from tests.unit.test_sampling import SHAPES, distribution

SENTENCE = "the king loves cat and dog"


class Letters(Tokenizer):
    """Pieces of the fake model's tokens."""

    def __init__(self):
        pass

    @staticmethod
    def pieces(ids):
        return [str(token) for token in ids]


def plain_beam(fake, limit, size, forbidden=(), **penalties):
    """Beam search with lists: the status of every candidate it ranked, by its tokens."""
    beam, finished, status = [()], [], {}
    for t in range(limit):
        tokens = [EOS] if t == limit - 1 else [token for token in range(V) if token not in (PAD, BOS, *forbidden)]
        extended = [(*hypothesis, token) for hypothesis in beam for token in tokens]
        ranked = sorted(extended, key=lambda tokens: -fake.follow(0, tokens)[0].sum())[: 2 * size]
        status |= dict.fromkeys(ranked, "pruned")
        finished += [hypothesis for hypothesis in ranked[:size] if hypothesis[-1] == EOS]
        finished = sorted(finished, key=lambda tokens: -fake.score(0, tokens, **penalties))[:size]
        beam = [hypothesis for hypothesis in ranked if hypothesis[-1] != EOS][:size]
        status |= dict.fromkeys(beam, "alive")
        if len(finished) == size:
            break
    return status | dict.fromkeys(finished, "finished")


def watch(fake, limit, size, forbidden=(), penalty=0.0, beta=0.0):
    rules = fake.rules([limit], length_penalty=penalty, coverage_penalty=beta, forbidden=forbidden)
    noting = RecordingStep(fake, rules)
    state, memory = fake.start(0)
    result = beam_search(noting, noting.start(state), memory, rules, beam_size=size)
    return build_tree(noting, result, size, Letters()), result, beam_search(fake, state, memory, rules, beam_size=size)


def tokens_of(tree, node):
    return tuple(int(token) for token in tree.loc[path_from_root(tree, node)[1:], "token"])


@pytest.mark.parametrize(("penalty", "beta"), [(0.0, 0.0), (1.0, 0.0), ("average", 0.7)])
@pytest.mark.parametrize(("size", "limit", "forbidden"), [(1, 5, ()), (2, 6, ()), (3, 5, (UNK,)), (9, 4, ())])
@pytest.mark.parametrize("seed", range(3))
def test_the_tree_is_that_of_a_plain_beam_search(seed, size, limit, forbidden, penalty, beta):
    fake = Fake(seed, 1)
    tree, result, alone = watch(fake, limit, size, forbidden, penalty, beta)
    found = {tokens_of(tree, node): row.status for node, row in tree.iloc[1:].iterrows()}
    assert found == plain_beam(fake, limit, size, forbidden, penalty=penalty, beta=beta)
    for watched, expected in zip(result, alone, strict=True):
        np.testing.assert_array_equal(watched, expected)  # notes change nothing
    for node, row in tree.iloc[1:].iterrows():
        tokens = tokens_of(tree, node)
        log_probs, _ = fake.follow(0, tokens)
        assert row.step == len(tokens)
        assert row.log_prob == pytest.approx(log_probs[-1], abs=1e-5)
        assert row.total == pytest.approx(log_probs.sum(), abs=1e-5)
        if tokens[-1] == EOS:
            assert row.score == pytest.approx(fake.score(0, tokens, penalty, beta), abs=1e-5)
        else:
            assert np.isnan(row.score)


def test_results_of_the_tree_are_those_of_the_search():
    tree, result, _ = watch(Fake(1, 1), 6, 3, penalty=1.0, beta=0.4)
    best = finished_hypotheses(tree)
    assert len(best) == 3
    for n, row in enumerate(best.itertuples()):
        length = int(result.lengths[0, n])
        assert row.length == length
        assert row.tokens == " ".join(map(str, result.tokens[0, n, :length].numpy()))
        assert row.score == float(result.scores[0, n])


@pytest.fixture(scope="module")
def translator(tmp_path_factory):
    tokenizer = toy_tokenizer()
    config = toy_config(tmp_path_factory.mktemp("toy"), decoder={"cell": "lstm"})
    model = build_model(config, Tokenizers(tokenizer, tokenizer))
    randomize(model, seed=5, scale=0.7)
    shortlist = shortlist_from_pairs([([5, 6, 7], [8, 9, 10]), ([6], [11])], 310, 310)
    made = Translator(model, tokenizer, tokenizer, SearchOptions(beam_size=3, max_length=9), shortlist=shortlist)
    helper = LanguageModel(310, EmbeddingsConfig(size=5), LanguageModelDecoderConfig(units=6))
    randomize(helper, seed=6, scale=0.7)
    made.step_sources._language_models["lm"] = helper
    return made


@pytest.mark.parametrize(
    "values",
    [
        {"beam_size": 4},
        {"beam_size": 1},
        {
            "beam_size": 3,
            "coverage_penalty": 0.4,
            "min_length": 6,
            "unk_handling": "suppress",
            "length_penalty": "average",
        },
        {"beam_size": 4, "no_repeat_ngram_size": 1, "repetition_penalty": 1.7},
        {"beam_size": 3, "shortlist": 2},
        {"beam_size": 3, "shortlist": 2, "language_model": "lm", "language_model_weight": 0.5},
    ],
)
def test_the_translator_finds_what_the_tree_shows(translator, values):
    options = SearchOptions(**values, n_best=values["beam_size"], max_length=9)
    best = finished_hypotheses(search_tree(translator, SENTENCE, options))
    expected = translator.translate([SENTENCE], options)[0].hypotheses
    assert best["tokens"].tolist() == [" ".join(hypothesis.tokens) for hypothesis in expected]
    np.testing.assert_allclose(best["score"], [hypothesis.score for hypothesis in expected], atol=1e-5)
    np.testing.assert_allclose(best["total"], [hypothesis.token_log_probs.sum() for hypothesis in expected], atol=1e-4)


def test_a_greedy_path_has_the_likeliest_tokens(translator):
    options = SearchOptions(beam_size=1, max_length=9)
    table = greedy_path(translator, SENTENCE, options, candidates=4)
    translation = translator.translate([SENTENCE], options)[0]
    chosen = table[table["rank"] == 0]
    assert chosen["token"].tolist() == translation.tokens
    np.testing.assert_allclose(chosen["log_prob"], translation.token_log_probs, atol=1e-5)
    np.testing.assert_allclose(chosen["total"], translation.token_log_probs.cumsum(), atol=1e-4)
    tokenizer = translator.tokenizers.target
    ids = tokenizer.ids(translation.tokens)
    source = tf.constant([[*translator.tokenizers.source.encode(SENTENCE), EOS_ID]])
    log_probs = log_softmax(translator.model((source, tf.constant([ids])))[0].numpy().astype("d"))
    for t, steps in enumerate(log_probs[:-1]):  # at the last step only EOS may come
        rows = table[table["step"] == t + 1]
        allowed = [token for token in range(len(steps)) if token not in (0, BOS_ID)]
        expected = sorted(allowed, key=lambda token: -steps[token])[:4]
        assert rows["token"].tolist() == tokenizer.pieces(expected)
        np.testing.assert_allclose(rows["log_prob"], steps[expected], atol=1e-4)
        entropy = -sum(np.exp(steps[token]) * steps[token] for token in allowed)
        np.testing.assert_allclose(rows["entropy"], entropy, atol=1e-3)


@pytest.mark.parametrize("shape", SHAPES)
def test_sampling_probabilities_are_those_of_the_definition(shape, rng):
    logits = (2 * rng.normal(size=V)).astype("f")
    log_probs = log_softmax(logits)
    log_probs[[PAD, BOS]] = NEG_INF
    np.testing.assert_allclose(sampling_probabilities(log_probs, *shape), distribution(logits, *shape), atol=1e-6)


def test_draws_are_counted(translator):
    options = SearchOptions(sample=True, n_best=60, temperature=0.3, top_k=2, max_length=3, length_penalty=0.0)
    table = sample_counts(translator, SENTENCE, options)
    found = translator.translate([SENTENCE], options)[0].hypotheses
    counts = Counter(hypothesis.text for hypothesis in found)
    assert 1 < len(counts) < 60, "or nothing is shown"
    assert table["count"].sum() == 60
    assert table["share"].sum() == pytest.approx(1)
    assert table["count"].is_monotonic_decreasing
    for text, rows in table.groupby("text"):
        assert rows["count"].sum() == counts[text]
    scores = {(hypothesis.text, round(hypothesis.score, 4)) for hypothesis in found}
    assert {(row.text, round(row.log_prob, 4)) for row in table.itertuples()} == scores


def test_the_entropy_is_that_of_a_distribution_with_a_language_model_too(translator):
    options = SearchOptions(beam_size=1, max_length=4, language_model="lm", language_model_weight=1.5)
    table = greedy_path(translator, SENTENCE, options, candidates=310)
    for _, rows in table.groupby("step"):
        shares = np.exp(rows["log_prob"] - np.logaddexp.reduce(rows["log_prob"]))
        assert rows["entropy"].iloc[0] == pytest.approx(-(shares * np.log(shares)).sum(), abs=1e-3)


def test_a_glossary_without_terms_of_the_sentence_changes_nothing(translator, tmp_path):
    glossary = tmp_path / "terms.tsv"
    glossary.write_text("mouse\tMaus\n", encoding="utf-8")
    options = SearchOptions(beam_size=3, max_length=9)
    asked = options.model_copy(update={"glossary": str(glossary)})
    pd.testing.assert_frame_equal(search_tree(translator, SENTENCE, asked), search_tree(translator, SENTENCE, options))
    word = SENTENCE.split()[1]
    (tmp_path / "its.tsv").write_text(f"{word}\tMaus\n", encoding="utf-8")
    asked = options.model_copy(update={"glossary": str(tmp_path / "its.tsv")})
    for record in (search_tree, greedy_path):
        with pytest.raises(ArgumentError, match=rf"has a term of it, {word} = Maus, .* options with glossary=None\."):
            record(translator, SENTENCE, asked)


def test_what_cannot_be_watched_is_refused(translator):
    with pytest.raises(ValueError, match="'sample' is true"):
        search_tree(translator, SENTENCE, SearchOptions(sample=True))
    with pytest.raises(ArgumentError, match=r"'beam_groups' is 2: .* Pass options with beam_groups=1\."):
        search_tree(translator, SENTENCE, SearchOptions(beam_size=4, beam_groups=2))
    with pytest.raises(ValueError, match=r"the sentence is blank: .* Pass one with words\."):
        search_tree(translator, " ")
    with pytest.raises(ValueError, match=r"expected at most 3 .* Pass a shorter one\."):
        search_tree(translator, SENTENCE, SearchOptions(max_source_tokens=3))
    with pytest.raises(ValueError, match="'sample' is false"):
        sample_counts(translator, SENTENCE, SearchOptions())
