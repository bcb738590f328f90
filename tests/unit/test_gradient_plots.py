"""Figures show the numbers they are given, on labelled axes."""

import numpy as np
import pandas as pd
import pytest

from seq2seq.analysis.gates import GateValues, histograms
from seq2seq.analysis.gradients import sensitivity
from seq2seq.analysis.plots.cells import (
    plot_gate_histograms,
    plot_gradient_flow,
    plot_gradient_norms,
    plot_memory_span,
    plot_scores_by_distance,
    plot_sensitivity,
    plot_singular_values,
    plot_state_gradients,
    plot_truncation,
)


def labelled(figure):
    assert all(axes.get_xlabel() for axes in figure.axes)
    assert figure.axes[0].get_ylabel() or figure.axes[0].get_yticklabels()
    figure.canvas.draw()
    return figure.axes


def test_sensitivity_is_a_geometric_mean():
    jacobians = np.stack([0.5 * np.ones((4, 1, 1)), 2.0 * np.ones((4, 1, 1))])
    (axes,) = labelled(plot_sensitivity({"halves": sensitivity(jacobians[:1]), "both": sensitivity(jacobians)}))
    halves, both = axes.lines[:2]
    np.testing.assert_allclose(halves.get_ydata(), 0.5 ** np.arange(5))
    np.testing.assert_allclose(both.get_ydata(), np.ones(5))
    assert axes.get_yscale() == "log"


def test_a_line_ends_where_it_falls_below_what_is_drawn():
    (axes,) = labelled(plot_sensitivity({"fast": sensitivity(np.full((2, 4, 1, 1), 1e-5))}))
    np.testing.assert_allclose(axes.lines[0].get_ydata(), [1.0, 1e-5, 1e-10, np.nan, np.nan])


def test_nothing_left_of_a_gradient_can_be_drawn():
    (axes,) = labelled(plot_state_gradients({"gone": np.zeros((2, 3, 4)), "there": np.full((2, 3, 4), 0.5)}))
    assert np.isnan(axes.lines[0].get_ydata()).all()
    np.testing.assert_allclose(axes.lines[1].get_ydata(), 1.0)


def test_singular_values_have_a_panel_a_name(rng):
    values = {"a": rng.random((2, 3, 4)) + 0.1, "b": rng.random((2, 3, 5)) + 0.1}
    first, second = labelled(plot_singular_values(values, sequence=1))
    np.testing.assert_allclose([line.get_ydata() for line in first.lines[:4]], values["a"][1].T)
    assert len(second.lines) == 5 + 2
    assert (first.get_title(), second.get_title()) == ("a", "b")


def test_truncation_draws_the_weight_asked_for():
    rows = [
        {"chunk": chunk, "weight": weight, "cosine": value, "norm_ratio": value / 2}
        for chunk, weight, value in [(1, "bias", 0.1), (1, "all", 0.2), (4, "bias", 0.3), (4, "all", 0.4)]
    ]
    cosine, ratio = labelled(plot_truncation({"gru": pd.DataFrame(rows)}))
    assert cosine.lines[0].get_ydata().tolist() == [0.2, 0.4]
    assert [tick.get_text() for tick in cosine.get_xticklabels()] == ["1", "4"]
    assert cosine.get_ylim()[0] == 0
    assert ratio.lines[0].get_ydata().tolist() == [0.1, 0.2]


def test_lines_can_be_told_apart_without_colours_and_where_they_coincide():
    table = sensitivity(np.full((2, 40, 1, 1), 0.9))
    (axes,) = labelled(plot_sensitivity(dict.fromkeys("abcdefg", table)))
    lines = axes.lines[:7]
    assert len({(line.get_linestyle(), line.get_marker()) for line in lines}) == 7
    shown = [set(range(line.get_markevery()[0], 41, line.get_markevery()[1])) for line in lines[:4]]
    assert all(shown)
    assert not set.intersection(*shown)


def test_flows_have_panels_before_and_after():
    rows = [
        {"cell": cell, "when": when, "state": state, "distance": d, "spectral": 0.5**d, "loss": value * 0.1**d}
        for cell, states in (("gru", "h"), ("lstm", "hc"))
        for when, value in (("before", 1.0), ("after", 2.0))
        for state in states
        for d in range(3)
    ]
    figure = plot_gradient_flow(pd.DataFrame(rows), {"one": ["gru"], "two": ["lstm"]}, "loss")
    assert [axes.get_title() for axes in figure.axes] == [
        f"{n}, {w} training" for n in ("one", "two") for w in ("before", "after")
    ]
    _, after, _, both = figure.axes
    np.testing.assert_allclose(after.lines[0].get_ydata(), [2.0, 0.2, 0.02])
    assert [(line.get_label(), line.get_linestyle()) for line in both.lines] == [("lstm, h", "-"), ("lstm, c", "--")]
    figure.canvas.draw()


def test_gradient_norms_show_the_limit():
    (axes,) = labelled(plot_gradient_norms({"elman": [1.0, 20.0]}, limit=5.0))
    assert axes.lines[0].get_ydata().tolist() == [1.0, 20.0]
    assert set(axes.lines[1].get_ydata()) == {5.0}


def test_gates_are_drawn_in_percent():
    values = np.array([[[0.1, 0.9, 0.95, 0.99]]])
    table = histograms(
        {"update": GateValues("sigmoid", values, values), "reset": GateValues("sigmoid", 1 - values, 1 - values)}, 2
    )
    update, reset = labelled(plot_gate_histograms({"before": table}))
    assert update.patches[0].get_data().values.tolist() == [25.0, 75.0]
    assert reset.patches[0].get_data().values.tolist() == [75.0, 25.0]
    with pytest.raises(ValueError, match="found an empty dict"):
        plot_gate_histograms({})


def test_memory_is_drawn_seed_by_seed():
    table = pd.DataFrame(
        [
            {"cell": "lstm", "task": "copy", "spans": (20, 80, 20), "mean": 40.0, "at_least": True},
            {"cell": "elman", "task": "copy", "spans": (10,), "mean": 10.0, "at_least": False},
        ]
    )
    (axes,) = labelled(plot_memory_span(table))
    assert [line.get_xdata()[0] for line in axes.lines] == [20, 80, 20, 40.0, 10, 10.0]
    assert [line.get_fillstyle() for line in axes.lines[:3]] == ["full", "none", "full"], "open: it may be longer"
    assert len({line.get_ydata()[0] for line in axes.lines[:3]}) == 3, "seeds that agree are seen to be several"
    assert [label.get_text() for label in axes.get_yticklabels()] == ["lstm", "elman"]


def test_scores_leave_out_what_was_not_tried():
    scores = pd.DataFrame(
        [("gru", "adding", 10, 1, 0.9), ("gru", "adding", 10, 2, 0.7), ("gru", "adding", 20, 1, np.nan)],
        columns=["cell", "task", "distance", "seed", "score"],
    )
    (axes,) = labelled(plot_scores_by_distance(scores, {"adding": 0.19}))
    assert axes.get_xticks().tolist() == [10]
    assert axes.lines[0].get_xdata().tolist() == [10]
    np.testing.assert_allclose(axes.lines[0].get_ydata(), 80.0)
    assert axes.lines[2].get_ydata()[0] == pytest.approx(19.0)
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["gru", "guessing", "one seed"]
