"""HTML for notebooks: tables and curves that suit light and dark pages, with all text escaped."""

import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape

MUTED = "opacity:.65"
_CELL = "padding:.15em .9em .15em 0;text-align:{align};border:0;background:none"


def html_table(rows: Iterable[Sequence[object]], header: Sequence[str] = (), numeric: Iterable[int] = ()) -> str:
    """Render a table; the columns in `numeric`, counted from 0, are right-aligned."""
    right = set(numeric)

    def line(cells: Sequence[object], tag: str) -> str:
        styles = [_CELL.format(align="right" if place in right else "left") for place in range(len(cells))]
        parts = (
            f'<{tag} style="{style}">{escape(str(cell))}</{tag}>' for cell, style in zip(cells, styles, strict=True)
        )
        return f'<tr style="background:none">{"".join(parts)}</tr>'

    head = f"<thead>{line(header, 'th')}</thead>" if header else ""
    body = "".join(line(row, "td") for row in rows)
    return f'<table style="border:0;border-collapse:collapse;margin:.3em 0">{head}<tbody>{body}</tbody></table>'


def html_facts(title: str, facts: Mapping[str, object]) -> str:
    """Render a title above a table of names and values."""
    return html_block(title, html_table(facts.items()))


def html_block(title: str, *parts: str) -> str:
    """Render a title above HTML parts."""
    return f"<div><div><b>{escape(title)}</b></div>{''.join(parts)}</div>"


def html_note(text: str) -> str:
    """Render a line in small print."""
    return f'<div style="font-size:90%;{MUTED}">{escape(text)}</div>'


def html_curves(curves: Mapping[str, Sequence[tuple[float, float]]], width: int = 420, height: int = 130) -> str:
    """Render curves through (x, y) points as an SVG, with a legend and the range of y.

    Points that are not finite are left out. The result is "" unless two points have different x.
    """
    curves = {name: [point for point in curve if all(map(math.isfinite, point))] for name, curve in curves.items()}
    points = [point for curve in curves.values() for point in curve]
    xs, ys = [x for x, _ in points], [y for _, y in points]
    if not points or min(xs) == max(xs):
        return ""
    low, high = min(ys), max(ys) if max(ys) > min(ys) else min(ys) + 1
    colours = ("#1f77b4", "#ff7f0e", "#2ca02c")

    def place(x: float, y: float) -> str:
        across = (x - min(xs)) / (max(xs) - min(xs))
        return f"{across * (width - 60) + 50:.1f},{(high - y) / (high - low) * (height - 40) + 10:.1f}"

    lines = "".join(
        f'<polyline fill="none" stroke="{colour}" stroke-width="2" points="{" ".join(place(*p) for p in curve)}"/>'
        f'<text x="{50 + 150 * number}" y="{height - 4}" fill="{colour}" font-size="12">{escape(name)}</text>'
        for number, ((name, curve), colour) in enumerate(zip(curves.items(), colours, strict=False))
    )
    ends = "".join(
        f'<text x="44" y="{y}" text-anchor="end" fill="currentColor" font-size="11">{value:.2f}</text>'
        for value, y in ((high, 14), (low, height - 28))
    )
    return f'<svg width="{width}" height="{height}" role="img">{lines}{ends}</svg>'
