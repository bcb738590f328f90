"""Minimum Bayes risk against plain loops over sacreBLEU, distinct texts, and decisions of a translator."""

from random import Random

import numpy as np
import pytest
from sacrebleu.metrics import BLEU, CHRF

from seq2seq import SearchOptions, Translator
from seq2seq.data.tokenizer import Tokenizers
from seq2seq.errors import ConfigError
from seq2seq.inference.decision import BLOCK_COLUMNS, bleu_utilities, chrf_utilities, decide
from seq2seq.inference.demands import Demand
from seq2seq.inference.results import Hypothesis
from seq2seq.models.build import build_model
from tests.conftest import randomize
from tests.toy import pairs, toy_config, toy_tokenizer

pytestmark = pytest.mark.usefixtures("shared_searches")
SENTENCES = [source for source, _ in pairs(5, 8)]


def texts():
    random = Random(5)
    words = ["der", "Hund", "Hund,", "„sieht“", "3,5", "den", "…", "Ä", "Baum.", "  "]
    made = [" ".join(random.choices(words, k=random.randint(1, 9))) for _ in range(12)]
    return [*made, made[0], "", "a", "ab", "aaaa", "der der der", "Der Hund sieht den Baum, oft!"]


@pytest.mark.parametrize(
    ("utilities", "metric"), [(chrf_utilities, CHRF()), (bleu_utilities, BLEU(effective_order=True, force=True))]
)
@pytest.mark.parametrize("columns", [7, BLOCK_COLUMNS])
def test_utilities_are_sentence_scores_of_sacrebleu(utilities, metric, columns, monkeypatch):
    monkeypatch.setattr("seq2seq.inference.decision.BLOCK_COLUMNS", columns)
    expected = [[metric.sentence_score(ours, [theirs]).score for theirs in texts()] for ours in texts()]
    np.testing.assert_allclose(utilities(texts()), expected, rtol=1e-12, atol=1e-12)


def test_characters_of_a_script_without_spaces_are_words_of_bleu():
    found = bleu_utilities(["我爱你们。", "我爱他们。"])
    spaced = BLEU(effective_order=True, tokenize="char").sentence_score("我爱你们。", ["我爱他们。"]).score
    assert found[0, 1] == pytest.approx(spaced)


def hypotheses(*drawn):
    """Hypotheses of one token from pairs of text and log-probability."""
    return [
        Hypothesis(text, log_prob, ["x"], np.array([log_prob], np.float32), np.zeros((1, 0), np.float32))
        for text, log_prob in drawn
    ]


LIST = hypotheses(("der Baum da", -1.0), ("ein Hund", -1.1), ("ein Hund.", -1.2), ("ein Hund", -1.3), ("ein Hut", -9.0))


@pytest.mark.parametrize("sample", [True, False])
@pytest.mark.parametrize(("decision", "metric"), [("mbr-chrf", CHRF()), ("mbr-bleu", BLEU(effective_order=True))])
def test_the_order_is_that_of_the_expected_utility(sample, decision, metric):
    weights = np.ones(5) if sample else np.exp([one.token_log_probs.sum() for one in LIST])
    expected = [
        np.average([metric.sentence_score(one.text, [other.text]).score for other in LIST], weights=weights)
        for one in LIST
    ]
    options = SearchOptions(decision=decision, sample=sample, candidates=5, n_best=5)
    found = decide(LIST, options)
    assert [one.text for one in found] == [LIST[n].text for n in np.argsort(-np.array(expected), kind="stable")]
    np.testing.assert_allclose([one.expected_utility for one in found], sorted(expected, reverse=True), rtol=1e-6)
    assert found[0].text.startswith("ein Hund")  # by score, another is the best
    assert {one.score for one in found} == {one.score for one in LIST}


def test_of_equal_texts_the_best_is_kept():
    kept = decide(LIST, SearchOptions(distinct=True, n_best=3))
    assert [(one.text, one.score) for one in kept] == [(LIST[n].text, LIST[n].score) for n in (0, 1, 2)]
    assert [one.text for one in decide(LIST, SearchOptions(n_best=4))] == [one.text for one in LIST[:4]]


@pytest.mark.parametrize("decision", ["score", "mbr-chrf"])
def test_hypotheses_that_satisfy_more_demands_come_first(decision):
    options = SearchOptions(decision=decision, n_best=5)
    demands = [Demand("include", ("Hund", "Hut")), Demand("exclude", ("Baum",)), Demand("prefix", ("ein Hu",))]
    plain = [one.text for one in decide(LIST, options)]
    found = [one.text for one in decide(LIST, options, demands)]
    assert found == [text for text in plain if text != "der Baum da"] + ["der Baum da"]
    last = decide(LIST, options, [Demand("include", ("Baum", "Hut")), Demand("prefix", ("ein",))])
    assert last[0].text == "ein Hut"
    assert [one.text for one in last[1:]] == [text for text in plain if text != "ein Hut"]
    first = decide(LIST, options.model_copy(update={"n_best": 1}), [Demand("include", ("Hut",))])
    assert [one.text for one in first] == ["ein Hut"]


@pytest.mark.parametrize(
    ("values", "number"),
    [
        ({"n_best": 2}, 2),
        ({"decision": "mbr-chrf"}, 5),
        ({"distinct": True, "beam_size": 7}, 7),
        ({"decision": "mbr-chrf", "candidates": 3}, 3),
        ({"sample": True, "n_best": 4}, 4),
        ({"sample": True, "candidates": 20}, 20),
        ({"sample": True, "distinct": True, "n_best": 6}, 6),
    ],
)
def test_candidates_by_default(values, number):
    assert SearchOptions(**values).num_candidates == number


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"candidates": 3}, "'candidates' is 3: it is for 'decision: mbr-chrf'"),
        ({"candidates": 9, "decision": "mbr-bleu"}, "'candidates' is 9, more than 'beam_size' 5"),
        ({"candidates": 2, "sample": True, "n_best": 3}, "'candidates' is 2, less than 'n_best' 3"),
        ({"sample": True, "decision": "mbr-bleu"}, "e.g. 50: set them, or set 'decision' to score"),
        ({"sample": True, "rerank_model": "x"}, "'rerank_model' is 'x' and 'sample' is true, but there are no"),
        (
            {"decision": "mbr-chrf", "rerank_model": "x"},
            "but there is a 'rerank_model', which changes only scores: set 'decision' to score",
        ),
    ],
)
def test_numbers_of_candidates_that_do_not_fit_are_refused(values, message):
    with pytest.raises(ConfigError, match=message):
        SearchOptions(**values)


@pytest.fixture(scope="module")
def translator(tmp_path_factory):
    tokenizer = toy_tokenizer()
    model = build_model(toy_config(tmp_path_factory.mktemp("decision")), Tokenizers(tokenizer, tokenizer))
    randomize(model, seed=5, scale=0.7)
    return Translator(model, tokenizer, tokenizer, SearchOptions(max_length=8))


@pytest.mark.parametrize(
    "values",
    [
        {"decision": "mbr-chrf", "beam_size": 6, "n_best": 3},
        {"decision": "mbr-bleu", "sample": True, "candidates": 6, "n_best": 3, "distinct": True},
    ],
)
def test_a_translator_decides_among_what_the_search_returns_whatever_the_batch(translator, values):
    options = SearchOptions(max_length=8, **values)
    everything = options.model_copy(update={"decision": "score", "distinct": False, "n_best": 6, "candidates": None})
    found = translator.translate(SENTENCES, options)
    for sentence, ours, candidates in zip(SENTENCES, found, translator.translate(SENTENCES, everything), strict=True):
        expected = decide(candidates.hypotheses, options)
        alone = translator.translate([sentence], options)[0]
        assert [one.text for one in ours.hypotheses] == [one.text for one in expected]
        assert [one.text for one in alone.hypotheses] == [one.text for one in expected]
        utilities = [one["expected_utility"] for one in ours.as_dict()["translations"]]
        np.testing.assert_allclose(utilities, [one.expected_utility for one in expected], rtol=1e-4)
