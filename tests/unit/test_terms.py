"""Terms stand where attention is at their source words: against plain loops, and in translations."""

from itertools import pairwise

import numpy as np
import pytest
import tensorflow as tf

from seq2seq import SearchOptions, Translator
from seq2seq.data.tokenizer import Tokenizers
from seq2seq.errors import ArgumentError, CorpusError
from seq2seq.inference.requests import Request, demands_of
from seq2seq.inference.shortlist import shortlist_from_pairs
from seq2seq.models.build import build_model
from seq2seq.search import NEG_INF, StepOutput, greedy_search, with_automata
from seq2seq.search.terms import place_terms
from tests.automata import Builder
from tests.conftest import randomize
from tests.fake import BOS, EOS, Fake, V
from tests.reference import log_softmax
from tests.toy import toy_config, toy_tokenizer

SENTENCE = "The teacher buys a book."
PAIRS = [(SENTENCE, "Der Lehrer kauft ein Buch."), ("The old teacher sleeps.", "Der alte Lehrer schläft.")]
TERMS = {"book|books": "Band|Bände|Bandes|Bänden", "teacher": "Bäcker|Bäckers"}


def placed(scores, needed, continued, attended, begins_word, undone=0.0):
    """The definition, for one hypothesis: log p' and the share of each term in each token."""
    p = np.exp(scores)
    kept = (1 - continued.sum()) * np.where(begins_word, (1 - attended.sum()) * p, p) * (1 - undone)
    of_terms = np.zeros((len(needed), len(p)))
    for term, tokens in enumerate(needed):
        there = [token for token in tokens if token > 0]
        weight = continued[term] * p.sum() + (1 - continued.sum()) * attended[term] * p[begins_word].sum()
        of_terms[term, there] = weight * p[there] / p[there].sum()
    mixed = np.maximum(kept + of_terms.sum(axis=0), 1e-30)
    return np.log(mixed), of_terms / mixed


def test_scores_equal_plain_loops():
    random = np.random.default_rng(1)
    scores = log_softmax(2 * random.normal(size=(2, 3, 7))).astype("f")
    needed = np.array([[1, 2], [2, 0]]) * np.ones((2, 3, 1, 1), int)
    continued, attended = (random.dirichlet(np.ones(3), size=(2, 3))[:, :, :2].astype("f") for _ in range(2))
    undone = 0.9 * random.random(size=scores.shape).astype("f")
    for part in (continued, attended, undone):
        part[1, 2] = 0
    begins_word = np.array([[False, True, False, False, True, True, True]])
    parts = (tf.constant(part) for part in (needed, continued, attended, undone, begins_word))
    output, shares = place_terms(StepOutput(tf.constant(scores), (), tf.zeros([2, 3, 4])), *parts)
    for row, k in np.ndindex(2, 3):
        its = (part[row, k].astype(float) for part in (continued, attended))
        expected, of_terms = placed(scores[row, k].astype(float), needed[row, k], *its, begins_word[0], undone[row, k])
        np.testing.assert_allclose(output.scores[row, k], expected, atol=1e-5)
        np.testing.assert_allclose(shares[row, k], [of_terms[0, [1, 2]], [of_terms[1, 2], 0]], atol=1e-5)
    np.testing.assert_array_equal(output.scores[1, 2], scores[1, 2], "no term changes nothing, bit for bit")


def test_tokens_that_are_excluded_remain_excluded():
    scores = tf.constant([[[0.0, NEG_INF, -1.0, -2.0]]])
    weights, nothing = tf.constant([[[0.9]]]), tf.zeros([1, 1, 1])
    parts = tf.constant([[[[1]]]], tf.int64), nothing, weights, tf.zeros([1, 1, 4]), tf.ones([1, 4], tf.bool)
    output, shares = place_terms(StepOutput(scores, (), tf.zeros([1, 1, 2])), *parts)
    assert output.scores[0, 0, 1] <= NEG_INF / 2
    assert not shares.numpy().any()


@pytest.mark.parametrize("seed", range(4))
def test_greedy_search_equals_plain_loops(seed):
    """Two terms; the second one has two tokens, of which the last does not begin a word."""
    fake, limit = Fake(seed, 2), 9
    builder = Builder(V)
    states = [builder.require([4]), builder.require([5, 1])]
    sources = np.array([[[1, 0, 0], [0, 1, 0]]] * 2, np.float32)
    begins_word = np.arange(V) > 1
    automata = builder.build([states, states], sources, begins_word)
    result = greedy_search(
        *with_automata(fake, *fake.start(), automata, bos_id=BOS, eos_id=EOS), fake.rules([limit, limit])
    )
    for row in range(2):
        tokens, log_probs, shares = [], [], np.zeros((2, V))
        while tokens[-1:] != [EOS]:
            state = 0
            for token in [BOS, *tokens]:
                state = (7 * state + token + 1) % len(fake.logits[row])
            is_begun, is_done = tokens[-1:] == [5], [4 in tokens, (5, 1) in pairwise(tokens)]
            needed = [[4], [1 if is_begun else 5]]
            continued = np.where(is_done, 0.0, shares[:, tokens[-1]] if tokens else 0.0)
            attended = np.where(is_done, 0.0, fake.weights[row, state, :2])
            log_p, shares = placed(log_softmax(fake.logits[row, state]), needed, continued, attended, begins_word)
            missing = [0 if is_done[0] else 1, 0 if is_done[1] else 1 if is_begun else 2]
            left = limit - len(tokens) - 1
            possible = [1, 4, 5] if sum(missing) else [1, EOS, 4, 5]
            if left == 0:
                possible = [EOS]
            elif sum(missing) == left:  # nothing that begins the second term anew
                possible = [1] if is_begun and missing[1] else [needed[n][0] for n in range(2) if missing[n]]
            tokens.append(max(possible, key=lambda token: log_p[token]))
            log_probs.append(log_p[tokens[-1]])
        length = int(result.lengths[row, 0])
        assert result.tokens[row, 0, :length].numpy().tolist() == tokens
        np.testing.assert_allclose(result.log_probs[row, 0, :length], log_probs, atol=1e-5)


@pytest.fixture(scope="module")
def translator():
    loaded = Translator.load("phrasebook-en-de")
    sides = (
        tokens.encode_batch(texts) for tokens, texts in zip(loaded.tokenizers, zip(*PAIRS, strict=True), strict=True)
    )
    shortlist = shortlist_from_pairs(zip(*sides, strict=True), *(one.vocabulary_size for one in loaded.tokenizers))
    return Translator(loaded.model, *loaded.tokenizers, loaded.options, shortlist)


@pytest.mark.parametrize(
    "options", [{"beam_size": 1}, {"beam_size": 5}, {"sample": True, "seed": 3, "temperature": 0.2}, {"shortlist": 50}]
)
def test_terms_replace_the_words_of_the_model(translator, options):
    options = SearchOptions(**options)
    requests = [Request(SENTENCE, terms=TERMS), SENTENCE, Request("The old teacher sleeps.", terms=TERMS)]
    found = translator.translate(requests, options)
    for request, together in zip(requests, found, strict=True):
        (alone,) = translator.translate([request], options)
        assert alone.tokens == together.tokens
        assert alone.score == pytest.approx(together.score, abs=1e-5)
        if request != SENTENCE:
            assert together.unsatisfied == ()
            assert any(word in together.text.split() for word in ("Bäcker", "Bäckers")), together.text
            assert not any(word in together.text for word in ("Buch", "Lehrer")), together.text


@pytest.mark.parametrize("beam_size", [1, 5])
def test_words_that_the_model_does_not_know_are_spelled_in_one_go(translator, beam_size):
    (found,) = translator.translate([Request(SENTENCE, terms={"book": "Heft"})], SearchOptions(beam_size=beam_size))
    assert found.text == "Der Lehrer kauft ein Heft."


def test_without_attention_terms_are_placed_as_other_phrases_are(tmp_path):
    tokenizer = toy_tokenizer()
    configs = [
        toy_config(tmp_path, encoder={"dropout": 0.0}, decoder=decoder)
        for decoder in ({"attention": "none", "context": "every_step"}, {})
    ]
    models = [build_model(config, Tokenizers(tokenizer, tokenizer)) for config in configs]
    for model in models:
        randomize(model, seed=5, scale=0.7)
    for ensemble in ([models[0]], models):
        toy = Translator(ensemble, tokenizer, tokenizer, SearchOptions(beam_size=2, max_length=12))
        term, phrase = toy.translate([Request("the dog", terms={"dog": "cat"}), Request("the dog", include=["cat"])])
        assert term.unsatisfied == phrase.unsatisfied == ()
        assert (term.score == phrase.score) == (len(ensemble) == 1)


def test_terms_of_a_line_take_precedence_over_the_glossary(translator, tmp_path):
    (tmp_path / "glossary.tsv").write_text("a book\tein Heft\nteacher\tKönig\n")
    options = SearchOptions(glossary=str(tmp_path / "glossary.tsv"))
    plain, own = translator.translate([SENTENCE, Request(SENTENCE, terms={"book": "Band|Bandes"})], options)
    assert "König" in plain.text
    assert "ein Heft" in plain.text
    assert "König" in own.text
    assert "Band" in own.text
    assert "Heft" not in own.text
    assert own.unsatisfied == plain.unsatisfied == ()


def test_the_source_tokens_of_each_occurrence_are_known():
    surfaces = [" Th", "e", " tea", "cher", " and", " t", "eachers", ",", " teacher", "."]
    (demand,) = demands_of(Request("", terms={"teacher|teachers": "Lehrer"}), surfaces)
    assert (demand.kind, demand.variants, demand.positions) == ("include", ("Lehrer",), (2, 3, 5, 6, 8))
    assert demands_of(Request("", terms={"each": "jeder"}), surfaces) == []
    as_bytes = [" ", "", "", "书", "", "", "店", " a"]
    (demand,) = demands_of(Request("", terms={"书店": "Laden"}), as_bytes)
    assert demand.positions == (1, 2, 3, 4, 5, 6)
    (demand,) = demands_of(Request("", terms={"店": "Laden"}), as_bytes)
    assert demand.positions == (4, 5, 6)


def test_terms_share_the_attention_at_a_token_that_belongs_to_both():
    """Scores remain log-probabilities: p' sums to 1."""
    fake, builder = Fake(1, 1), Builder(V)
    states = [builder.require([4]), builder.require([5])]
    automata = builder.build([states], np.ones((1, 2, 3), np.float32))
    step, state, memory = with_automata(fake, *fake.start(), automata, bos_id=BOS, eos_id=EOS)
    scores = step(tf.constant([[BOS]], tf.int64), state, memory).scores
    np.testing.assert_allclose(np.exp(scores).sum(), 1.0, atol=1e-5)


def test_terms_are_found_across_any_space(translator):
    request = Request("The  old \u00a0teacher sleeps.", terms={"old teacher": "Bäcker"})
    ((part,),) = translator.divide([request], SearchOptions())
    (demand,) = part.demands
    surfaces = translator.tokenizers.source.surfaces(part.text)
    assert "".join(surfaces[position] for position in demand.positions) == " old teacher"


@pytest.mark.parametrize(
    ("terms", "part"),
    [
        (["a"], "expected source terms with their translations"),
        ({"a": 1}, "expected strings, found .*1"),
        ({"a": " "}, "' ' is blank"),
        ({"a|b": "x", "b": "y"}, "the source term 'b' occurs twice"),
    ],
)
def test_terms_that_are_wrong(terms, part):
    with pytest.raises(ArgumentError, match=part):
        Request("a", terms=terms)


def test_terms_as_json():
    request = Request.from_json('{"text": "a", "terms": {"book|books": "Buch"}}', "file:1")
    assert request.terms == {"book|books": "Buch"}
    with pytest.raises(CorpusError, match=r"file:1: 'terms': expected an object of strings, found \['a'\]|\[\"a\"\]"):
        Request.from_json('{"text": "a", "terms": ["a"]}', "file:1")
