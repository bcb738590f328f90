"""Scores of languages: BLEU's tokenizer and TER's words follow the language, or the choice of a tokenizer."""

import builtins
import sys
import warnings

import pytest
from sacrebleu.metrics import BLEU, TER
from sacrebleu.tokenizers import tokenizer_spm

from seq2seq.corpora.languages import detect_cjk_language
from seq2seq.errors import EvaluationError, MissingExtraError
from seq2seq.evaluation.metrics import score_texts
from tests.unit.test_evaluation import CHINESE, HYPOTHESES, JAPANESE, KOREAN, REFERENCES, needs_mecab

THAI = (["ครูซื้อหนังสือเล่มหนึ่ง", "หมาสองตัวกำลังนอน", "ต้นไม้ใหญ่มาก"], ["ครูซื้อหนังสือหนึ่งเล่ม", "หมาสองตัวนอนหลับ", "ต้นไม้ต้นนี้ใหญ่มาก"])
BURMESE = (["ဆရာသည်စာအုပ်တစ်အုပ်ဝယ်သည်။"], ["ဆရာကစာအုပ်တစ်အုပ်ဝယ်ခဲ့သည်။"])
KHMER = (["គ្រូទិញសៀវភៅមួយក្បាល"], ["គ្រូទិញសៀវភៅមួយ"])
JAVANESE = (["ꦒꦸꦫꦸꦠꦸꦏꦸꦧꦸꦏꦸ"], ["ꦒꦸꦫꦸꦠꦸꦏꦸꦧꦸꦏꦸꦱꦶꦗꦶ"])


@pytest.mark.parametrize(
    ("languages", "tokenizer", "ter"),
    [
        ("zh ZH zh-CN zh_Hans zho_Hant cmn Chinese yue wuu_Hans", "zh", "tok:tercom|norm:yes|punct:yes|asian:yes"),
        ("th tha th-TH tha_Thai Thai lo km khm_Khmr Burmese mya_Mymr bo dz jv-Java ban_Bali shn", "char",
         "tok:tercom-char|norm:yes|punct:yes|asian:yes"),
        ("de German deu_Latn jv jav_Latn zh-Latn vi ar_Arab hi fj nds", "13a", "tok:tercom|norm:no|punct:yes|asian:no"),
    ],
)  # fmt: skip
def test_a_language_selects_the_tokenizers(languages, tokenizer, ter):
    for language in (*languages.split(), None) if tokenizer == "13a" else languages.split():
        bleu, _, edits = score_texts(["a b c d"], ["a b c d"], False, language=language)
        assert f"|tok:{tokenizer}|" in bleu.signature, language
        assert ter in edits.signature, language


@needs_mecab
def test_japanese_and_korean_by_other_names():
    for language, tokenizer in (
        ("jpn", "ja-mecab"),
        ("Japanese", "ja-mecab"),
        ("kor_Hang", "ko-mecab"),
        ("ko-KR", "ko-m"),
    ):
        (bleu,) = score_texts(["a b"], ["a b"], False, language=language, metrics=("BLEU",))
        assert f"|tok:{tokenizer}" in bleu.signature


def test_an_unknown_language_has_a_hint():
    with pytest.raises(EvaluationError, match=r"unknown language 'jp'. Did you mean 'ja' \(Japanese\)\?"):
        score_texts(*CHINESE, language="jp")


@pytest.mark.parametrize(
    ("texts", "script", "language"),
    [(THAI, "Thai", "th"), (BURMESE, "Burmese", "my"), (KHMER, "Khmer", "km"), (JAVANESE, "Javanese", "jv-Java")],
)
def test_text_without_spaces_is_scored_by_characters(texts, script, language):
    with pytest.warns(UserWarning, match=f"look {script}, .* 13a .*--bleu-tokenizer char"):
        blind = score_texts(*texts, False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scores = score_texts(*texts, False, language=language)
        (chosen,) = score_texts(*texts, False, tokenizer="char", metrics=["BLEU"])
    assert blind[0].score < 1
    assert blind[2].score >= 60
    assert 20 < scores[0].score == chosen.score < 100
    assert scores[1] == blind[1]
    assert scores[2].score < 60
    # TER of the characters as words.
    spaced = [[" ".join(line) for line in lines] for lines in texts]
    assert scores[2].score == TER().corpus_score(spaced[0], [spaced[1]]).score


@pytest.mark.parametrize("tokenizer", ["13a", "char", "intl", "none", "zh"])
def test_a_tokenizer_can_be_chosen(tokenizer):
    (bleu,) = score_texts(HYPOTHESES, REFERENCES, False, language="ja", metrics=("BLEU",), tokenizer=tokenizer)
    expected = BLEU(tokenize=tokenizer)
    assert bleu.score == expected.corpus_score(HYPOTHESES, [REFERENCES]).score
    assert bleu.signature == str(expected.get_signature())


def test_an_unknown_tokenizer_is_refused():
    with pytest.raises(
        EvaluationError, match=r"unknown BLEU tokenizer 'chars'. Did you mean 'char'\? Accepted: 13a, char"
    ):
        score_texts(HYPOTHESES, REFERENCES, tokenizer="chars")


def test_a_tokenizer_that_cannot_be_downloaded(monkeypatch):
    def fail(*args, **kwargs):
        raise OSError("no network")

    monkeypatch.setattr(tokenizer_spm, "download_file", fail)
    monkeypatch.setattr(tokenizer_spm.os.path, "exists", lambda path: False)
    with pytest.raises(EvaluationError, match=r"needs .*flores200\S+, .*not download: no network. .*tokenizer char"):
        score_texts(HYPOTHESES, REFERENCES, tokenizer="flores200")


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
