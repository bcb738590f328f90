"""What notebooks show: complete, escaped, without a network, and short where a plain repr is read."""

import math
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

import seq2seq
from seq2seq.analysis.challenge.sets import Accuracy, ChallengeReport
from seq2seq.analysis.plots.history import plot_history
from seq2seq.analysis.plots.translations import plot_attention
from seq2seq.config import DecoderConfig, EmbeddingsConfig, EncoderConfig, LanguageModelDecoderConfig
from seq2seq.config.network import LanguageModelEmbeddingsConfig
from seq2seq.errors import EvaluationError, ModelDirectoryError
from seq2seq.evaluation.metrics import EvaluationReport, Score
from seq2seq.inference.results import Hypothesis, Translation, blank_translation
from seq2seq.inference.text_generator import PerplexityReport
from seq2seq.models.language_model import LanguageModel
from seq2seq.models.translation import Seq2Seq
from seq2seq.notebook_html import html_curves, html_table
from seq2seq.training import TrainingReport

WEIGHTS = np.array([[0.7, 0.28, 0.02], [0.2, 0.5, 0.3]], "f")
EVIL = "<script>alert('&')</script>"


class Reader(HTMLParser):
    """Sees that every tag is closed; keeps tags, text and attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open, self.tags, self.text, self.attributes = [], [], "", []
        self.feed(html)
        assert not self.open, self.open

    def handle_starttag(self, tag, attributes):
        self.open.append(tag)
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attributes]

    def handle_startendtag(self, tag, attributes):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.text += data


def hypothesis(text="x y", attention=WEIGHTS, tokens=("▁x", "</s>")):
    return Hypothesis(text, -0.5, list(tokens), np.zeros(len(tokens), "f"), attention)


def test_pointing_at_a_token_shades_what_it_looked_at():
    html = Translation(["▁a", "<b>", "</s>"], [hypothesis(), hypothesis("other")])._repr_html_()
    reader = Reader(html)
    assert "a<b></s>" in reader.text
    assert reader.text.count("score -0.500") == 2
    tokens = {
        value.split()[1]: style
        for (_, name, value), (*_, style) in zip(reader.attributes, reader.attributes[2:], strict=False)
        if name == "class" and len(value.split()) == 2
    }
    # Of a source token: its weight for each target token of each hypothesis that looks at it.
    assert tokens["s0"] == "--t0-0:0.70;--t0-1:0.20;--t1-0:0.70;--t1-1:0.20"
    assert tokens["t1-1"].startswith("--s0:0.20;--s1:0.50;--s2:0.30")
    assert "--s2" not in tokens["t0-0"], "0.02 is not seen"
    for name in tokens:
        assert len(re.findall(rf":has\(\.{name}:is\(:hover,:focus\)\) \.[st]{{", html)) == 1, name


@pytest.mark.parametrize(
    "translation",
    [
        blank_translation(),
        Translation([EVIL, "</s>"], [hypothesis(EVIL, np.zeros((2, 0), "f"), (EVIL, "</s>"))]),
        Translation([EVIL, "b", "</s>"], [hypothesis(EVIL, WEIGHTS, (EVIL, "</s>"))], truncated_tokens=3),
        Translation(["a"] * 300, [hypothesis("long", np.full((300, 300), 1 / 300, "f"), ["x"] * 300)]),
        Translation(["a"], [hypothesis("many", np.ones((1, 1), "f"), ["x"])] * 7),
    ],
    ids=["blank", "no attention", "cut off", "long", "many"],
)
def test_any_translation_is_shown(translation):
    if translation.hypotheses[0].attention.shape == (300, 300):
        assert len(translation._repr_html_()) < 1000
    reader = Reader(translation._repr_html_())
    assert "script" not in reader.tags
    assert ("not read: the end of the source, 3 tokens" in reader.text) == bool(translation.truncated_tokens)
    assert ("and 2 more" in reader.text) == (len(translation.hypotheses) == 7)
    assert len(repr(translation)) < 120
    assert translation.text in reader.text
    assert ("score" in reader.text) == bool(translation.tokens)


REPORT = EvaluationReport(
    1200,
    (Score("BLEU", 30.125, 28.0, 32.0, "nrefs:1|<x>"), Score("TER", 51.0, None, None, "sig", True)),
    2.5,
    480.0,
    9000.0,
    (blank_translation(),) * 1200,
)


def test_an_evaluation_is_a_line_in_a_shell_and_a_table_in_a_notebook():
    assert repr(REPORT) == "EvaluationReport(BLEU 30.12 [28.00 to 32.00], TER 51.00, 1,200 sentences)"
    text = Reader(REPORT._repr_html_()).text
    assert "1,200 sentences, 2.5 s, 9,000 tokens/s" in text
    assert "nrefs:1|<x>" in text
    assert Reader(EvaluationReport(3, REPORT.scores)._repr_html_()).text.startswith("3 sentences")


def test_a_run_is_a_curve_and_a_table_with_its_best_validation():
    entry = {"epoch": 1, "train_nll": 3.0, "valid_perplexity": 8.0, "bleu": None, "seconds": 61}
    history = [
        entry | {"update": n, "valid_loss": 9.0 / n, "best": n == 2, "new_warnings": ["<slow>"] * (n == 3)}
        for n in range(1, 31)
    ]
    report = TrainingReport(Path("runs/x"), None, 30, 90.0, 4.5, history, ["<slow>", "copying is better"])
    html = report._repr_html_()
    text = Reader(html).text
    assert text.startswith("30 updates: interrupted")
    assert len(re.findall("<tr", html)) == 1 + 1 + 12, "a header, the best one, the last ones"
    assert re.search(r"3\.0004\.500.*best", text)
    assert "update 3: warning: <slow>warning: copying is betterruns/x" in text
    assert repr(report) == "TrainingReport('runs/x', 30 updates, best 4.5, interrupted)"


def test_other_reports_are_tables():
    report = PerplexityReport(2, 10, 8, 40, 1, 20.0)
    assert "perplexity per token7.39" in Reader(report._repr_html_()).text
    assert repr(report) == "PerplexityReport(7.39 per token, 12.18 per word, 0.721 bits per character, 2 sentences)"
    report = ChallengeReport((Accuracy("case <1>", 10, 9), Accuracy("order", 5, 1)), (Accuracy("1-4", 4, 2),))
    assert "case <1>90.0%" in Reader(report._repr_html_()).text
    assert repr(report) == "ChallengeReport(10 of 15 sentences correct; weakest: order, 20.0%)"
    assert repr(ChallengeReport((), ())) == "ChallengeReport(0 of 0 sentences correct)"


@pytest.mark.parametrize("kind", [Seq2Seq, LanguageModel])
def test_a_model_is_a_table_whose_parts_sum_up(kind):
    if kind is Seq2Seq:
        sections = EmbeddingsConfig(size=6), EncoderConfig(units=8), DecoderConfig(units=8, attention="additive")
        model = Seq2Seq(20, 30, *sections)
    else:
        model = LanguageModel(30, LanguageModelEmbeddingsConfig(size=6), LanguageModelDecoderConfig(units=8))
    html = model._repr_html_()
    *parts, total = [int(count.replace(",", "")) for count in re.findall(r"<td[^>]*>([\d,]+)</td>", html)]
    assert sum(parts) == total == model.count_params()
    assert "decoder" in Reader(html).text


def test_curves_need_two_points():
    assert html_curves({"a": []}) == html_curves({"a": [(1, 2.0)]}) == ""
    svg = html_curves({"<a>": [(1, 2.0), (3, 1.0)], "b": [(1, 2.0)]})
    assert svg.count("<polyline") == 2
    assert html_curves({"<a>": [(1, 2.0), (2, math.nan), (2, math.inf), (3, 1.0)], "b": [(1, 2.0)]}) == svg
    assert "&lt;a&gt;" in svg
    assert "&lt;b&gt;" in html_table([["<b>", 1]])


ENTRIES = [
    {"update": update, "train_nll": 3.0 / update, "valid_loss": 4.0 / update, "bleu": bleu, "best": update == 2}
    for update, bleu in ((1, 3.0), (2, 9.0), (3, 8.0))
]


def test_a_learning_curve_is_drawn_of_whatever_has_one(tmp_path):
    class Keras:
        def __init__(self):
            self.history = {"nll": [3.0, 2.0], "val_nll": [2.5, 2.25], "loss": [4.0, 3.0]}

    class Report:
        history = ENTRIES

    class Trained:
        report = Report()

    for run in (ENTRIES, Report(), Trained()):
        losses, bleu = plot_history(run).axes
        assert [line.get_label() for line in losses.lines] == ["train", "validation", "best"]
        assert len({(line.get_linestyle(), line.get_marker()) for line in losses.lines}) == 3, "without colours, too"
        assert list(losses.lines[1].get_xydata().ravel()) == [1, 4.0, 2, 2.0, 3, 4 / 3]
        assert list(bleu.lines[0].get_ydata()) == [3.0, 9.0, 8.0]
        assert list(bleu.lines[1].get_xdata()) == [2, 2]
    long = plot_history([{**entry, "update": 10_000 * entry["update"]} for entry in ENTRIES])
    long.draw_without_rendering()
    assert "20,000" in [label.get_text() for label in long.axes[0].get_xticklabels()]
    (losses,) = plot_history(Keras()).axes
    assert losses.get_xlabel() == "epoch"
    assert list(losses.lines[1].get_ydata()) == [2.5, 2.25]
    with pytest.raises(ModelDirectoryError, match="not a model directory"):
        plot_history(tmp_path)
    with pytest.raises(ModelDirectoryError, match="no-such: no such folder"):
        plot_history(tmp_path / "no-such")
    (tmp_path / "config.yaml").touch()
    with pytest.raises(EvaluationError, match=r"nothing to draw: .*pass the directory of its run"):
        plot_history(str(tmp_path))
    with pytest.raises(EvaluationError, match=r"expected the result of train, train_pairs or fit.*found int"):
        plot_history(7)


def test_attention_is_drawn_of_a_translation():
    figure = plot_attention(Translation(["▁a", "b", "</s>"], [hypothesis()]), margins=False)
    np.testing.assert_array_equal(figure.axes[0].images[0].get_array(), WEIGHTS)
    assert figure.axes[0].get_title() == "x y"
    with pytest.raises(ValueError, match="a blank sentence has no attention"):
        plot_attention(blank_translation())
    with pytest.raises(ValueError, match="expected attention over 1 source token, found 0 columns"):
        plot_attention(Translation(["a"], [hypothesis(attention=np.zeros((2, 0), "f"))]))


def test_the_page_of_the_api_has_every_public_name():
    page = (Path(__file__).parents[2] / "docs" / "python-api.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)
    assert sorted(listed) == sorted(set(seq2seq.__all__) - {"__version__"})
