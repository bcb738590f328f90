"""Comparing cells over seeds: against means and intervals worked out by hand."""

import math

import numpy as np
import pandas as pd
import pytest

from seq2seq.analysis.comparison import group_difference, scores_by_distance, select_runs, summarize
from seq2seq.analysis.plots import cells as plots

T_2 = 4.302653  # Student's t, 97.5%, two degrees of freedom
RUNS = pd.DataFrame(
    [
        {"cell": cell, "seed": seed, "bleu": bleu}
        for cell, values in {"lstm": (80.0, 82.0, 87.0), "gru": (81.0, 80.0, 85.0), "elman": (70.0, 75.0, 74.0)}.items()
        for seed, bleu in enumerate(values, start=1)
    ]
)


def test_summary_is_the_mean_with_students_interval():
    found = summarize(RUNS, ["bleu"])
    assert list(found.index) == ["lstm", "gru", "elman"]
    half = T_2 * math.sqrt((9 + 1 + 16) / 2) / math.sqrt(3)
    np.testing.assert_allclose(
        found.loc["lstm", ["seeds", "bleu", "bleu_low", "bleu_high"]].astype(float), [3, 83, 83 - half, 83 + half], 1e-6
    )


def test_one_seed_has_no_interval():
    found = summarize(RUNS[RUNS["seed"] == 2], ["bleu"])
    assert found.loc["gru", "bleu"] == 80.0
    assert math.isnan(found.loc["gru", "bleu_low"])


def test_an_interval_ends_at_what_is_possible():
    found = summarize(RUNS, ["bleu"], bounds=(0, 85))
    half = T_2 * math.sqrt((9 + 1 + 16) / 2) / math.sqrt(3)
    assert found.loc["lstm", "bleu_low"] == pytest.approx(83 - half)
    assert found.loc["lstm", "bleu_high"] == 85


def test_difference_compares_runs_of_equal_seeds():
    found = group_difference(RUNS, ["lstm", "gru"], ["elman"], "bleu")
    each = np.array([80.5 - 70, 81 - 75, 86 - 74])
    half = T_2 * each.std(ddof=1) / math.sqrt(3)
    assert found == pytest.approx(
        {"seeds": 3, "mean": each.mean(), "low": each.mean() - half, "high": each.mean() + half}, rel=1e-6
    )


def test_difference_leaves_out_a_seed_that_some_cell_lacks():
    found = group_difference(RUNS[(RUNS["cell"] != "elman") | (RUNS["seed"] < 3)], ["lstm"], ["elman"], "bleu")
    assert (found["seeds"], found["mean"]) == (2, (10 + 7) / 2)
    found = group_difference(RUNS[(RUNS["cell"] != "gru") | (RUNS["seed"] > 1)], ["lstm", "gru"], ["elman"], "bleu")
    assert (found["seeds"], found["mean"]) == (2, (6 + 12) / 2)


def test_pilots_are_not_runs():
    pilots = [{"cell": cell, "seed": 0, "bleu": math.nan} for cell in ("gru", "gru", "mgu")]
    with_pilots = pd.concat([pd.DataFrame(pilots), RUNS])
    pd.testing.assert_frame_equal(summarize(with_pilots, ["bleu"]).sort_index(), summarize(RUNS, ["bleu"]).sort_index())
    assert group_difference(with_pilots, ["gru"], ["elman"], "bleu") == group_difference(
        RUNS, ["gru"], ["elman"], "bleu"
    )


def test_what_counts_is_the_run_with_the_lowest_loss_of_each_seed():
    runs = pd.DataFrame(
        [("irnn", 0, 4.0), ("irnn", 1, 5.0), ("gru", 2, 0.5), ("irnn", 1, 3.0), ("irnn", 2, 6.0), ("gru", 1, 0.4)],
        columns=["cell", "seed", "valid_loss"],
    )
    assert select_runs(runs)["valid_loss"].tolist() == [0.5, 3.0, 6.0, 0.4]


def test_over_distances_gives_a_row_for_each_group():
    runs = pd.DataFrame(
        [
            {"cell": "gru", "seed": 2, "distances": {"1-4": [30, 40], "5-8": [5, 20]}},
            {"cell": "gru", "seed": 0, "distances": np.nan},
        ]
    )
    found = scores_by_distance(runs)
    assert found.to_dict("records") == [
        {"cell": "gru", "task": "long distance", "distance": 4, "seed": 2, "score": 0.75, "items": 40},
        {"cell": "gru", "task": "long distance", "distance": 8, "seed": 2, "score": 0.25, "items": 20},
    ]


def test_missing_columns_and_runs_are_named():
    with pytest.raises(KeyError, match="chrf"):
        summarize(RUNS, ["bleu", "chrf"])
    with pytest.raises(KeyError, match="mgu"):
        group_difference(RUNS, ["gru", "mgu"], ["elman"], "bleu")
    with pytest.raises(ValueError, match="duplicate entries"):
        group_difference(pd.concat([RUNS, RUNS[RUNS["cell"] == "gru"]]), ["lstm"], ["gru"], "bleu")


def test_figures_have_a_point_for_each_cell():
    pilot = pd.DataFrame([{"cell": "elman", "seed": 0, "bleu": math.nan}])
    figure = plots.plot_means(
        pd.concat([pilot, RUNS]), {"bleu": "BLEU"}, {"gated": ["lstm", "gru"], "plain": ["elman"]}
    )
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["elman", "gru", "lstm"]
    assert axes.get_xlabel() == "BLEU"
    drawn = {line.get_label(): sorted(line.get_xdata()) for line in axes.lines}
    assert drawn["gated: a run"] == [80.0, 80.0, 81.0, 82.0, 85.0, 87.0]
    assert drawn["plain: a run"] == [70.0, 74.0, 75.0]
    assert drawn["mean of a cell"] == [73.0, 82.0, 83.0]
    assert len({line.get_marker() for line in axes.lines}) == 3, "groups are told apart without colours"
    assert axes.get_ylim() == (-0.6, 2.6), "the frame crosses no bar"
    found = summarize(RUNS, ["bleu"])
    (axes,) = plots.plot_speed_against_quality(found, {"gru": 1.0, "elman": 1.4}, "bleu", "BLEU").axes
    assert sorted(text.get_text() for text in axes.texts) == ["elman", "gru"]
    assert all(text.get_path_effects() for text in axes.texts), "names can be read across intervals"
