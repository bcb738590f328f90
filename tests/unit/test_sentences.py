"""Where sentences end, in many languages."""

from random import Random

import pytest

from seq2seq.text.cleaning import clean
from seq2seq.text.sentences import ENDS, split_sentences


@pytest.mark.parametrize(
    ("language", "sentences"),
    [
        ("en", ["The teacher buys a book.", "Two dogs sleep.", "The tree is big."]),
        ("en", ["Mr. Smith met Dr. Jones at 3.5 p.m. on Monday."]),
        ("en", ["I came by train, e.g. the fast one, i.e. slowly."]),
        ("en", ["He lives in the U.S. and works for I.B.M. there.", "He left at 5 p.m.", "She stayed."]),
        ("en", ["J. R. R. Tolkien wrote it.", "I read it."]),
        ("en", ["The price is 3.50 euros.", "It is cheap."]),
        ("en", ["Well... I do not know.", "Really?!", "No way…", "Yes."]),
        ("en", ["It is big… is it?"]),
        ("en", ["He said: \"I am here. You are not.\"", "Then he left."]),
        ("en", ["\"Where are you?\" she asked.", "\"Here!\""]),
        ("en", ["Version 2.0 is out.", "(It is good.)", "Try it!"]),
        ("en", ["1. Wash it.", "2. Eat it."]),
        ("en", ["See https://example.org/a?b=c&d=1 now."]),
        ("en", ["the dog sees a bird here.", "the king loves it."]),
        ("de", ["Das ist z. B. gut.", "Dr. Müller kommt am 3. Oktober, d. h. bald."]),
        ("de", ["Er sagte: „Ich komme.“", "Dann ging er."]),
        ("fr", ["M. Dupont est là.", "Est-ce vrai ?", "« Oui. »", "Il part."]),
        ("es", ["¿Dónde está?", "¡Aquí!", "Bien."]),
        ("ru", ["Это г. Москва.", "Там живёт А. С. Пушкин."]),
        ("el", ["Πού είσαι;", "Είμαι εδώ."]),
        ("hi", ["शिक्षक किताब खरीदता है।", "दो कुत्ते सोते हैं।"]),
        ("ar", ["أين أنت؟", "أنا هنا.", "حسنا."]),
        ("ur", ["یہ کیا ہے؟", "یہ کتاب ہے۔", "اچھا۔"]),
        ("am", ["መምህሩ መጽሐፍ ይገዛል።", "ሁለት ውሾች ይተኛሉ።"]),
        ("my", ["ဆရာစာအုပ်ဝယ်သည်။", "ခွေးနှစ်ကောင်အိပ်သည်။"]),
        ("km", ["គ្រូទិញសៀវភៅ។", "ឆ្កែពីរដេក។"]),
        ("th", ["ครูซื้อหนังสือ สุนัขนอน"]),
        (None, ["The teacher buys a book.", "Two dogs sleep."]),
        (None, ["Pan dr. Kowalski kommt z. B. heute.", "Dobré."]),
        ("xx", ["The teacher buys a book.", "Two dogs sleep."]),
    ],
)  # fmt: skip
def test_sentences_of_a_line(language, sentences):
    assert split_sentences(" ".join(sentences), language) == sentences


@pytest.mark.parametrize(
    ("language", "sentences"),
    [
        ("zh", ["他说你好。", "你好吗？", "我很好！"]),
        ("zh", ["好。", "他说：“走吧。”"]),
        ("ja", ["「はい。」と言った。", "彼は行った。"]),
        ("en", ["Hello!", "How are you?", "I am fine."]),
    ],
)
def test_no_space_is_needed_behind_a_mark(language, sentences):
    assert split_sentences("".join(sentences), language) == sentences


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("", []),
        (" \u00a0\u200b", []),
        ("a", ["a"]),
        ("...", ["..."]),
        ("Done. 5.", ["Done. 5."]),
        ("3.", ["3."]),
        ("One\u2003is here.\u00a0Two\u200b is there.", ["One is here.", "Two is there."]),
    ],
)
def test_what_has_no_words_is_no_sentence(text, sentences):
    assert split_sentences(text, "en") == sentences


def test_nothing_is_lost_or_moved():
    random = Random(7)
    letters = [*"abAB  12", *"\"'()[]«»„“”‘’「」と-–:,;", *ENDS, "é", "👩\u200d👧", "\u0301"]
    for _ in range(4000):
        text = "".join(random.choices(letters, k=random.randint(0, 30)))
        sentences = split_sentences(text, random.choice(["en", "de", "ja", "el", None]))
        assert "".join("".join(sentences).split()) == "".join(clean(text).split())
        assert all(sentences)
