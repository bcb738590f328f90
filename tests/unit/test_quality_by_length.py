"""Scores by length: each bucket is what sacreBLEU gives for its sentences; and what an encoder hands over."""

import numpy as np
import pytest
from sacrebleu.metrics import BLEU, CHRF

from seq2seq.analysis.error_analysis import quality_by_length
from seq2seq.analysis.representations import bottleneck_size
from seq2seq.config import SearchOptions
from seq2seq.data.tokenizer import Tokenizers
from seq2seq.errors import EvaluationError
from seq2seq.inference.translator import Translator
from seq2seq.models.build import build_model
from tests.conftest import randomize
from tests.toy import pairs, toy_config, toy_tokenizer

PAIRS = pairs(40, 3)
WORSE = [reference.replace("und", "oder").replace("Hund", "Kater") for _, reference in PAIRS]


def test_each_bucket_is_scored_as_a_corpus_of_its_own():
    systems = {"good": [reference for _, reference in PAIRS], "worse": WORSE}
    table = quality_by_length(systems, PAIRS, (5, 7), bootstrap=False)
    lengths = [len(source.split()) for source, _ in PAIRS]
    assert list(table["length"].unique()) == ["5-6", f"7-{max(lengths)}"]
    seen = 0
    for row in table.itertuples():
        first, _, last = row.length.partition("-")
        inside = [i for i, n in enumerate(lengths) if int(first) <= n <= int(last or first)]
        assert row.sentences == len(inside) > 0
        assert row.mean_length == pytest.approx(np.mean([lengths[i] for i in inside]))
        metric = {"BLEU": BLEU(), "chrF2": CHRF()}[row.metric]
        chosen = [systems[row.system][i] for i in inside], [[PAIRS[i][1] for i in inside]]
        assert row.score == pytest.approx(metric.corpus_score(*chosen).score)
        assert np.isnan(row.low)
        seen += row.sentences * (row.system == "good") * (row.metric == "BLEU")
    assert seen == len(PAIRS)
    assert set(table["system"]) == {"good", "worse"}


def test_intervals_hold_the_score_and_edges_begin_buckets():
    table = quality_by_length({"worse": WORSE}, PAIRS, (3, 7), metrics=["BLEU"])
    assert (table["low"] <= table["score"]).all()
    assert (table["score"] <= table["high"]).all()
    assert (table["low"] < table["high"]).any()
    texts = [("a b", "x"), ("a b c", "y"), ("a b c d e", "z")]
    by_words = quality_by_length({"s": ["x", "y", "z"]}, texts, (3, 4), metrics=["chrF2"], bootstrap=False)
    assert by_words["length"].tolist() == ["2", "3", "4-5"]
    texts = [("我要去。", "x"), ("我要去 Oslo 打篮球。", "y"), ("ที่นี่", "z")]  # each character with its marks is a word
    by_characters = quality_by_length({"s": ["x", "y", "z"]}, texts, (3, 5), metrics=["chrF2"], bootstrap=False)
    assert by_characters["length"].tolist() == ["2", "3-4", "5-8"]
    texts = [("a b", "x"), ("a b c", "y"), ("a b c d e", "z")]
    by_letters = quality_by_length(
        {"s": ["x", "y", "z"]}, texts, (4,), metrics=["chrF2"], bootstrap=False, length_function=len
    )
    assert by_letters["length"].tolist() == ["3", "4-9"]
    assert by_letters["sentences"].tolist() == [1, 2]


def test_bad_input_is_refused():
    with pytest.raises(EvaluationError, match="no pairs"):
        quality_by_length({"s": []}, [], (3,))
    with pytest.raises(EvaluationError, match=r"'s' has 1 translation for 2 pairs"):
        quality_by_length({"s": ["x"]}, [("a", "x"), ("b", "y")], (3,))
    with pytest.raises(EvaluationError, match=r"'edges' are \[4, 4\]"):
        quality_by_length({"s": ["x"]}, [("a", "x")], (4, 4))
    with pytest.raises(EvaluationError, match="unknown metric 'BLUE'"):
        quality_by_length({"s": ["x"]}, [("a", "x")], (4,), metrics=["BLUE"])


def made(folder, **decoder):
    tokenizer = toy_tokenizer()
    config = toy_config(folder, encoder={"units": 10, "dropout": 0.0}, decoder=decoder)
    model = build_model(config, Tokenizers(tokenizer, tokenizer))
    randomize(model, seed=5, scale=0.7)
    return Translator(model, tokenizer, tokenizer, SearchOptions(beam_size=1, max_length=8))


@pytest.mark.parametrize(
    ("decoder", "expected"),
    [
        ({"attention": "none", "bridge": "copy", "units": 10}, (10, 0)),
        ({"attention": "none", "bridge": "dense", "units": 7}, (7, 0)),
        ({"attention": "none", "context": "every_step", "units": 7}, (7, 0)),
        ({"attention": "none", "cell": "lstm", "layers": 2, "units": 7}, (28, 0)),
        ({"attention": "general", "units": 7}, (7, 10)),
        ({"attention": "general", "units": 8, "heads": 2}, (8, 10)),
    ],
)
def test_what_is_handed_over(tmp_path, decoder, expected):
    assert bottleneck_size(made(tmp_path, **decoder).model) == expected
