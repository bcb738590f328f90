"""What counts as white space and what as nothing, against Unicode's own definitions."""

import sys
import unicodedata
from random import Random

import pytest

from seq2seq.text.cleaning import clean, describe_character, is_blank, plain_form

# Unicode's White_Space and Default_Ignorable_Code_Point (PropList.txt, DerivedCoreProperties.txt).
WHITE_SPACE = [*range(9, 14), 0x20, 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x2028, 0x2029, 0x202F, 0x205F, 0x3000]
IGNORABLE = [
    0xAD, 0x34F, 0x61C, 0x115F, 0x1160, 0x17B4, 0x17B5, *range(0x180B, 0x1810), *range(0x200B, 0x2010),
    *range(0x202A, 0x202F), *range(0x2060, 0x2070), 0x3164, *range(0xFE00, 0xFE10), 0xFEFF, 0xFFA0,
    *range(0xFFF0, 0xFFF9), *range(0x1BCA0, 0x1BCA4), *range(0x1D173, 0x1D17B), *range(0xE0000, 0xE1000),
]  # fmt: skip
ATTACHED = {0x200C, 0x200D, *range(0x180B, 0x1810), *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)}
CONTROLS = [*range(0x20), *range(0x7F, 0xA0)]
NONCHARACTERS = [
    *range(0xFDD0, 0xFDF0),
    *(plane + end for plane in range(0, 0x110000, 0x10000) for end in (0xFFFE, 0xFFFF)),
]
SURROGATES = range(0xD800, 0xE000)


def test_all_white_space_is_a_space():
    for code in [*WHITE_SPACE, *range(0x1C, 0x20)]:
        assert clean(f"a{chr(code)}ä") == "a ä", hex(code)
        assert is_blank(chr(code)), hex(code)


def test_what_is_invisible_is_nothing():
    for code in IGNORABLE:
        kept = chr(code) if code in ATTACHED else ""
        assert clean(f"a{chr(code)}ä") == f"a{kept}ä", hex(code)
        assert clean(f"{chr(code)}a {chr(code)}b") == "a b", "behind a space it changes no character"
        assert is_blank(f" {chr(code)}{chr(code)}"), hex(code)


def test_controls_and_noncharacters_break_nothing():
    for code in [*CONTROLS, *NONCHARACTERS]:
        space = code in (*range(9, 14), *range(0x1C, 0x20)) or 0x80 <= code < 0xA0
        assert clean(f"a{chr(code)}ä") == ("a ä" if space else "aä"), hex(code)
        assert is_blank(chr(code))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\x1b[31mThe teacher\x1b[0m buys\x07", "The teacher buys"),
        ("\x1b[1;38;5;12mred\x1b[K", "red"),
        ("\ufeffThe tea\xadcher\u200b buys", "The teacher buys"),
        ("\u202bשל\u202c \u2067abc\u2069", "של abc"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("क्\u200dष", "क्\u200dष"),
        ("\U0001f469\u200d\U0001f3eb \u2764\ufe0f \U0001f44d\U0001f3fd", None),
        ("\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f", None),
        ("hidden\U000e0041\U000e0042", "hidden"),
        ("1\ufe0f\u20e3", "1\ufe0f\u20e3"),
        ("葛\U000e0100城", "葛\U000e0100城"),
        ("Zoe\u0308", "Zoë"),
        ("e\u200b\u0301", "é"),
        ("\ud83d\ude00", "\U0001f600"),
        ("a\ud83d b\udc00", "a\ufffd b\ufffd"),
        ("\ue000 \U0001fad9", "\ue000 \U0001fad9"),  # private use; newer than some tables
        ("  two  spaces ", "  two  spaces "),
        ("〈｡〉ﬁ²…", "〈｡〉ﬁ²…"),
    ],
    ids=ascii,
)  # fmt: skip
def test_examples(text, expected):
    assert clean(text) == (text if expected is None else expected)


def test_every_character_is_itself_or_its_normal_form_or_named_above():
    odd = {*WHITE_SPACE, *IGNORABLE, *CONTROLS, *NONCHARACTERS, *SURROGATES, 0xFFF9, 0xFFFA, 0xFFFB}
    for code in range(sys.maxunicode + 1):
        if code not in odd:
            text = chr(code)
            assert clean(text) == unicodedata.normalize("NFC", text), hex(code)


def test_cleaning_twice_is_cleaning_once_and_gives_one_line():
    random = Random(4)
    codes = [
        *WHITE_SPACE,
        *IGNORABLE[:80],
        *CONTROLS,
        *NONCHARACTERS[:40],
        *SURROGATES[::200],
        *map(ord, "aäe\u0301 Б他😀"),
    ]
    for _ in range(10_000):
        text = "".join(map(chr, random.choices(codes, k=random.randint(0, 12))))
        once = clean(text)
        assert clean(once) == once
        assert len(once.splitlines()) <= 1
        assert once.split() == [word for word in once.split(" ") if word], "no white space but spaces"
        once.encode("utf-8")
        assert is_blank(text) == (plain_form(text) == "")


def test_the_plain_form_has_one_space_between_words():
    assert plain_form("\ufeff a\u00a0\u3000 b\tZoe\u0308 ") == "a b Zoë"


@pytest.mark.parametrize(
    ("character", "shown"), [("ë", "ë"), ("ь", "ь"), ("\u0301", "U+0301"), ("\ue000", "U+E000"), ("\u200d", "U+200D")]
)
def test_a_character_that_cannot_be_shown_has_its_number(character, shown):
    assert describe_character(character) == shown
