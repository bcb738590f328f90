"""Learning curves of several runs: what is drawn, how curves are told apart, and the command."""

import json

import pytest

from seq2seq.analysis.plots.history import plot_runs
from seq2seq.analysis.plots.style import COLOURS, MARKERS
from seq2seq.errors import EvaluationError
from tests.command import run


def history(scale, bleu=True):
    return [
        {
            "epoch": 1,
            "update": update,
            "train_nll": scale / update,
            "valid_loss": 2 * scale / update,
            "bleu": 10.0 * update if bleu else None,
            "learning_rate": 0.1 / update,
            "best": update == 2,
            "seconds": 1.0,
        }
        for update in (1, 2, 3)
    ]


@pytest.fixture
def runs(tmp_path):
    """Directories of two runs, one of which has no BLEU."""
    for name, entries in (("first", history(3.0)), ("second", history(4.0, bleu=False))):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.yaml").touch()
        text = "".join(f"{json.dumps(entry)}\n" for entry in entries)
        (tmp_path / name / "history.jsonl").write_text(text)
    return tmp_path


def test_each_quantity_has_a_panel_and_each_run_a_curve(runs):
    figure = plot_runs({"one": runs / "first", "two": history(4.0, bleu=False)})
    labels = [axes.get_ylabel() for axes in figure.axes]
    assert labels == [
        "training loss (nats per token)",
        "validation loss (nats per token)",
        "BLEU on validation (%)",
        "learning rate",
    ]
    train, valid, bleu, rate = figure.axes
    assert [list(line.get_ydata()) for line in train.lines] == [[3.0, 1.5, 1.0], [4.0, 2.0, 4 / 3]]
    assert [list(line.get_xdata()) for line in valid.lines] == [[1, 2, 3], [2], [1, 2, 3], [2]], "rings at the best"
    assert valid.lines[1].get_ydata()[0] == 3.0
    assert [list(line.get_ydata()) for line in bleu.lines] == [[10.0, 20.0, 30.0], [20.0]]
    assert len(rate.lines) == 2
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["one", "two", "best validation"]
    styles = {(line.get_color(), line.get_marker(), line.get_linestyle()) for line in train.lines}
    assert all(len(set(values)) == 2 for values in zip(*styles, strict=True))


def test_many_runs_differ_in_more_than_colour():
    (axes, *_) = plot_runs({str(number): history(1.0) for number in range(12)}).axes
    styles = [(line.get_color(), line.get_marker()) for line in axes.lines]
    assert len(set(styles)) == 12
    assert len(COLOURS) % len(MARKERS), "or a colour would always have the same marker"


def test_what_cannot_be_drawn_is_named(runs):
    (runs / "first/history.jsonl").unlink()
    with pytest.raises(
        EvaluationError, match=r"'x': nothing to draw: no validation was recorded.*directory of its run"
    ):
        plot_runs({"x": runs / "first"})
    with pytest.raises(EvaluationError, match=r"'y' was trained with fit, which counts epochs. Use plot_history"):
        plot_runs({"y": {"nll": [2.0, 1.0]}})
    values = [{**entry, "train_nll": float("nan"), "learning_rate": None} for entry in history(1.0)]
    assert [axes.get_ylabel()[:10] for axes in plot_runs({"z": values}).axes] == ["validation", "BLEU on va"]


def test_the_command_writes_a_figure_of_the_kind_that_its_name_says(runs, monkeypatch, capsys):
    monkeypatch.chdir(runs)
    monkeypatch.setenv("COLUMNS", "200")
    for ending, begin in ((".png", b"\x89PNG"), (".svg", b"<?xml"), (".pdf", b"%PDF")):
        assert run("plot", "first", "second", "--output", f"curves{ending}") == 0
        assert (runs / f"curves{ending}").read_bytes().startswith(begin)
    assert run("plot", "first", "-o", "curves.gif") == 2
    assert "expected a name that ends in .png, .svg, .pdf" in " ".join(capsys.readouterr().err.split())
    assert run("plot", "first", "first", "-o", "curves.svg") == 1
    assert "first: given twice. Name each run once." in capsys.readouterr().err
    (runs / "second/history.jsonl").write_text("{}\n" * 2)
    assert run("plot", "first", "second", "-o", "curves.svg") == 1
    assert "history.jsonl:1: damaged" in capsys.readouterr().err


def test_runs_of_one_name_are_told_apart_by_their_paths(runs, monkeypatch):
    drawn = []
    monkeypatch.setattr("seq2seq.analysis.plots.history.plot_runs", lambda runs: drawn.append(list(runs)) or 1 / 0)
    (runs / "deep").mkdir()
    (runs / "first").rename(runs / "deep/second")
    monkeypatch.chdir(runs)
    with pytest.raises(ZeroDivisionError):
        run("plot", "deep/second", "second", "-o", "a.svg")
    assert drawn == [["deep/second", "second"]]


def test_a_missing_extra_is_said_before_anything_is_read(runs, monkeypatch, capsys, hide):
    monkeypatch.chdir(runs)
    hide("matplotlib")
    assert run("plot", "first", "-o", "a.svg") == 1
    assert "A plot needs the package 'matplotlib', which is not installed" in capsys.readouterr().err
