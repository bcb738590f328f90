"""Figures hold what they were given: labels, numbers, one mark for each row."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgba

from seq2seq.analysis.attention import AttentionMap
from seq2seq.analysis.plots import translations as plots
from seq2seq.analysis.plots.search_trees import NODES, plot_search_tree
from seq2seq.inference.results import Hypothesis, Translation

WEIGHTS = np.array([[0.7, 0.3, 0.0], [0.2, 0.5, 0.3]], "f")
HEADS = np.array([WEIGHTS, WEIGHTS[::-1]])
MAP = AttentionMap(["▁a", "b", "</s>"], ["▁x", "</s>"], WEIGHTS, np.zeros(2, "f"), HEADS)


def texts(labels):
    return [label.get_text() for label in labels]


def test_a_map_is_a_line_in_a_shell():
    assert repr(MAP) == "AttentionMap(2 target tokens by 3 source tokens)"


def test_a_map_has_its_tokens_and_margins():
    figure = plots.plot_attention(MAP, "title")
    above, heat, right = figure.axes[:3]
    assert texts(heat.get_xticklabels()) == MAP.source_tokens
    assert texts(heat.get_yticklabels()) == MAP.target_tokens
    np.testing.assert_array_equal(heat.images[0].get_array(), WEIGHTS)
    np.testing.assert_allclose([bar.get_height() for bar in above.patches], [0.9, 0.8, 0.3], atol=1e-6)
    expected = [np.exp(-sum(w * np.log(w) for w in row if w)) for row in WEIGHTS.astype("d")]
    np.testing.assert_allclose([bar.get_width() for bar in right.patches], expected, atol=1e-5)
    figure.canvas.draw()
    plain = plots.plot_attention(MAP, margins=False)
    assert len(plain.axes) == 2  # the map and its colours


@pytest.mark.parametrize("margins", [True, False])
@pytest.mark.parametrize("size", [2, 40])
def test_the_title_is_above_the_map_and_the_colours_are_as_high_as_it(size, margins):
    names = [f"▁w{number}" for number in range(size)]
    weights = np.eye(size, dtype="f")
    figure = plots.plot_attention(AttentionMap(names, names, weights, np.zeros(size, "f")), "A.", margins)
    figure.draw_without_rendering()
    heat, colours = (axes.get_window_extent() for axes in (figure.axes[int(margins)], figure.axes[-1]))
    assert (colours.y0, colours.y1) == pytest.approx((heat.y0, heat.y1), abs=1)
    title = figure.axes[0].title.get_window_extent()
    assert (title.x0 + title.x1) / 2 == pytest.approx((heat.x0 + heat.x1) / 2, abs=1)


@pytest.mark.parametrize("size", [2, 30])
def test_the_names_of_axes_fit_beside_them(size):
    names = [f"▁w{number}" for number in range(size)]
    figure = plots.plot_attention(AttentionMap(names, names, np.eye(size, dtype="f"), np.zeros(size, "f")), "A title.")
    figure.draw_without_rendering()
    above, heat = figure.axes[:2]
    for axes in (above, heat):
        name, beside = axes.yaxis.label.get_window_extent(), axes.get_window_extent()
        assert beside.y0 - 1 <= name.y0 < name.y1 <= beside.y1 + 1, axes.get_ylabel()


def test_heads_are_drawn_apart():
    figure = plots.plot_attention_heads(MAP)
    assert [axes.get_title() for axes in figure.axes[:3]] == ["head 1", "head 2", "mean"]
    np.testing.assert_array_equal(figure.axes[1].images[0].get_array(), HEADS[1])
    with pytest.raises(ValueError, match="only the heads' mean"):
        plots.plot_attention_heads(AttentionMap(*[MAP.source_tokens, MAP.target_tokens, WEIGHTS, np.zeros(2)]))


def test_a_score_is_drawn_over_length():
    rows = [
        {"system": system, "length": length, "sentences": 3, "metric": "BLEU", "score": score, "low": low, "high": high}
        for system, length, score, low, high in [
            ("s", "1-5", 50, 40, 55),
            ("s", "6-9", 30, 20, 45),
            ("t", "6-9", 9, 8, 9),
        ]
    ]
    figure = plots.plot_quality_by_length(pd.DataFrame(rows))
    axes = figure.axes[0]
    assert texts(axes.get_xticklabels()) == ["1-5\n(3)", "6-9\n(3)"]
    assert texts(axes.figure.legends[0].get_texts()) == ["s", "t"]
    lines = [container.lines[0].get_ydata().tolist() for container in axes.containers]
    assert lines == [[50, 30], [9]]
    segments = axes.containers[0].lines[2][0].get_segments()
    assert [segment[:, 1].tolist() for segment in segments] == [[40, 55], [20, 45]]
    high = [{**row, "score": 95, "low": 94, "high": 97} for row in rows]
    assert plots.plot_quality_by_length(pd.DataFrame(high)).axes[0].get_ylim()[1] > 100, "room for the interval's end"
    with pytest.raises(ValueError, match="no 'TER'; it has BLEU"):
        plots.plot_quality_by_length(pd.DataFrame(rows), "TER")


def test_a_tree_has_a_label_for_each_node_and_an_edge_to_its_parent():
    columns = ["parent", "step", "rank", "token", "log_prob", "total", "score", "status"]
    nan = float("nan")
    tree = pd.DataFrame(
        [
            (-1, 0, 0, "<s>", 0.0, 0.0, nan, "alive"),
            (0, 1, 0, "▁a", -0.5, -0.5, nan, "alive"),
            (0, 1, 1, "▁b", -1.5, -1.5, nan, "pruned"),
            (0, 1, 2, "▁c", -2.5, -2.5, nan, "pruned"),
            (1, 2, 0, "</s>", -0.1, -0.6, -0.6, "finished"),
        ],
        columns=columns,
    )
    axes = plot_search_tree(tree, totals=True).axes[0]
    assert texts(axes.texts) == ["<s>\n0.0", "▁a\n-0.5", "▁b\n-1.5", "▁c\n-2.5", "</s>\n-0.6"]
    edges = axes.collections[0]
    ends = [[(0, 0), (0, 1)], [(0, 0), (1, 1)], [(0, 0), (2, 1)], [(0, 1), (0, 2)]]
    assert [[tuple(point) for point in segment] for segment in edges.get_segments()] == ends
    colours = [to_rgba(NODES[status][1]) for status in tree["status"][1:]]
    np.testing.assert_allclose(edges.get_colors(), colours)
    assert [dashes is None for _, dashes in edges.get_linestyles()] == [True, False, False, False]
    (path,) = axes.lines
    assert path.get_xydata().tolist() == [[0, 0], [0, 1], [0, 2]]
    (legend,) = axes.figure.legends
    handles = dict(zip(texts(legend.get_texts()), legend.legend_handles, strict=True))
    assert {name: handle.get_color() for name, handle in handles.items()} == {
        **{name: colour for name, colour, _ in NODES.values()},
        "path to the best result": path.get_color(),
    }
    fewer = plot_search_tree(tree, max_pruned=1).axes[0]
    assert texts(fewer.texts) == ["<s>", "▁a", "▁b", "</s>"]


def test_dollar_signs_of_a_text_enclose_no_formula():
    """Matplotlib would write x squared for the first, and could not read the second."""
    tokens = ["$x^2$", r"$\frac{$", "$5"]

    def shown(texts):
        """Texts as Matplotlib draws them, without formulas."""
        drawn = [text._preprocess_math(text.get_text()) for text in texts]
        assert not any(is_formula for _, is_formula in drawn)
        return [text for text, _ in drawn]

    weights = np.eye(3, dtype="f")
    heat = plots.plot_attention(AttentionMap(tokens, tokens[::-1], weights, np.zeros(3, "f")), margins=False).axes[0]
    assert shown(heat.get_xticklabels()) == tokens
    assert shown(heat.get_yticklabels()) == tokens[::-1]
    hypothesis = Hypothesis("$5 or $6", -1.0, tokens, np.zeros(3, "f"), weights)
    assert shown([plots.plot_attention(Translation(tokens, [hypothesis])).axes[0].title]) == ["$5 or $6"]
    tree = pd.DataFrame({
        "parent": [-1, 0, 0], "step": [0, 1, 1], "token": tokens, "total": 0.0, "score": np.nan, "status": "alive",
    })  # fmt: skip
    for totals in (False, True):
        texts = plot_search_tree(tree, totals=totals).axes[0].texts
        assert [text.split("\n")[0] for text in shown(texts)] == tokens
    points = pd.DataFrame(np.eye(3)[:, :2])
    assert shown(plots.plot_projection(points, ["one"] * 3, "title", names=tokens).axes[0].texts) == tokens
