"""Tables as they are found: more columns, names, headers, CSV, quotation marks, scores; or one error that says how."""

import csv
import io
from pathlib import Path

import pytest
import yaml

from seq2seq.config import CorpusConfig, FilterConfig
from seq2seq.config.data import DataConfig
from seq2seq.corpora import open_corpus
from seq2seq.corpora.filters import FilterReport, filter_pairs
from seq2seq.corpora.held_out import open_train, open_valid
from seq2seq.corpora.survey import detect_pairs, survey_corpus
from seq2seq.data.encoded import UNFILTERED
from seq2seq.errors import ConfigError, CorpusError
from tests.command import run

PAIRS = [
    ("The teacher buys a book.", "Der Lehrer kauft ein Buch."),
    ("Two dogs sleep.", "Zwei Hunde schlafen."),
    ("The tree is big.", "Der Baum ist groß."),
    ("Yes, indeed.", "Ja, tatsächlich."),
]


@pytest.fixture
def write(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def write(rows, name="pairs.tsv", **form):
        text = io.StringIO()
        if form:
            csv.writer(text, lineterminator="\n", **form).writerows(rows)
        else:
            text.writelines("\t".join(map(str, row)) + "\n" for row in rows)
        (tmp_path / name).write_text(text.getvalue(), encoding="utf-8")
        return name

    return write


def read(name, **keys):
    return [pair[:2] for pair in open_corpus(CorpusConfig(tsv=name, **keys))]


def failure(name, **keys):
    with pytest.raises(CorpusError) as error:
        read(name, **keys)
    assert "\n" not in str(error.value)
    return str(error.value)


PUBLIC = {
    "ManyThings": ([(*pair, "CC-BY 2.0 (France) Attribution: tatoeba.org #1 (a) & #2 (b)") for pair in PAIRS], (1, 2)),
    "Tatoeba": ([(f"13{n}", pair[0], f"27{n}", pair[1]) for n, pair in enumerate(PAIRS)], (2, 4)),
    "ParaCrawl": ([("http://a.org/1", "http://a.org/2", *pair, "0.8") for pair in PAIRS], (3, 4)),
    "CCMatrix": ([("1.0612", *pair) for pair in PAIRS], (2, 3)),
}


@pytest.mark.parametrize("corpus", PUBLIC)
def test_more_columns_in_every_line(write, corpus):
    rows, columns = PUBLIC[corpus]
    name = write(rows)
    width, shown = len(rows[0]), ", ".join(map(str, columns))
    said = failure(name)
    assert said == (
        f"pairs.tsv:1: expected 2 tab-separated columns, found {width} in every line. Say which columns hold source "
        f"and target: {{tsv: pairs.tsv, columns: [{shown}]}} in a recipe, --columns {shown.replace(' ', '')} in "
        "`seq2seq train FILE`."
    )
    assert read(name, columns=columns) == PAIRS
    assert [pair[:2] for pair in open_corpus(detect_pairs([name]).corpus)] == PAIRS


def test_one_line_with_another_number_of_columns(write):
    name = write([*PAIRS * 5, ("one", "two", "three")])
    assert failure(name).startswith(
        "pairs.tsv:21: expected 2 tab-separated columns, found 3. Remove the extra tab, or "
    )
    assert failure(write([*PAIRS * 5, ("one",)])).endswith(
        "found 1. Add the missing tab: each line is source<TAB>target."
    )
    assert "found 1. Remove the blank line" in failure(write([*PAIRS * 5, ("",)]))
    assert "found 3. Some lines end with CR alone: convert" in failure(write([*PAIRS * 5, ("a", "b\rc", "d")]))


def test_no_tabs_at_all(write):
    said = failure(write([pair[:1] for pair in PAIRS]))
    assert "expected 2 tab-separated columns, found 1 in every line. Give source<TAB>target lines, or two files" in said


def test_columns_by_their_names(write):
    rows = [("id", "German", "English"), *((n, *pair[::-1]) for n, pair in enumerate(PAIRS))]
    name = write(rows)
    assert read(name, columns=("English", "German")) == PAIRS
    assert read(name, columns=("English", 2), header=True) == PAIRS
    found = detect_pairs([name], columns=("English", "German"))
    assert (found.corpus.columns, found.corpus.header) == ((3, 2), True)
    said = failure(name, columns=("English", "Germann"))
    assert said.startswith("pairs.tsv:1: expected the column 'Germann' in the header, found 'id', 'German', 'English'.")
    assert "Did you mean 'German'?" in said
    with pytest.raises(
        CorpusError, match=r"--columns English,Deutsch\. The first line has: 'id', 'German', 'English'\."
    ):
        detect_pairs([name], columns=("English", "Deutsch"))


@pytest.mark.parametrize("header", [("source", "target"), ("English", "German"), ("text_en", "text_de")])
def test_a_header_is_no_pair(write, header):
    name = write([header, *PAIRS])
    assert failure(name).startswith(
        f"pairs.tsv:1: expected a sentence pair, found a header: {header[0]!r}, {header[1]!r}."
    )
    assert read(name, header=True) == PAIRS
    assert read(name, header=False) == [header, *PAIRS]
    assert detect_pairs([name]).corpus.header


@pytest.mark.parametrize("first", [("German", "Deutsch"), ("It", "Es"), ("Text", "Text"), ("The source", "La source")])
def test_a_first_pair_is_no_header(write, first):
    name = write([first, *PAIRS])
    assert read(name) == [first, *PAIRS]
    assert detect_pairs([name]).corpus.header is None


DELIMITERS = {"comma": ",", "semicolon": ";", "pipe": "|"}
MULTILINE = [*PAIRS, ('He said "hello".', 'Er sagte\n  "hallo".'), ("a\tb", "c, d; e | f")]
ONE_LINE = [*PAIRS, ('He said "hello".', 'Er sagte "hallo".'), ("a\tb", "c, d; e | f")]


@pytest.mark.parametrize("delimiter", DELIMITERS)
@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
def test_csv_is_read_if_the_recipe_says_so(write, delimiter, quoting):
    mark = DELIMITERS[delimiter]
    rows = [(*pair, n) for n, pair in enumerate(MULTILINE)]
    name = write(rows, "pairs.csv", delimiter=mark, quoting=quoting)
    assert read(name, delimiter=delimiter, columns=(1, 2)) == ONE_LINE
    said = failure(name)
    assert f"expected tab-separated columns, found CSV, with columns separated by a {delimiter}." in said
    assert f"{{tsv: pairs.csv, delimiter: {delimiter}}}" in said


def test_csv_with_a_header_is_detected(write):
    name = write([("english", "german"), *MULTILINE], "pairs.csv", delimiter=",")
    found = detect_pairs([name])
    assert found.corpus.model_dump(exclude_defaults=True) == {"tsv": name, "delimiter": "comma", "header": True}
    assert [pair[:2] for pair in open_corpus(found.corpus)] == ONE_LINE
    assert "CSV, columns separated by a comma; the first line is a header" in found.description
    assert "delimiter: comma, header: true}" in failure(name)
    assert read(name, delimiter="comma", columns=("english", "german")) == ONE_LINE
    assert next(iter(open_corpus(found.corpus))).origin == "pairs.csv:2"


@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
def test_a_tab_separated_file_that_a_spreadsheet_quoted(write, quoting):
    name = write(MULTILINE, delimiter="\t", quoting=quoting)
    said = failure(name)
    assert said.startswith(
        "pairs.tsv: expected tab-separated text, found cells in quotation marks, as spreadsheets and CSV"
    )
    assert "{tsv: pairs.tsv, quoted: true}" in said
    assert read(name, quoted=True) == ONE_LINE
    assert detect_pairs([name]).corpus.model_dump(exclude_defaults=True) == {"tsv": name, "quoted": True}


def test_stray_quotation_marks_are_text(write):
    rows = [
        ('"Yes," he said.', "„Ja“, sagte er."),
        ('He said: "No."', 'Er sagte: "Nein."'),
        ('"Where?', '"Wo?'),
        ('5" pipe', '5"-Rohr'),
        *PAIRS * 3,
    ]
    name = write(rows)
    assert read(name) == rows
    assert [pair[:2] for pair in open_corpus(detect_pairs([name]).corpus)] == rows


def test_quotation_marks_that_are_all_text_can_be_said_to_be(write):
    rows = [('"Yes."', '"Ja."'), ('"No."', '"Nein."')]
    name = write(rows)
    assert "'quoted: false'" in failure(name)
    assert read(name, quoted=False) == rows


def test_a_mark_that_is_not_closed_names_its_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = "".join(f'"One {n}."\t"Eins {n}."\n' for n in range(300)).replace('Eins 100."', "Eins 100.")
    Path("pairs.tsv").write_text(rows, encoding="utf-8")
    said = failure("pairs.tsv", quoted=True)
    assert said.startswith("pairs.tsv:101: expected cells in quotation marks, ")
    assert said.endswith("Fix the quotation marks in this line, or set 'quoted: false' if they are text.")
    Path("pairs.tsv").write_text('"Yes," he said.\tJa.\n', encoding="utf-8")
    assert failure("pairs.tsv", quoted=True).startswith("pairs.tsv:1: expected cells in quotation marks, ")
    Path("pairs.csv").write_text('"Yes," he said.,Ja.\n', encoding="utf-8")
    assert failure("pairs.csv", delimiter="comma").endswith(
        "Fix the quotation marks in this line."
    )  # CSV is always quoted


def test_sentences_with_commas_are_no_csv(write):
    name = write([(f"Well, this is sentence {n}.",) for n in range(10)])
    with pytest.raises(CorpusError, match=r"found lines with commas\. If it is CSV, rename it to pairs\.csv"):
        detect_pairs([name])


SCORED = [(*pair, score) for pair, score in zip(PAIRS, ("0.9", "0.25", "0.5", "-1e-3"), strict=True)]


def test_pairs_below_the_minimum_score_are_left_out_and_counted(write):
    name = write(SCORED)
    corpus = open_corpus(CorpusConfig(tsv=name, columns=(1, 2), score_column=3, min_score=0.5))
    for _ in range(2):
        report = FilterReport()
        kept = list(filter_pairs(corpus, FilterConfig(), report))
        assert [pair[:2] for pair in kept] == [PAIRS[0], PAIRS[2]]
        assert (report.read, report.kept, dict(report.dropped)) == (4, 2, {"score under 0.5": 2})
    assert survey_corpus(corpus).dropped == "2 score under 0.5"


def test_scores_by_name_and_in_a_mixture(write):
    name = write([("en", "de", "score"), *SCORED])
    part = {"tsv": name, "columns": ("en", "de"), "score_column": "score", "min_score": 0.3}
    mixture = open_corpus(CorpusConfig(mixture=[part, {**part, "min_score": 0.6}]))
    report = FilterReport()
    assert len(list(filter_pairs(mixture, UNFILTERED, report))) == 3
    assert (report.read, dict(report.dropped)) == (8, {"score under 0.3": 2, "score under 0.6": 3})
    targets = open_corpus(CorpusConfig(**part), sides=("target",))
    assert [pair.target for pair in targets] == [PAIRS[0][1], PAIRS[2][1]]


def test_scores_of_a_corpus_that_is_held_out_of(write):
    name = write([(f"one {n}", f"eins {n}", n / 100) for n in range(100)])
    train = CorpusConfig(tsv=name, columns=(1, 2), score_column=3, min_score=0.5)
    data = DataConfig(train=train, valid={"pairs": 10})
    parts = open_train(data)
    reports = [FilterReport(), FilterReport()]
    for corpus, report in zip((*parts, open_valid(data, parts)), reports, strict=True):
        list(filter_pairs(corpus, FilterConfig(), report))
    assert [(report.read, report.kept) for report in reports] == [(90, 40), (10, 10)]


def test_a_score_that_is_no_number_is_an_error(write):
    name = write([*SCORED, ("one", "eins", "high")])
    said = failure(name, columns=(1, 2), score_column=3, min_score=0.5)
    assert said.startswith("pairs.tsv:5: expected a number in column 3 for 'score_column', found 'high'.")
    assert "nan" in failure(write([("one", "eins", "nan")]), columns=(1, 2), score_column=3, min_score=0.5)


def test_a_minimum_score_finds_its_column(write):
    rows = [(n, *pair) for n, pair in enumerate(SCORED)]
    found = detect_pairs([write(rows)], min_score=0.5)
    assert (found.corpus.columns, found.corpus.score_column, found.corpus.min_score) == ((2, 3), 4, 0.5)
    assert "minimum score 0.5 in column 4; left out: column 1 (numbers)" in found.description
    two = write([(*pair, "0.75") for pair in SCORED])
    with pytest.raises(
        CorpusError, match=r"found 2\. column 3: '0.25'; column 4: '0.75'\. Say which it is: --score-column"
    ):
        detect_pairs([two], columns=(1, 2), min_score=0.5)
    assert detect_pairs([two], columns=(1, 2), min_score=0.5, score_column=4).corpus.score_column == 4
    with pytest.raises(CorpusError, match="--min-score is for one file"):
        detect_pairs(["a", "b"], min_score=0.5)


def test_the_command_plans_with_names_and_a_minimum_score(write, capsys):
    rows = [(f"The number is {n}.", f"Die Zahl ist {n}.", n / 100) for n in range(100)]
    name = write([("en", "de", "score"), *rows])
    assert run("train", name, "--columns", "en,de", "--min-score", "0.5", "--dump-config") == 0
    captured = capsys.readouterr()
    train = yaml.safe_load(captured.out)["data"]["train"]
    assert (train["tsv"], train["columns"], train["header"]) == (name, [1, 2], True)
    assert (train["score_column"], train["min_score"]) == (3, 0.5)
    assert "minimum score 0.5 in column 3" in captured.err
    assert "50 pairs" in captured.err
    assert "(left out: 50 score under 0.5)" in captured.err
    assert run("train", "quickstart", "--min-score", "0.5", "--dump-config") == 2
    assert "--min-score 0.5 is for a file of sentence pairs" in " ".join(capsys.readouterr().err.split())


def test_a_fingerprint_follows_the_layout(write):
    name = write([("a", "b", "0.5", "0.6")])
    ways = [
        {},
        {"columns": ("a", "b")},
        {"score_column": 3, "min_score": 0.5},
        {"score_column": 3, "min_score": 0.6},
        {"score_column": 4, "min_score": 0.6},
        {"delimiter": "comma"},
        {"quoted": True},
    ]
    found = {open_corpus(CorpusConfig(tsv=name, **way)).fingerprint() for way in ways}
    assert len(found) == len(ways)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"score_column": 3}, "'score_column' and 'min_score' go together: give both"),
        ({"min_score": 0.5}, "'score_column' and 'min_score' go together: give both"),
        ({"columns": ("en", "en")}, "'columns' names column en twice"),
        (
            {"columns": ("en", "de"), "header": False},
            "column 'en' is given by its name in the header, but",
        ),
        ({"delimiter": "comma", "quoted": False}, "'delimiter: comma' means CSV, whose cells may be quoted"),
        ({"columns": (0, 1)}, "'columns.0': found 0. Input should be the number of a column, from 1, or its name"),
        ({"columns": (1, 1.5)}, "'columns.1': found 1.5. Input should be the number of a column, from 1, or its name"),
    ],
)
def test_keys_that_do_not_go_together(keys, said):
    with pytest.raises(ConfigError) as error:
        CorpusConfig(tsv="pairs.tsv", **keys)
    assert said in str(error.value)
    assert "\n" not in str(error.value)
    with pytest.raises(ConfigError, match="is for 'tsv'"):
        CorpusConfig(phrasebook="train", min_score=0.5, score_column=3)


def test_what_tells_excel_the_separator_is_no_row(tmp_path):
    path = tmp_path / "PAIRS.CSV"
    path.write_text("\ufeffsep=;\r\nEnglish;German\r\n" + "".join(f"dog {n};Hund {n}\r\n" for n in range(9)))
    detected = detect_pairs([path])
    assert detected.corpus.header
    assert [pair[:2] for pair in open_corpus(detected.corpus)] == [(f"dog {n}", f"Hund {n}") for n in range(9)]


def test_csv_has_its_name_in_capitals_too(tmp_path):
    path = tmp_path / "PAIRS.CSV"
    path.write_text("English,German\n" + "dog,Hund\ncat,Katze\n" * 9)
    assert len(list(open_corpus(detect_pairs([path]).corpus))) == 18


def test_a_blank_line_is_named_whatever_columns_are_asked_for(tmp_path):
    path = tmp_path / "pairs.tsv"
    path.write_text("dog\tHund\n\ncat\tKatze\n")
    for columns in (None, (1, 2)):
        with pytest.raises(CorpusError, match=r"tsv:2: .*Remove the blank line"):
            list(open_corpus(CorpusConfig(tsv=str(path), columns=columns)))
