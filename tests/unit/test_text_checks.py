"""Texts that should not be scored as they are."""

import subprocess
import warnings

import pytest

from seq2seq.errors import EvaluationError
from seq2seq.evaluation.metrics import score_texts
from seq2seq.evaluation.text_checks import check_no_markup, script_warning, text_warnings

PLAIN = ["Der Lehrer kauft ein Buch.", "Zwei Hunde schlafen, und es regnet.", "Das kostet 3,5 Euro (oder 4.000 Yen)."]

SGM = ['<refset setid="own" srclang="en" trglang="de">', '<doc docid="1" sysid="ref">', '<seg id="1">Ein Buch.</seg>']
DOCUMENTS = [
    (SGM, "SGM or XML, as used by WMT"),
    (["", '<!DOCTYPE srcset SYSTEM "x.dtd">', '<srcset setid="own">', "<seg>a</seg>"], "SGM or XML, as used by WMT"),
    (['<?xml version="1.0"?>', '<tmx version="1.4"><body>', "<tu><tuv><seg>a</seg></tuv></tu>"], "TMX"),
    (["<!DOCTYPE html>", "<html>", "<head>"], "HTML"),
]
SENTENCES = [
    "<html> is the root of a page.",
    "<tmx is a format.",
    "<b>Wichtig</b>: hier drücken.",
    "A <seg> has a text.",
    "<3 is a heart, 3 < 4.",
    "<refset> elements hold references.",
    "< Zurück",
    "<unk> ist ein Zeichen.",
    '{"key": "value"}',
]


@pytest.mark.parametrize(("lines", "found"), DOCUMENTS)
def test_documents_in_markup_are_refused(lines, found):
    with pytest.raises(EvaluationError, match=f"^sources: expected one sentence per line, found {found}"):
        check_no_markup(lines, "sources")
    with pytest.raises(EvaluationError, match="references: expected one sentence per line"):
        score_texts(["a"] * len(lines), lines)
    with pytest.raises(EvaluationError, match="hypotheses: expected one sentence per line"):
        score_texts(lines, ["a"] * len(lines))


@pytest.mark.parametrize("sentence", SENTENCES)
def test_sentences_about_markup_are_text(sentence):
    check_no_markup([sentence, "Zwei Hunde."], "references")
    assert text_warnings([sentence, *PLAIN], "references") == []


def test_lines_of_tags_are_counted():
    lines = ["<url>http://x</url>", "<keywords>talks, a</keywords>", *PLAIN, '<doc docid="2">', "</doc>"]
    (text,) = text_warnings(lines, "references")
    assert text.startswith("4 of 7 references are tags of markup, such as <url>http://x</url>, which count as words.")


@pytest.mark.parametrize(
    ("lines", "name"),
    [
        (["Der Leh@@ rer kauft ein Buch .", "Zwei Hun@@ de schla@@"], "'@@', of subword-nmt"),
        (["▁Der ▁Leh rer ▁kauft ▁ein ▁Buch .", "▁Zwei ▁Hunde"], "'▁', of SentencePiece"),
        (["Der Leh ##rer kauft ein Buch .", "Zwei Hun ##de"], "'##', of WordPiece"),
        (["Der Leh￭ rer kauft ein Buch ￭.", "Zwei Hun￭ de"], "'￭', of the OpenNMT tokenizer"),
    ],
)
def test_subwords_are_named_and_joined(lines, name, tmp_path):
    (text,) = text_warnings(lines, "hypotheses")
    assert text.startswith(
        f"2 of 2 hypotheses are split into subwords ({name}), which count as words. Join them first: "
    )
    (text_of_one,) = text_warnings([*lines[:1], *PLAIN * 2], "hypotheses")
    assert text_of_one.startswith(f"1 of 7 hypotheses is split into subwords ({name})")
    assert text_warnings([*lines[:1], *PLAIN * 4], "hypotheses") == [], "one line may quote it"
    (tmp_path / "FILE").write_text("\n".join(lines) + "\n", encoding="utf-8")
    subprocess.run(text.partition("Join them first: ")[2], shell=True, cwd=tmp_path, check=True)
    joined = (tmp_path / "NEW").read_text(encoding="utf-8").splitlines()
    assert joined[0].replace(" .", ".") == "Der Lehrer kauft ein Buch."
    assert text_warnings(joined, "hypotheses") == []


@pytest.mark.parametrize(
    ("line", "tokenized"),
    [
        ("Der Lehrer kauft ein Buch .", True),
        ("Zwei Hunde , die schlafen", True),
        ("Der Lehrer &quot; kauft &quot; es", True),
        ("ein rot @-@ grünes Buch", True),
        ("Der Lehrer kauft ein Buch.", False),
        ("Qui est là ? Moi !", False),
        ("Es kostet .5 Euro, nicht 3,5.", False),
        ("Noch ... und so weiter.", False),
        ("老师买一本书 。", False),
    ],
)
def test_tokenized_text_at_scale(line, tokenized):
    found = text_warnings([line] * 12 + PLAIN, "references")
    assert bool(found) == tokenized
    if tokenized:
        assert found[0].startswith(f"12 of 15 references look tokenized, such as '{line[:40]}'")
    assert text_warnings([line] * 3 + PLAIN, "references") == [], "a few lines of a set"
    assert text_warnings([line] * 12 + PLAIN, "references", "none") == [], "scored as tokenized text"


def test_warnings_are_ours_and_not_those_of_a_library(caplog):
    tokenized = ["Der Lehrer kauft ein Buch ."] * 150
    with pytest.warns(UserWarning, match="look tokenized") as warned:
        score_texts(tokenized, ["Der Lehrer kauft ein Buch."] * 150, False)
    assert len(warned) == 1
    assert warned[0].filename == __file__
    assert caplog.records == []


def test_training_is_advised_of_its_own_options():
    thai, javanese, tokenized = "หมาสองตัวนอนหลับ", "ꦒꦸꦫꦸꦠꦸꦏꦸ", "Ein Buch ."
    assert "Python); or choose a tokenizer: --bleu-tokenizer char" in script_warning([thai], "13a")
    assert script_warning([thai], "13a", in_training=True).endswith("Set the language: --set data.target_language=th")
    assert script_warning([javanese], "13a", in_training=True).endswith("Set validation.metric=loss")
    assert script_warning([thai], "char") is script_warning([tokenized], "13a") is None
    (there,), (here,) = (
        text_warnings([tokenized] * 10, "references", in_training=training) for training in (False, True)
    )
    assert there == f"{here}. To score tokenized text as it is: --bleu-tokenizer none"


def test_plain_text_is_silent():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        score_texts(PLAIN, PLAIN, False)
