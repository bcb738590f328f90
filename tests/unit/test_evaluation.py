"""Scores are sacreBLEU's own, to the last digit."""

import json
import subprocess
import sys

import pytest

from seq2seq.errors import EvaluationError
from seq2seq.evaluation import evaluate, score_texts

REFERENCES = [
    "Der Hund sieht heute den Baum.",
    "Zwei Männer, die lachen, gehen nach Hause!",
    "Das ist ein Haus.",
    "Ein König liebt 3,5 Vögel in der Stadt.",
] * 3
HYPOTHESES = [
    "Der Hund sieht den Baum heute.",
    "Zwei Männer lachen und gehen nach Hause!",
    "Das ist ein Haus.",
    "Der König liebt 3,5 Vögel in einer Stadt.",
] * 3


def test_equals_the_sacrebleu_command(tmp_path):
    (tmp_path / "ref").write_text("\n".join(REFERENCES) + "\n", encoding="utf-8")
    (tmp_path / "hyp").write_text("\n".join(HYPOTHESES) + "\n", encoding="utf-8")
    command = [sys.executable, "-m", "sacrebleu", "ref", "-i", "hyp", "-m", "bleu", "chrf", "-w", "10"]
    plain = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    resampled = subprocess.run([*command, "--confidence"], cwd=tmp_path, capture_output=True, text=True, check=True)
    for theirs, ours in zip(
        json.loads(plain.stdout), score_texts(HYPOTHESES, REFERENCES, bootstrap=False), strict=True
    ):
        assert theirs["name"] == ours.name
        assert round(ours.score, 10) == theirs["score"]
        assert theirs["signature"] == ours.signature
        assert (ours.low, ours.high) == (None, None)
    for theirs, ours in zip(json.loads(resampled.stdout), score_texts(HYPOTHESES, REFERENCES), strict=True):
        assert round(ours.score, 10) == theirs["score"]
        assert theirs["signature"] == ours.signature
        assert (ours.low + ours.high) / 2 == pytest.approx(theirs["confidence_mean"], abs=1e-5)
        assert (ours.high - ours.low) / 2 == pytest.approx(theirs["confidence_var"], abs=1e-5)


def test_almost_worthless_translations_have_an_interval():
    """Some samples have no common n-gram at all, others do."""
    for score in score_texts(["zz"] * 9 + ["abcd"], ["abcd"] * 10):
        assert score.low <= score.score <= score.high


def test_default_signature_is_cased_13a():
    bleu, chrf = score_texts(HYPOTHESES, REFERENCES, bootstrap=False)
    assert bleu.signature.startswith("nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:")
    assert chrf.name == "chrF2"


def test_unequal_numbers_are_an_error():
    with pytest.raises(EvaluationError, match="12 hypotheses for 11 references"):
        score_texts(HYPOTHESES, REFERENCES[:-1])
    with pytest.raises(EvaluationError, match="nothing to score"):
        score_texts([], [])


def test_nothing_to_translate_is_an_error():
    with pytest.raises(EvaluationError, match="no pairs"):
        evaluate(None, [])
