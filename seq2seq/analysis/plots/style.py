"""Colours, dashes and markers by which lines are told apart in print, on a projector and by colour-blind readers."""

from typing import Any

# Of Okabe and Ito (2008), without yellow, which is too light for a line.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
DASHES = ("-", "--", "-.", ":")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
MARKERS_PER_LINE = 8


def line_style(place: int, points: int) -> dict[str, Any]:
    """Keyword arguments of Matplotlib's `plot` for a line: colour, dashes, and a marker at some of its points.

    Lines have their markers at different points, so that two lines that coincide are seen to be two.

    Args:
        place: Number of the line in its figure, from 0.
        points: Number of points of the line.
    """
    every = max(1, points // MARKERS_PER_LINE)
    return {
        "color": COLOURS[place % len(COLOURS)],
        "linestyle": DASHES[place % len(DASHES)],
        "marker": MARKERS[place % len(MARKERS)],
        "markersize": 5,
        "markevery": (place % every, every),
    }
