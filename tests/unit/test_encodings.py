"""Text in another encoding is named, with the command that converts it; a stray byte is no other encoding."""

import pytest

from seq2seq.cli.console import input_lines
from seq2seq.corpora import read_lines
from seq2seq.corpora.encodings import find_wide_encoding, guess_encoding
from seq2seq.errors import CorpusError

TEXTS = {
    "de": "Die Mädchen gehen über die Brücke.\nDer Baum ist groß.\n",
    "de quotes": "Er sagte „hallo“ – es kostet 5 €.\n",
    "en": "He said “hello” – it’s 5 €.\nDon’t worry about it.\n",
    "fr": "Hier soir, nous sommes allés au théâtre.\nOù est la gare la plus proche ?\n",
    "es": "¿Dónde está la estación?\nEl niño comió una manzana.\n",
    "sv": "Barnen leker i trädgården bakom det gamla huset.\nI går kväll gick vi på teater.\n",
    "pl": "Wczoraj wieczorem poszliśmy do teatru z naszymi sąsiadami.\nDzieci bawią się w ogrodzie.\n",
    "cs": "Děti si hrají na zahradě za starým domem.\nVčera večer jsme šli do divadla.\n",
    "hu": "A gyerekek a régi ház mögötti kertben játszanak.\nTegnap este színházba mentünk.\n",
    "tr": "Çocuklar eski evin arkasındaki bahçede oynuyor.\nDün akşam tiyatroya gittik.\n",
    "ru": "Дети играют в саду за старым домом.\nВчера вечером мы ходили в театр.\n",
    "el": "Τα παιδιά παίζουν στον κήπο πίσω από το παλιό σπίτι.\n",
    "he": "הילדים משחקים בגינה מאחורי הבית הישן.\nאתמול בערב הלכנו לתיאטרון.\n",
    "ar": "يلعب الأطفال في الحديقة خلف المنزل القديم.\n",
    "zh": "孩子们在老房子后面的花园里玩。\n昨晚我们和邻居一起去了剧院。\n",
    "zh-TW": "孩子們在老房子後面的花園裡玩。\n昨晚我們和鄰居一起去了劇院。\n",
    "ja": "子供たちは古い家の裏の庭で遊んでいます。\n昨日の夜、劇場に行きました。\n",
    "ko": "아이들은 낡은 집 뒤 정원에서 놀고 있다.\n어제 저녁 우리는 극장에 갔다.\n",
}
ENCODED = [
    ("de", "cp1252"),
    ("de", "latin-1"),
    ("de", "cp850"),
    ("de", "macintosh"),
    ("de quotes", "cp1252"),
    ("en", "cp1252"),
    ("fr", "cp1252"),
    ("es", "cp1252"),
    ("sv", "cp1252"),
    ("pl", "cp1250"),
    ("pl", "iso8859_2"),
    ("cs", "cp1250"),
    ("hu", "cp1250"),
    ("tr", "cp1254"),
    ("ru", "cp1251"),
    ("ru", "koi8_r"),
    ("ru", "cp866"),
    ("el", "cp1253"),
    ("he", "cp1255"),
    ("ar", "cp1256"),
    ("zh", "gb18030"),
    ("zh-TW", "big5"),
    ("ja", "cp932"),
    ("ja", "euc_jp"),
    ("ko", "cp949"),
]


@pytest.mark.parametrize(("language", "encoding"), ENCODED)
def test_an_encoding_is_guessed(language, encoding):
    data = TEXTS[language].encode(encoding)
    guess = guess_encoding(data)
    assert guess is not None
    assert data.decode(guess) == TEXTS[language]


ENGLISH = ["The children are playing in the garden.", "Yesterday evening we went to the theatre."]


@pytest.mark.parametrize("layout", ["{}\t{}", '"{}","{}"', "{},{}", "{1}\t{0}"])
@pytest.mark.parametrize(("language", "encoding"), ENCODED)
def test_an_encoding_is_guessed_beside_english(language, encoding, layout):
    lines = zip(ENGLISH, TEXTS[language].splitlines(), strict=False)
    data = "\n".join(layout.format(*pair) for pair in lines if not pair[1].isascii()).encode(encoding)
    guess = guess_encoding(data)
    assert guess is not None
    assert data.decode(guess) == data.decode(encoding)


@pytest.mark.parametrize("encoding", ["cp1252", "cp850", "macintosh"])
@pytest.mark.parametrize("word", ["füttert", "Brücke", "déjà", "groß"])
def test_an_encoding_is_guessed_by_one_word(word, encoding):
    data = f"My father feeds the hamster.\tDas ist {word} .\n".encode(encoding)
    guess = guess_encoding(data)
    assert guess is not None
    assert data.decode(guess) == data.decode(encoding)


@pytest.mark.parametrize("encoding", ["cp1251", "koi8_r", "cp866"])
def test_cyrillic_of_few_words_is_guessed_by_its_capitals(encoding):
    text = "I like you.\tТы мне нравишься.\nWhere is he?\tГде он сейчас живёт?\n"
    guess = guess_encoding(text.encode(encoding))
    assert guess is not None
    assert text.encode(encoding).decode(guess) == text


def failure(read):
    with pytest.raises(CorpusError) as error:
        list(read())
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(("language", "name"), [("de", "cp1252"), ("ru", "cp1251"), ("zh", "gb18030"), ("ja", "cp932")])
def test_a_file_in_it_is_an_error_with_the_command(tmp_path, language, name):
    path = tmp_path / "text"
    path.write_bytes(TEXTS[language].encode(name))
    command = f"`iconv -f {name} -t utf-8 {path} > NEW`."

    def given():
        with input_lines(path, "") as lines:
            yield from lines

    for said in (failure(lambda: read_lines(path)), failure(given)):
        assert "It looks like " in said
        assert said.endswith(command)


def test_a_stray_byte_is_no_other_encoding(tmp_path, capsys):
    contents = {
        b"gr\xc3\xbcn\ngro\xdf\nsch\xc3\xb6n\n": ["grün", "gro\ufffd", "schön"],
        b"one\ntw\xff\nthree\n": ["one", "tw\ufffd", "three"],
        b"".join(b"line\n" for _ in range(99)) + b"a\x92b\x92c\n": ["line"] * 99 + ["a\ufffdb\ufffdc"],
        "größer\n".encode()[:-2]: ["größe"],
    }
    for number, (content, lines) in enumerate(contents.items()):
        path = tmp_path / f"text{number}"
        path.write_bytes(content)
        with input_lines(path, "") as read:
            assert list(read) == lines
    said = failure(lambda: read_lines(tmp_path / "text0"))
    assert said.startswith(
        f"{tmp_path / 'text0'}:2: expected UTF-8, found byte 0xdf at column 4. Other lines are UTF-8: "
    )
    assert said.endswith(f"`iconv -c -f utf-8 -t utf-8 {tmp_path / 'text0'} > NEW`.")


def test_a_character_that_the_look_at_the_beginning_cuts_is_whole(tmp_path):
    path = tmp_path / "text"
    for shift in range(4):
        text = "x" * shift + "日本" * 30_000 + "\n" + "日本\n" * 3
        path.write_bytes(text.encode())
        with input_lines(path, "") as lines:
            assert list(lines) == text.splitlines()


WIDE = ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"]


@pytest.mark.parametrize("encoding", WIDE)
@pytest.mark.parametrize("text", [*TEXTS.values(), "Hallo", "One.\tEins.\r\nTwo.\tZwei.\r\n", "😀 smile\n"], ids=ascii)
def test_wide_encodings_are_recognized_without_a_mark_and_with_one(encoding, text):
    assert find_wide_encoding(text.encode(encoding)) == encoding.replace("-le", "le").replace("-be", "be")
    assert find_wide_encoding(f"\ufeff{text}".encode(encoding)) == encoding[:6]


@pytest.mark.parametrize("text", ["a\0b\n\0c\nlast\n", "\0\n", "null \0 here\n" * 50, "\1\2\3\n\0"])
def test_text_with_nulls_is_not_wide(text):
    assert find_wide_encoding(text.encode()) is None


def test_binary_data_is_not_wide(rng):
    for size in (10, 100, 1000, 9000):
        for _ in range(20):
            assert find_wide_encoding(rng.bytes(size).replace(b"\xff\xfe", b"").replace(b"\xfe\xff", b"")) is None
