"""Plots of a comparison as SVG inside a page: points with 95% intervals, distinguished by colour and by shape."""

from collections.abc import Sequence
from html import escape

from seq2seq.evaluation.breakdowns import Group, Value

WIDTH, HEIGHT = 360, 220  # user units, about the width of a telephone: text stays legible when the plot is scaled
LEFT, RIGHT, TOP, BOTTOM = 36, 8, 10, 34
ROW = 22  # height of a system in a plot of scores
TICKS = 4
DASHES = ("", "6 3", "2 3", "8 3 2 3")
SHAPES = (  # around (0, 0)
    "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0z",  # circle
    "M-3.6-3.6h7.2v7.2h-7.2z",  # square
    "M0-4.8L4.6 3.6H-4.6z",  # triangle
    "M0-5L5 0L0 5L-5 0z",  # diamond
    "M0 4.8L4.6-3.6H-4.6z",  # triangle that points down
    "M-1.4-4.5h2.8v3.1h3.1v2.8h-3.1v3.1h-2.8v-3.1h-3.1v-2.8h3.1z",  # plus
)
COLOURS = 6


def marker(number: int, x: float = 0, y: float = 0) -> str:
    """The mark of a system, by its number."""
    return f'<path class="mark" d="{SHAPES[number % len(SHAPES)]}" transform="translate({x:.1f} {y:.1f})"/>'


def plot_scores(values: Sequence[Value], names: Sequence[str], label: str) -> str:
    """Scores of all systems, one below the other."""
    low, high = _range(values)
    height = TOP + ROW * len(values) + BOTTOM

    def across(value: float) -> float:
        return LEFT + (value - low) / (high - low) * (WIDTH - LEFT - RIGHT)

    parts = []
    for tick in _ticks(low, high):
        x = across(tick)
        parts.append(f'<path class="grid" d="M{x:.1f} {TOP}V{height - BOTTOM}"/>')
        parts.append(f'<text x="{x:.1f}" y="{height - BOTTOM + 14}" text-anchor="middle">{_number(tick)}</text>')
    for number, (value, name) in enumerate(zip(values, names, strict=True)):
        y = TOP + ROW * (number + 0.5)
        ends = (
            ""
            if value.low is None or value.high is None
            else (f'<path class="line" d="M{across(value.low):.1f} {y}H{across(value.high):.1f}"/>')
        )
        parts.append(
            f'<g class="s{number % COLOURS}"><title>{escape(name)}: {_text(value)}</title>{ends}'
            f"{marker(number, across(value.value), y)}</g>"
        )
    parts.append(f'<text x="{(WIDTH + LEFT - RIGHT) / 2}" y="{height - 5}" text-anchor="middle">{escape(label)}</text>')
    return _svg(parts, height, f"{label} of each system")


def plot_groups(groups: Sequence[Group], names: Sequence[str], label: str, below: str) -> str:
    """A value of all systems by group, with a line per system."""
    low, high = _range([value for group in groups for value in group.values.values()])
    step = (WIDTH - LEFT - RIGHT) / len(groups)

    def up(value: float) -> float:
        return HEIGHT - BOTTOM - (value - low) / (high - low) * (HEIGHT - TOP - BOTTOM)

    parts = []
    for tick in _ticks(low, high):
        y = up(tick)
        parts.append(f'<path class="grid" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>')
        parts.append(f'<text x="{LEFT - 5}" y="{y + 4:.1f}" text-anchor="end">{_number(tick)}</text>')
    centres = [LEFT + step * (place + 0.5) for place in range(len(groups))]
    for centre, group in zip(centres, groups, strict=True):
        y = HEIGHT - BOTTOM + 14
        parts.append(f'<text x="{centre:.1f}" y="{y}" text-anchor="middle">{escape(group.name)}</text>')
    for number, name in enumerate(names):
        shift = (number - (len(names) - 1) / 2) * min(9.0, 0.7 * step / len(names))  # intervals side by side
        points = [(x + shift, group.values[name]) for x, group in zip(centres, groups, strict=True)]
        line = "".join(f"{'L' if place else 'M'}{x:.1f} {up(v.value):.1f}" for place, (x, v) in enumerate(points))
        drawn = [f'<path class="line" stroke-dasharray="{DASHES[number % len(DASHES)]}" d="{line}"/>']
        for x, value in points:
            if value.low is not None and value.high is not None:
                drawn.append(f'<path class="end" d="M{x:.1f} {up(value.low):.1f}V{up(value.high):.1f}"/>')
            drawn.append(f"<g><title>{escape(name)}: {_text(value)}</title>{marker(number, x, up(value.value))}</g>")
        parts.append(f'<g class="s{number % COLOURS}">{"".join(drawn)}</g>')
    parts.append(f'<text x="{(WIDTH + LEFT - RIGHT) / 2}" y="{HEIGHT - 5}" text-anchor="middle">{escape(below)}</text>')
    return _svg(parts, HEIGHT, f"{label} by {below}")


def _svg(parts: Sequence[str], height: float, label: str) -> str:
    return f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(label)}">{"".join(parts)}</svg>'


def _range(values: Sequence[Value]) -> tuple[float, float]:
    """Ends of an axis that has room for all intervals."""
    ends = [end for value in values for end in value if end is not None]
    margin = 0.06 * (max(ends) - min(ends)) or 1.0
    return min(ends) - margin, max(ends) + margin


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers between two ends, about `TICKS` of them."""
    size = 10.0**3
    for factor in (2, 2.5, 2) * 6:  # 500, 200, 100, 50, ...
        if (high - low) / (size / factor) > 1.6 * TICKS:
            break
        size /= factor
    first = int(low // size) + 1
    return [size * number for number in range(first, int(high // size) + 1)]


def _number(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _text(value: Value) -> str:
    return f"{value.value:.2f}" if value.low is None else f"{value.value:.2f} ({value.low:.2f} to {value.high:.2f})"
