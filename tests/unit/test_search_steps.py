"""Stepping through a beam search: the picture and the table of each step, the slider, and what is left without one."""

import base64
import io

import numpy as np
import pandas as pd
import pytest
from matplotlib import image

from seq2seq.analysis.plots.search_trees import plot_search_tree
from seq2seq.analysis.search_steps import SearchSteps
from seq2seq.errors import ArgumentError

VIEW = "application/vnd.jupyter.widget-view+json"
NAN = float("nan")
# parent, step, rank, token, log_prob, total, score, status
TREE = pd.DataFrame(
    [
        (-1, 0, 0, "<s>", 0.0, 0.0, NAN, "alive"),
        (0, 1, 0, "▁a", -0.5, -0.5, NAN, "alive"),
        (0, 1, 1, "▁<b>", -1.5, -1.5, NAN, "alive"),
        (0, 1, 2, "▁c", -2.5, -2.5, NAN, "pruned"),
        (1, 2, 0, "</s>", -0.125, -0.625, -0.5, "finished"),
        (2, 2, 1, "▁d", -0.25, -1.75, NAN, "alive"),
    ],
    columns=["parent", "step", "rank", "token", "log_prob", "total", "score", "status"],
)


@pytest.fixture(scope="module")
def steps():
    return SearchSteps(TREE)


def pixels(picture):
    return image.imread(io.BytesIO(picture))


def test_candidates_are_those_of_the_step(steps):
    table = steps.candidates(2)
    assert table.index.tolist() == [4, 5]
    assert table["hypothesis"].tolist() == ["▁a </s>", "▁<b> ▁d"]
    assert table["status"].tolist() == ["finished", "kept"]
    pd.testing.assert_frame_equal(
        table[["log_prob", "total", "score"]], TREE.loc[[4, 5], ["log_prob", "total", "score"]]
    )
    assert steps.candidates(0)["hypothesis"].tolist() == ["<s>"]
    with pytest.raises(ArgumentError, match="step is 3, and the search has 2: choose 0 to 2"):
        steps.candidates(3)


def test_a_step_is_described_with_all_of_its_candidates(steps):
    html = steps.describe(1)
    assert "Step 1 of 2: 3 candidates ranked, 2 kept, 1 pruned." in html
    assert html.count("<tr") == 1 + 3
    assert "▁&lt;b&gt;" in html
    assert "-1.500" in html
    assert "nan" not in steps.describe(2)
    assert "-0.500" in steps.describe(2)
    assert "Step 0: the search starts from &lt;s&gt;." in steps.describe(0)


def test_a_picture_grows_step_by_step_without_changing_places(steps):
    whole = pixels(steps.picture())
    np.testing.assert_array_equal(pixels(steps.picture(2)), whole)
    ink = [int((pixels(steps.picture(step))[..., :3].min(axis=-1) < 0.9).sum()) for step in (0, 1, 2)]
    assert ink == sorted(set(ink))
    assert all(pixels(steps.picture(step)).shape == whole.shape for step in (0, 1))
    drawn = [plot_search_tree(TREE, until=until).axes[0] for until in (1, None)]
    early, late = ({text.get_text(): text.xy for text in axes.texts} for axes in drawn)
    assert early == {token: late[token] for token in ("<s>", "▁a", "▁<b>", "▁c")}
    assert drawn[0].get_xlim() == drawn[1].get_xlim()
    assert [len(axes.lines[0].get_xdata()) for axes in drawn] == [0, 3]  # the best path, once it has finished


def test_there_are_no_steps_or_candidates_below_0(steps):
    with pytest.raises(ArgumentError, match=r"picture: until: expected .* of at least 0.*, found -1"):
        steps.picture(-1)
    with pytest.raises(ArgumentError, match=r"SearchSteps: max_pruned: expected .* of at least 0.*, found -1"):
        SearchSteps(TREE, max_pruned=-1)


def test_the_slider_chooses_what_is_shown(steps):
    box = steps.widget()
    controls, picture, table = box.children
    play, slider = controls.children
    assert (slider.min, slider.max, slider.value) == (play.min, play.max, play.value) == (0, 2, 1)
    for step in (2, 0, 1):
        slider.value = step
        assert picture.value == steps.picture(step)
        assert table.value == steps.describe(step)


def test_jupyter_gets_the_slider_and_a_picture_for_when_it_is_gone(steps, hide):
    bundle = steps._repr_mimebundle_()
    assert set(bundle) == {"text/plain", "image/png", VIEW}
    assert base64.b64decode(bundle["image/png"]) == steps.picture()
    assert bundle["text/plain"] == repr(steps) == "SearchSteps(2 steps, 6 nodes)"
    hide("ipywidgets")
    assert steps._repr_mimebundle_() == {name: bundle[name] for name in ("text/plain", "image/png")}
