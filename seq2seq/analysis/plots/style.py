"""Colours, line styles and markers that can be told apart in print, on a projector and by colour-blind readers."""

from typing import Any

# Those of Okabe and Ito (2008), without yellow, which is faint on white.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#000000", "#e69f00", "#56b4e9")
MARKERS, STYLES = "osD^vPX*", ("-", "--", "-.", ":")
HATCHES = "", "//", "..", "xx"  # of bars
MARKERS_PER_LINE = 8


def line_style(number: int, points: int = 0) -> dict[str, Any]:
    """Arguments of Matplotlib's `plot` by which the line with this number, from 0, is told apart.

    Args:
        number: Number of the line in its figure.
        points: Number of its points, of which about eight have a marker, beginning at another one in each line, so that
            lines that coincide are seen to be several. 0: `markevery` is not set.
    """
    style: dict[str, Any] = {
        "color": COLOURS[number % len(COLOURS)],
        "marker": MARKERS[number % len(MARKERS)],
        "linestyle": STYLES[number % len(STYLES)],
        "markersize": 5,
        "linewidth": 1.6,
    }
    if points:
        every = max(1, points // MARKERS_PER_LINE)
        style["markevery"] = (number % every, every)
    return style
