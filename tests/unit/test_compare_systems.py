"""Systems compared: p-values of the `sacrebleu` command, and parts of the corpus against sacreBLEU and loops."""

import json
import subprocess
import sys
from collections import Counter
from html.parser import HTMLParser

import pytest
from sacrebleu import sentence_chrf
from sacrebleu.metrics import BLEU, CHRF

from seq2seq.errors import ArgumentError, EvaluationError, EvaluationWarning
from seq2seq.evaluation.breakdowns import equal_edges, group_numbers
from seq2seq.evaluation.comparison import compare_systems
from seq2seq.evaluation.metrics import score_texts
from seq2seq.evaluation.scorers import ALL_METRICS
from tests.command import run
from tests.toy import pairs

PAIRS = pairs(40, 3)
SOURCES = [source for source, _ in PAIRS]
REFERENCES = [reference for _, reference in PAIRS]
OTHERS = [reference.replace("der", "dieser").replace("sieht", "erblickt") for reference in REFERENCES]
SYSTEMS = {
    "base": [text.replace("und", "oder").replace("Hund", "Kater") for text in REFERENCES],
    "<b>new</b>": [text if number % 3 else f"{text} {text}" for number, text in enumerate(REFERENCES)],
    "poor": ["" if number == 4 else " ".join(text.split()[::-1]) for number, text in enumerate(REFERENCES)],
}
TRAINING = REFERENCES[:9]
SAMPLES = {"bootstrap_samples": 30, "randomization_trials": 40}

# The command, which in version 2.6 cannot write its own float32 numbers as JSON, and shows four digits otherwise.
SACREBLEU = """
import functools, json
from sacrebleu.sacrebleu import main
json.dumps = functools.partial(json.dumps, default=float)
main()
"""


@pytest.fixture(scope="module")
def report():
    return compare_systems(
        SYSTEMS, [REFERENCES, OTHERS], sources=SOURCES, training_lines=TRAINING, examples=3, **SAMPLES
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("systems")
    texts = {"ref": REFERENCES, "ref2": OTHERS, "source": SOURCES, "train": TRAINING}
    for name, lines in (texts | dict(zip(("a", "b", "c"), SYSTEMS.values(), strict=True))).items():
        (folder / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return folder


@pytest.mark.parametrize(("test", "key"), [("bs", "p_bootstrap"), ("ar", "p_randomization")])
@pytest.mark.parametrize("word_order", [0, 2])
def test_p_values_equal_those_of_the_sacrebleu_command(report, folder, test, key, word_order):
    metrics = ["chrf", "--chrf-word-order", "2"] if word_order else ["bleu", "chrf", "ter"]
    number = SAMPLES["bootstrap_samples" if test == "bs" else "randomization_trials"]
    options = [f"--paired-{test}", f"--paired-{test}-n", str(number), "-f", "json", "-m", *metrics]
    command = [sys.executable, "-c", SACREBLEU, "ref", "ref2", "-i", "a", "b", "c", *options]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    baseline, *others = json.loads(done.stdout)
    names = [name for name in baseline if name != "system"]
    assert names == (["chrF2++"] if word_order else ["BLEU", "chrF2", "TER"])
    for name in names:
        assert report["base"][name].p_bootstrap is None
        assert report["base"][name].score == pytest.approx(baseline[name]["score"], abs=1e-9)
        for theirs, ours in zip(others, report.systems[1:], strict=True):
            assert getattr(ours[name], key) == theirs[name]["p_value"]
            assert ours[name].score == pytest.approx(theirs[name]["score"], abs=1e-9)
            assert ours[name].difference == pytest.approx(theirs[name]["score"] - baseline[name]["score"], abs=1e-9)
        signature = report["poor"][name].signature if test == "bs" else report["poor"][name].randomization_signature
        assert f"nrefs:2|{test}:{number}|seed:12345|" in signature


def test_scores_and_intervals_are_those_of_an_evaluation(monkeypatch):
    monkeypatch.setattr("seq2seq.evaluation.metrics.BOOTSTRAP_SAMPLES", 30)
    thai = ["แมวนอน", "หมาเห็นแมว", "คนกินข้าว"]  # TER and words by character
    systems = {"one": thai, "two": ["แมวนอน", "หมาเห็นคน", "คนข้าว"]}
    report = compare_systems(systems, thai, language="th", metrics=["TER", "chrF2++"], **SAMPLES)
    for name, texts in systems.items():
        for ours, expected in zip(
            report[name].scores, score_texts(texts, thai, language="th", metrics=["TER", "chrF2++"]), strict=True
        ):
            assert (ours.score, ours.low, ours.high, ours.signature) == (
                expected.score,
                expected.low,
                expected.high,
                expected.signature,
            )
    assert report["two"]["TER"].score == pytest.approx(100 * 6 / sum(map(len, thai)))
    assert [group.name for group in report.breakdowns[0].groups] == ["6-8", "9", "10"]
    assert report["two"].problems.length_ratio == pytest.approx(sum(map(len, systems["two"])) / sum(map(len, thai)))


def test_groups_of_sentences_are_scored_as_corpora(report):
    lengths = [len(source.split()) for source in SOURCES]
    by_length = [breakdown for breakdown in report.breakdowns if breakdown.key == "length"]
    assert [breakdown.measure for breakdown in by_length] == ["BLEU", "chrF2"]
    for breakdown, metric in zip(by_length, (BLEU(), CHRF()), strict=True):
        assert sum(group.count for group in breakdown.groups) == len(PAIRS)
        for group in breakdown.groups:
            first, _, last = group.name.partition("-")
            inside = [place for place, length in enumerate(lengths) if int(first) <= length <= int(last or first)]
            assert group.count == len(inside)
            for name, texts in SYSTEMS.items():
                references = [[lines[place] for place in inside] for lines in (REFERENCES, OTHERS)]
                expected = metric.corpus_score([texts[place] for place in inside], references).score
                assert group.values[name].value == pytest.approx(expected)
    known = {word for line in TRAINING for word in line.split()}
    unknown = [sum(word not in known for word in line.split()) for line in REFERENCES]
    (by_unknown, _) = [breakdown for breakdown in report.breakdowns if breakdown.key == "unknown_words"]
    expected = {"0": sum(n == 0 for n in unknown), "1": sum(n == 1 for n in unknown)}
    assert {group.name: group.count for group in by_unknown.groups if group.name in "01"} == {
        name: count for name, count in expected.items() if count
    }


def test_recall_of_words_is_counted_by_frequency_and_by_position(report):
    counts = Counter(word for line in TRAINING for word in line.split())
    frequency, position = report.breakdowns[-2:]
    assert (frequency.key, position.key) == ("frequency", "position")
    found, parts = Counter(), Counter()
    for name, texts in SYSTEMS.items():
        for text, *references in zip(texts, REFERENCES, OTHERS, strict=True):
            for reference in references:
                words, left = reference.split(), text.split()
                for place, word in enumerate(words):
                    part, rare = place * 5 // len(words), not counts[word]
                    share = min(1, left.count(word) / words.count(word))
                    found.update({(name, rare): share, (name, rare, "all"): 1})
                    parts.update({(name, part): share, (name, part, "all"): 1})
    for name in SYSTEMS:
        unseen = frequency.groups[0]
        assert unseen.name == "0"
        assert unseen.count == found[name, True, "all"]
        assert unseen.values[name].value == pytest.approx(100 * found[name, True] / unseen.count)
        for part, group in enumerate(position.groups):
            assert group.count == parts[name, part, "all"]
            assert group.values[name].value == pytest.approx(100 * parts[name, part] / group.count)
            low, value, high = group.values[name].low, group.values[name].value, group.values[name].high
            assert low <= value + 1e-9
            assert value <= high + 1e-9
    assert [group.name for group in position.groups] == ["0-20%", "20-40%", "40-60%", "60-80%", "80-100%"]


def test_frequencies_are_those_in_the_references_without_a_training_text():
    report = compare_systems({"one": ["a b", "a"], "two": ["a c", "a"]}, ["a b", "a"], **SAMPLES)
    frequency = report.breakdowns[-2]
    assert [(group.name, group.count, group.values["two"].value) for group in frequency.groups] == [
        ("1", 1, 0.0),
        ("2-4", 2, 100.0),
    ]
    assert "unknown_words" not in {breakdown.key for breakdown in report.breakdowns}
    assert report.breakdowns[0].property == "reference length in words"
    assert report["one"].problems.copied_words is None


def test_problems_are_counted():
    source = ["the dog", "a cat sleeps here", "no no", "one"]
    reference = ["der Hund", "eine Katze schläft hier", "nein nein", ""]
    texts = ["the Hund", "", "nein nein", ""]
    worse = ["der der der der der Hund", "eine", "nein nein", ""]
    report = compare_systems({"one": texts, "two": worse}, reference, sources=source, metrics=["chrF2"], **SAMPLES)
    one, two = (system.problems for system in report.systems)
    assert (one.empty, one.short, one.repeating, one.looped_words, one.repeated_word_pairs) == (1, 1, 0, 0, 0)
    assert (two.empty, two.short, two.repeating, two.looped_words, two.repeated_word_pairs) == (0, 1, 1, 4, 3)
    assert (one.copied_words, two.copied_words) == (1, 0)
    assert (one.length_ratio, two.length_ratio) == (4 / 8, 9 / 8)


def test_wins_and_losses_are_the_largest_differences(report):
    system = report["poor"]
    gains = [
        sentence_chrf(new, [one, two]).score - sentence_chrf(old, [one, two]).score
        for old, new, one, two in zip(SYSTEMS["base"], SYSTEMS["poor"], REFERENCES, OTHERS, strict=True)
    ]
    assert (system.better, system.worse) == (sum(gain > 0 for gain in gains), sum(gain < 0 for gain in gains))
    assert [one.gain for one in system.losses] == pytest.approx(sorted(gains)[:3])
    assert len(system.wins) == min(3, system.better)
    loss = system.losses[0]
    assert loss.gain == pytest.approx(gains[loss.line - 1])
    assert (loss.source, loss.references[1]) == (SOURCES[loss.line - 1], OTHERS[loss.line - 1])
    assert (report["base"].different, report["base"].wins) == (0, ())


def test_groups_have_about_equal_sizes_and_names():
    numbers = [3, 3, 3, 3, 4, 5, 6, 7, 8, 9]
    edges = equal_edges(numbers, 3)
    assert group_numbers(numbers, edges) == {"3": [0, 1, 2, 3], "4-5": [4, 5], "6-9": [6, 7, 8, 9]}
    assert equal_edges([5, 5, 5]) == []
    assert group_numbers([5, 5], []) == {"5": [0, 1]}


class Elements(HTMLParser):
    """Elements of a page, with a check that they are closed in order."""

    def __init__(self, text):
        super().__init__()
        self.open, self.found = [], []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_holds_everything_and_loads_nothing(report, tmp_path):
    report.write_html(tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    elements = Elements(text).found
    tags = Counter(tag for tag, _ in elements)
    assert not {"script", "link", "img", "iframe", "b>new"} & tags.keys()
    assert not any(
        name in ("src", "href") and not value.startswith("#") for _, given in elements for name, value in given.items()
    )
    assert "url(" not in text
    assert "@import" not in text
    links = {given["href"][1:] for tag, given in elements if tag == "a"}
    assert links == {given["id"] for tag, given in elements if tag == "section"}
    assert links >= {"scores", "length", "unknown_words", "frequency", "position", "problems", "system-1", "system-2"}
    assert "&lt;b&gt;new&lt;/b&gt;" in text
    assert "<b>new" not in text
    assert tags["figure"] == len(ALL_METRICS) + len(report.breakdowns)
    assert tags["article"] == sum(len(system.wins) + len(system.losses) for system in report.systems)
    assert f"{report['poor']['BLEU'].p_bootstrap:.4f}" in text
    assert "<mark>" in text
    assert "&lt;b&gt;new" in report._repr_html_()
    assert "too few" in report._repr_html_()
    json.dumps(report.as_dict(), allow_nan=False)


def test_words_that_only_one_translation_shares_with_a_reference_are_marked():
    from seq2seq.evaluation.comparison_page import _mark

    assert _mark("a <dog>, cat", "a cat", ["the dog, cat"]) == "a &lt;<mark>dog</mark>&gt;, cat"


def test_wrong_texts_are_refused_or_warned_of():
    with pytest.raises(EvaluationError, match="1 system to compare: expected two or more"):
        compare_systems({"a": ["x"]}, ["x"])
    with pytest.raises(EvaluationError, match=r"'a' has 2 lines, but 'b' has 1. Line N"):
        compare_systems({"a": ["x", "y"], "b": ["x"]}, ["x", "y"])
    with pytest.raises(EvaluationError, match="'a' has 1 line, but reference 2 has 0"):
        compare_systems({"a": ["x"], "b": ["x"]}, [["x"], []])
    with pytest.raises(EvaluationError, match="but the source has 2"):
        compare_systems({"a": ["x"], "b": ["x"]}, ["x"], sources=["x", "y"])
    with pytest.raises(EvaluationError, match="nothing to compare: 'a' has no lines"):
        compare_systems({"a": [], "b": []}, [])
    with pytest.raises(EvaluationError, match=r"unknown metric 'BLUE'. Did you mean 'BLEU'"):
        compare_systems({"a": ["x"], "b": ["x"]}, ["x"], metrics=["BLUE"])
    with pytest.raises(ArgumentError, match="the baseline first"):
        compare_systems([["x"], ["y"]], ["x"])
    with pytest.warns(EvaluationWarning) as found:
        compare_systems(
            {"a": ["ein Hu@@ nd"], "b": ["ein\u200b Hund"]}, ["ein Hund"], training_lines=["a dog"], **SAMPLES
        )
    messages = [str(warning.message) for warning in found]
    assert "1 of 2 hypotheses and 0 of 1 references have white space" in messages[0]
    assert "translations of 'a' is split into subwords" in messages[1]
    assert "the training text lacks 2 of the 2 words of the references" in messages[2]


def test_the_command_prints_tables_and_json_and_writes_a_page(folder, monkeypatch, capsys, report):
    monkeypatch.chdir(folder)
    monkeypatch.setenv("COLUMNS", "100")
    counts = ["--paired-bs-n", "30", "--paired-ar-n", "40", "--examples", "3"]
    names = ["base=a", "<b>new</b>=b", "poor=c"]
    files = ["--reference", "ref", "--reference", "ref2", "--source", "source", "--train", "train"]
    assert run("compare", *names, *files, *counts, "--json", "--html", "page.html") == 0
    assert json.loads(capsys.readouterr().out) == json.loads(json.dumps(report.as_dict()))
    assert (folder / "page.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    assert run("compare", "a", "better=b", "--reference", "ref", "--paired-bs-n", "5", "--paired-ar-n", "0") == 0
    out = capsys.readouterr().out
    first = out.splitlines()[0].split()
    assert first == ["metric", "system", "score", "95%", "interval", "difference", "p", "(bs)", "p", "(ar)"]
    assert "By reference length: BLEU" in out
    assert "By word frequency: recall (%)" in out
    assert "better and a: " in out
    assert "  reference: " in out
    assert "ar: " not in out


def test_the_command_says_what_is_wrong(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)

    def error(*arguments):
        assert run("compare", *arguments, "--reference", "ref") == 1
        return capsys.readouterr().err

    assert "a: is the only system" in error("a")
    assert "seq2seq evaluate --hypotheses a --reference ref" in error("a")
    assert "x: is the name of 2 systems. Give each its own name: NAME=FILE." in error("x=a", "x=b")
    assert "a: is the name of 2 systems" in error("a", "a")
    (folder / "short").write_text("x\n")
    assert "a has 40 lines, but short has 1. Line N" in error("a", "n=short")
    assert "absent: no such file" in error("a", "n=absent")
    (folder / "n=b").write_bytes((folder / "b").read_bytes())
    (folder / "deep").mkdir()
    (folder / "deep/a").write_bytes((folder / "b").read_bytes())
    for systems, expected in ((("a", "n=b"), ["a", "n=b"]), (("a", "deep/a"), ["a", "deep/a"])):
        found = run("compare", *systems, "--reference", "ref", "--json", "--paired-bs-n", "2", "--paired-ar-n", "0")
        assert found == 0
        assert [system["name"] for system in json.loads(capsys.readouterr().out)["systems"]] == expected
