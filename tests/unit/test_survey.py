"""Somebody's own pairs: their columns and languages are found, or one line says what was seen and what to give."""

import gzip

import pytest

from seq2seq.config import FilterConfig
from seq2seq.config.languages import language_pair
from seq2seq.corpora import open_corpus
from seq2seq.corpora.survey import detect_pairs, survey_corpus
from seq2seq.errors import CorpusError

ENGLISH = [
    "The children are playing in the garden behind the old house.",
    "Yesterday evening we went to the theatre with our neighbours.",
    "Could you please tell me where the nearest station is?",
    "She has been working for this company since the beginning of the year.",
    "It was raining all day long, so nobody wanted to leave the house.",
    "There are several reasons why this question is not easy to answer.",
]
GERMAN = [
    "Die Kinder spielen im Garten hinter dem alten Haus.",
    "Gestern Abend sind wir mit unseren Nachbarn ins Theater gegangen.",
    "Könnten Sie mir bitte sagen, wo der nächste Bahnhof ist?",
    "Sie arbeitet seit Anfang des Jahres für diese Firma.",
    "Es regnete den ganzen Tag, und so wollte niemand das Haus verlassen.",
    "Es gibt mehrere Gründe, warum diese Frage nicht leicht zu beantworten ist.",
]
FRENCH = [
    "Les enfants jouent dans le jardin derrière la vieille maison.",
    "Hier soir, nous sommes allés au théâtre avec nos voisins.",
    "Pourriez-vous me dire où se trouve la gare la plus proche ?",
    "Elle travaille pour cette entreprise depuis le début de l'année.",
    "Il a plu toute la journée, et personne ne voulait quitter la maison.",
    "Il y a plusieurs raisons pour lesquelles cette question est difficile.",
]
CHINESE = ["孩子们在老房子后面的花园里玩。", "昨晚我们和邻居一起去了剧院。", "请问最近的车站在哪里？"] * 2
PAIRS = list(zip(ENGLISH, GERMAN, strict=True))
LICENCE = "CC-BY 2.0 (France) Attribution: tatoeba.org #{0} (CK) & #{0}7 (someone)"


def rows(*columns, header=()):
    lines = ["\t".join(header)] if header else []
    return lines + ["\t".join(cells) for cells in zip(*columns, strict=True)]


def numbered(form):
    return [form.format(number) for number in range(6)]


@pytest.fixture
def write(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def write(lines, name="pairs.tsv"):
        data = "".join(f"{line}\n" for line in lines).encode()
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        return name

    return write


def message(*args, **options):
    with pytest.raises(CorpusError) as error:
        detect_pairs(*args, **options)
    assert "\n" not in str(error.value)
    return str(error.value)


IDS, CODES = numbered("{0}31"), [["eng"] * 6, ["deu"] * 6]


@pytest.mark.parametrize(
    ("lines", "columns", "header"),
    [
        (rows(ENGLISH, GERMAN), None, False),
        (rows(ENGLISH, GERMAN, numbered(LICENCE)), (1, 2), False),
        (rows(IDS, ENGLISH, IDS, GERMAN), (2, 4), False),
        (rows(IDS, CODES[0], ENGLISH, IDS, CODES[1], GERMAN), (3, 6), False),
        (rows(ENGLISH, CODES[0], GERMAN, CODES[1]), (1, 3), False),
        (rows(numbered("0.9{0}3"), numbered("2021-0{0}-11"), ENGLISH, GERMAN), (3, 4), False),
        (rows(numbered("a{0}f-00{0}"), ENGLISH, GERMAN, [""] * 6), (2, 3), False),
        (rows(ENGLISH, GERMAN, ["news"] * 6), (1, 2), False),
        (rows(ENGLISH, GERMAN, header=("en", "de")), None, True),
        (rows(ENGLISH, GERMAN, header=("English", "Deutsch")), None, True),
        (rows(ENGLISH, GERMAN, header=("source", "target")), None, True),
        (rows(ENGLISH, GERMAN, header=("text_en", "text_de")), None, True),
        (rows(IDS, ENGLISH, GERMAN, header=("id", "English sentence", "translation")), (2, 3), True),
        (rows(numbered("0.9{0}3"), ENGLISH, GERMAN, header=("score", "one", "other")), (2, 3), True),
        (rows(CODES[0], ENGLISH, CODES[1], GERMAN, header=("lang1", "text1", "lang2", "text2")), (2, 4), True),
    ],
)
def test_columns_and_header_of_a_table(write, lines, columns, header):
    found = detect_pairs([write(lines)])
    assert found.corpus.model_dump(exclude_defaults=True) == {
        "tsv": "pairs.tsv",
        **({"columns": columns} if columns else {}),
        **({"header": True} if header else {}),
    }
    assert (found.source_language, found.target_language) == ("en", "de")
    assert [pair[:2] for pair in open_corpus(found.corpus)] == PAIRS


@pytest.mark.parametrize("first", [("German", "Deutsch"), ("It", "Es"), ("Hello.", "Hallo."), ("Text", "Text")])
def test_a_first_pair_is_no_header(write, first):
    assert not detect_pairs([write(rows(ENGLISH, GERMAN, header=first))]).corpus.header


def test_the_description_says_what_was_found(write):
    lines = rows(IDS, ENGLISH, GERMAN, numbered(LICENCE), header=("id", "English", "German", "licence"))
    assert detect_pairs([write(lines)]).description == (
        "pairs.tsv: column 2 (English) to column 3 (German); the first line is a header; left out: column 1 (numbers), "
        "column 4 (attribution)"
    )
    assert detect_pairs([write(["abc\txyz", "def\tuvw"])]).description == (
        "pairs.tsv: column 1 (language unknown) to column 2 (language unknown)"
    )


def test_sentences_without_spaces_are_no_identifiers(write):
    found = detect_pairs([write(rows(numbered("It costs {0} yuan, no less."), numbered("价格是{0}元，不能再少。")))])
    assert (found.corpus.columns, found.source_language, found.target_language) == (None, "en", "zh")


def test_languages_that_cannot_be_told_are_none(write):
    found = detect_pairs([write(rows(numbered("Xq{0} zz"), GERMAN))])
    assert (found.source_language, found.target_language) == (None, "de")


@pytest.mark.parametrize(
    ("name", "languages"),
    [
        ("x.en-de.tsv", ("en", "de")),
        ("pairs_de_en.tsv.gz", ("en", "de")),  # in the order that the text has them
        ("en-lb.tsv", ("en", "lb")),  # a neighbour that the text does not rule out
        ("it-is.tsv", ("en", "de")),  # words, and no languages of this text
        ("en-zh.tsv", ("en", "de")),
    ],
)
def test_languages_in_the_name_of_a_table(write, name, languages):
    found = detect_pairs([write(rows(ENGLISH, GERMAN), name)])
    assert (found.source_language, found.target_language) == languages


def test_scripts_tell_chinese_whatever_a_file_is_called(write):
    found = detect_pairs([write(rows(ENGLISH, CHINESE), "en-ja.tsv")])
    assert (found.source_language, found.target_language) == ("en", "zh")


def test_given_columns_and_languages_are_taken(write):
    file = write(rows(ENGLISH, GERMAN, FRENCH))
    found = detect_pairs([file], columns=(3, 1))
    assert found.corpus.columns == (3, 1)
    assert (found.source_language, found.target_language) == ("fr", "en")
    found = detect_pairs([file], columns=(1, 2), languages=("eng", "nds"))
    assert (found.corpus.columns, found.source_language, found.target_language) == ((1, 2), "en", "nds")


def test_given_languages_choose_and_order_the_columns(write):
    file = write(rows(ENGLISH, GERMAN, FRENCH))
    assert detect_pairs([file], languages=("en", "fr")).corpus.columns == (1, 3)
    assert detect_pairs([file], languages=("fr", "de")).corpus.columns == (3, 2)
    two = write(rows(ENGLISH, GERMAN), "two.tsv")
    assert detect_pairs([two], languages=("de", "en")).corpus.columns == (2, 1)
    assert detect_pairs([two], languages=("en", "de")).corpus.columns is None


def test_columns_that_cannot_be_told(write):
    assert message([write(rows(ENGLISH, GERMAN, FRENCH, IDS))]) == (
        "pairs.tsv: expected two columns of sentences, found 3. column 1: 'The children are playing in th'; column 2: "
        "'Die Kinder spielen im Garten h'; column 3: 'Les enfants jouent dans le jar'; column 4: numbers. Say which "
        "ones are source and target: --columns 1,2."
    )
    smileys = ["\N{GRINNING FACE}", "\N{SLICE OF PIZZA}", "-"] * 2
    assert "found 1. column 1: symbols without a letter or digit; column 2: 'Die" in message(
        [write(rows(smileys, GERMAN))]
    )
    assert detect_pairs([write(rows(smileys, smileys[::-1]))], columns=(2, 1)).corpus.columns == (2, 1)
    assert "found 1. column 1: numbers; column 2: 'Die" in message([write(rows(IDS, GERMAN))])
    assert "expected two of the columns 1 to 2, found --columns 1,3." in message([write(["a\tb"])], columns=(1, 3))
    assert "--columns 2,2" in message([write(["a\tb"])], columns=(2, 2))


def test_ragged_tables(write):
    lines = [*rows(ENGLISH, GERMAN), "one\ttwo\tthree", "four"]
    assert message([write(lines)]) == (
        "pairs.tsv: expected the same number of tab-separated columns in every line, found 8 lines: 6 with 2, 1 with "
        "3, 1 with 1. Fix the file, or say which columns hold source and target: --columns 1,2."
    )
    found = detect_pairs([write(lines[:-1])], columns=(1, 2))
    assert (found.corpus.columns, found.target_language) == ((1, 2), "de")
    assert len(list(open_corpus(found.corpus))) == 7
    few = [*rows(ENGLISH * 5, GERMAN * 5), "one\ttwo\tthree"]
    found = detect_pairs([write(few)])  # which line it is, reading says
    with pytest.raises(CorpusError, match=r"pairs\.tsv:31: expected 2 tab-separated columns, found 3"):
        list(open_corpus(found.corpus))


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"\n \n", "found no text."),
        (b"", "found no text."),
        (b"One line.\nAnother one.\n", "found no tab in most lines."),
        (b"One\rline.\n" + b"x" * 200_000 + b"\n", "found no tab in most lines."),
        (
            b'"One", two.\t"Eins."\n"Two."\t"Zwei."\n"Three."\t"Drei."\n',
            "pairs.tsv:1: expected cells in quotation marks",
        ),
        ("One.\tEins.\n".encode("utf-16"), "found UTF-16. Convert it with `iconv -f utf-16 -t utf-8 pairs.tsv > NEW`."),
        (
            "One.\tEins.\n".encode("utf-16-le"),
            "found UTF-16. Convert it with `iconv -f utf-16le -t utf-8 pairs.tsv > NEW`.",
        ),
        ("schön\tbeau\n".encode("latin-1"), "pairs.tsv:1: expected UTF-8, found byte 0xf6"),
        (
            b"One.\tEins.\rTwo.\tZwei.\r",
            "found lines that end with CR alone, as on old Macs. Convert it with `tr '\\r' '\\n' < pairs.tsv > NEW`.",
        ),
        (b"PK\x03\x04rest", "found a zip archive."),
        (b"\x7fELF\0\x01", "found an executable program."),
        (b'<?xml version="1.0"?>\n<tmx>\n', "found TMX, a translation memory."),
        (b"<url>http://example.org</url>\nOne.\n", "found the tags of IWSLT."),
        (b"\0" * 4000, "found a binary file."),
    ],
)
def test_what_is_no_table_is_named(write, tmp_path, data, found):
    name = write([])
    (tmp_path / name).write_bytes(data)
    assert found in message([name])


def test_quotation_marks_in_sentences_are_text(write):
    said = [f'"{text}" he said.' for text in ENGLISH[:4]] + ['"Yes."', '"No," she "said".']
    assert detect_pairs([write(rows(said, [f"„{text}“" for text in GERMAN]))]).corpus.columns is None


@pytest.mark.parametrize(
    ("names", "languages"),
    [
        (("train.en", "train.de"), ("en", "de")),
        (("train.en-lb.en.gz", "train.en-lb.lb.gz"), ("en", "lb")),
        (("eng/news.txt", "deu/news.txt"), ("en", "de")),
        (("train.src", "train.tgt"), ("en", "de")),
    ],
)
def test_two_files(write, names, languages):
    found = detect_pairs([write(side, name) for side, name in zip((ENGLISH, GERMAN), names, strict=True)])
    assert (found.corpus.source, found.corpus.target) == names
    assert (found.source_language, found.target_language) == languages
    assert [pair[:2] for pair in open_corpus(found.corpus)] == PAIRS


def test_two_files_are_ordered_by_given_languages(write):
    files = [write(ENGLISH, "a"), write(GERMAN, "b")]
    found = detect_pairs(files, languages=("de", "en"))
    assert (found.corpus.source, found.corpus.target, found.source_language) == ("b", "a", "de")
    assert found.description == "b (German) to a (English), aligned line by line"


def test_two_files_that_do_not_go_together(write):
    english, table = write(ENGLISH, "a.en"), write(rows(ENGLISH, GERMAN), "b.tsv")
    assert "expected a line that translates a.en:6" in message([english, write(GERMAN[:5], "a.de")])
    assert message([english, table]).startswith(
        "b.tsv: expected one sentence per line, as in one of two files, found tab"
    )
    assert "found the same one twice" in message([english, english])
    assert "--columns is for one file" in message([english, write(GERMAN, "a.de")], columns=(1, 2))
    assert "found 3: a, b, c." in message(["a", "b", "c"])
    assert "found 0: none." in message([])
    assert message(["absent.tsv"]).startswith("absent.tsv: no such file")


@pytest.mark.parametrize(
    ("languages", "hint"),
    [
        (("en", "eng"), "expected two different languages, e.g. en-de, found en-eng."),
        (("en", "Klingon"), "unknown language 'Klingon'."),
        (("e", "de"), "unknown language 'e'."),
        (("xx", "yy"), "unknown language 'xx'."),
    ],
)
def test_wrong_languages(write, languages, hint):
    said = message([write(rows(ENGLISH, GERMAN))], languages=languages)
    assert said.startswith(f"languages: {hint}")


@pytest.mark.parametrize(
    ("given", "codes"),
    [
        ("en-de", ("en", "de")),
        ("EN-DE", ("en", "de")),
        ("zh-Hans-en", ("zh", "en")),
        ("en-zh-Hans", ("en", "zh")),
        ("pt-BR-en", ("pt", "en")),
        ("en-pt-BR", ("en", "pt")),
        ("zh-Hant-TW-pt-BR", ("zh", "pt")),
        ("eng_Latn-deu_Latn", ("en", "de")),
        ("German-English", ("de", "en")),
        ("mi-tlh", ("mi", "tlh")),
        (("zh-Hans", "English"), ("zh", "en")),
    ],
)
def test_two_languages_in_one_word(given, codes):
    assert language_pair(given) == codes


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("german", "expected two different languages, e.g. en-de; found german"),
        ("de-deu", "expected two different languages, e.g. en-de, found de-deu"),
        ("xx-yy", "unknown language 'xx'"),
        ("en-jp", "unknown language 'jp'. Did you mean 'ja'"),
        ("pt-br-en", "expected two different languages, e.g. en-de, with _ inside a code of several parts"),
        ("", "expected two different languages"),
        ("en-", "unknown language ''"),
    ],
)
def test_no_two_languages(given, said):
    with pytest.raises(CorpusError) as caught:
        language_pair(given)
    assert str(caught.value).startswith(f"languages: {said}")


def test_a_survey_counts_what_the_filters_keep(write):
    lines = ["ab c\tAB x", "ab c \tabba", "\tblank", "ab c\tAB x", "é\txyz!", f"z\t{'x' * 30}"]
    corpus = open_corpus(detect_pairs([write(lines)]).corpus)
    found = survey_corpus(corpus)
    assert found.pairs == 3
    assert (found.source_characters, found.target_characters) == (4 + 5 + 1, 4 + 4 + 4)
    assert (found.source_words, found.target_words) == (5, 4)
    assert (found.source_alphabet, found.target_alphabet) == (len("abcé "), len("ABab xyz!"))
    assert found.shared_characters == pytest.approx(4 / 7)  # a and b, of abc twice and é; it is 6 / 10 of the target's
    assert survey_corpus(corpus, FilterConfig(drop_duplicates=False, max_ratio=None)).pairs == 5


def test_a_name_in_another_script_is_no_alphabet(write):
    lines = [f"{text * 50}\tМосква" for text in ENGLISH]
    assert (
        survey_corpus(
            open_corpus(
                detect_pairs([write(lines)]).corpus,
            )
        ).shared_characters
        == 0.0
    )
    lines[0] += "\n" + "Москва in English text\tМосква"
    corpus = open_corpus(detect_pairs([write(lines)]).corpus)
    assert survey_corpus(corpus, FilterConfig(max_characters=None, max_ratio=None)).shared_characters == 0.0


def test_a_survey_of_nothing(write, tmp_path):
    (tmp_path / "empty.tsv").write_bytes(b"")
    found = survey_corpus(open_corpus(detect_pairs([write(["a\tb"])]).corpus.model_copy(update={"tsv": "empty.tsv"})))
    assert (found.pairs, found.shared_characters) == (0, 0.0)
