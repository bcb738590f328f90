"""A canvas in SVG for diagrams of boxes, circles and arrows, with labels that have subscripts."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

Point = tuple[float, float]

CORNER = 9.0  # radius at which a line turns
GAP = 6.5  # radius of the gap in a line that another one passes over
WORDS = "Helvetica, Arial, sans-serif"
SYMBOLS = "'STIX Two Text', 'Times New Roman', 'Liberation Serif', serif"
PART = re.compile(r"_\{([^}]*)\}|_(.)|([^_]+)")


@dataclass(frozen=True)
class Theme:
    """Colours of one variant; those of lines can be told apart by readers with any colour vision (Okabe and Ito 2008).

    Attributes:
        name: Ending of the file's name.
        page: Background.
        ink: Text and neutral lines.
        muted: Remarks and what is left out.
        fill: Inside of boxes.
        input: What comes from the inputs, and their weights.
        state: What comes from the hidden state, and the recurrent weights.
        output: What goes to the outputs, and their weights.
        cell: What reads the cell state.
    """

    name: str
    page: str
    ink: str
    muted: str
    fill: str
    input: str
    state: str
    output: str
    cell: str


LIGHT = Theme("light", "#ffffff", "#1b1b1b", "#5c6266", "#f1f3f4", "#0072b2", "#b84a00", "#00714f", "#9b3f78")
DARK = Theme("dark", "#14191c", "#eceff1", "#a3adb2", "#232c31", "#56b4e9", "#f0a04b", "#45c9a0", "#e29cc4")


class Canvas:
    """A drawing in one theme. Positions are in pixels of the view box, y grows downwards.

    Colours are names of the attributes of `Theme`. In labels, `_t` and `_{t−1}` are subscripts.
    """

    def __init__(self, theme: Theme, width: int, height: int, title: str, description: str) -> None:
        self.theme, self.width, self.height = theme, width, height
        self.title, self.description = title, description
        self.parts: list[str] = []
        self.colours: set[str] = set()

    def colour(self, name: str) -> str:
        """A colour of the theme."""
        return getattr(self.theme, name)

    def symbol(
        self, x: float, y: float, text: str, colour: str = "ink", size: float = 21, anchor: str = "middle"
    ) -> None:
        """A mathematical expression, its baseline at y: letters italic, digits and signs upright."""
        spans, below = [], False
        for long, short, plain in PART.findall(text):
            low = not plain
            shift = f' dy="{size * 0.24 * (low - below):.1f}"' if low != below else ""
            smaller = f' font-size="{size * 0.7:.1f}"' if low else ""
            for run in re.findall(r"[A-Za-zα-ω]+|[^A-Za-zα-ω]+", long or short or plain):
                word = len(run) > 1 and run.isalpha()
                style = ' font-style="italic"' if run.isalpha() and not word else ""
                spans.append(f"<tspan{shift}{smaller}{style}>{escape(run)}</tspan>")
                shift = ""
            below = low
        self.parts.append(
            f'<text x="{x:g}" y="{y:g}" font-family="{SYMBOLS}" font-size="{size:g}" text-anchor="{anchor}" '
            f'fill="{self.colour(colour)}">{"".join(spans)}</text>'
        )

    def words(
        self,
        x: float,
        y: float,
        text: str,
        colour: str = "ink",
        size: float = 15,
        anchor: str = "middle",
        bold: bool = False,
    ) -> None:
        """Plain text, its baseline at y."""
        weight = ' font-weight="bold"' if bold else ""
        self.parts.append(
            f'<text x="{x:g}" y="{y:g}" font-family="{WORDS}" font-size="{size:g}" text-anchor="{anchor}"{weight} '
            f'fill="{self.colour(colour)}">{escape(text)}</text>'
        )

    def box(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        colour: str = "ink",
        fill: str = "fill",
        dashed: bool = False,
    ) -> None:
        """A rectangle with its centre at (x, y)."""
        dash = ' stroke-dasharray="5 4"' if dashed else ""
        self.parts.append(
            f'<rect x="{x - width / 2:g}" y="{y - height / 2:g}" width="{width:g}" height="{height:g}" rx="7" '
            f'fill="{self.colour(fill)}" stroke="{self.colour(colour)}" stroke-width="1.8"{dash}/>'
        )

    def node(self, x: float, y: float, sign: str, colour: str = "ink", radius: float = 15) -> None:
        """A circle with a sign in it, such as a product."""
        self.parts.append(
            f'<circle cx="{x:g}" cy="{y:g}" r="{radius:g}" fill="{self.colour("fill")}" '
            f'stroke="{self.colour(colour)}" stroke-width="1.8"/>'
        )
        if sign:
            self.symbol(x, y + 6.5, sign, size=20)

    def dot(self, x: float, y: float, colour: str) -> None:
        """A place where a line branches."""
        self.parts.append(f'<circle cx="{x:g}" cy="{y:g}" r="3.6" fill="{self.colour(colour)}"/>')

    def line(
        self,
        *points: Point,
        colour: str = "ink",
        arrow: bool = True,
        dashed: bool = False,
        width: float = 2.2,
        over: Sequence[Point] = (),
    ) -> None:
        """A line through points, with round corners, and with a gap in the lines that it passes `over`."""
        stroke, head, dash = self.colour(colour), "", ' stroke-dasharray="6 4"' if dashed else ""
        if arrow:
            self.colours.add(colour)
            head = f' marker-end="url(#{colour})"'
        self.parts += [f'<circle cx="{x:g}" cy="{y:g}" r="{GAP:g}" fill="{self.colour("page")}"/>' for x, y in over]
        self.parts.append(
            f'<path d="{rounded_path(points)}" fill="none" stroke="{stroke}" stroke-width="{width:g}"{dash}{head}/>'
        )

    def svg(self) -> str:
        """The file."""
        heads = "".join(
            f'<marker id="{name}" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="11" markerHeight="11" '
            f'markerUnits="userSpaceOnUse" orient="auto"><path d="M0 0 L10 5 L0 10 z" fill="{self.colour(name)}"/>'
            "</marker>"
            for name in sorted(self.colours)
        )
        parts = "\n".join(f"  {part}" for part in self.parts)
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {self.height}" width="{self.width}" '
            f'height="{self.height}" role="img" aria-labelledby="title about">\n'
            f'  <title id="title">{escape(self.title)}</title>\n  <desc id="about">{escape(self.description)}</desc>\n'
            f"  <defs>{heads}</defs>\n"
            f'  <rect width="{self.width}" height="{self.height}" rx="10" fill="{self.theme.page}"/>\n{parts}\n</svg>\n'
        )


def rounded_path(points: Sequence[Point]) -> str:
    """Path through points whose corners are rounded."""
    first, *_, last = points
    path = [f"M{first[0]:g} {first[1]:g}"]
    for (before, corner), (_, after) in pairwise(pairwise(points)):
        start, end = towards(corner, before), towards(corner, after)
        path.append(f"L{start[0]:g} {start[1]:g} Q{corner[0]:g} {corner[1]:g} {end[0]:g} {end[1]:g}")
    return " ".join([*path, f"L{last[0]:g} {last[1]:g}"])


def towards(corner: Point, other: Point) -> Point:
    """The point at which a round corner begins, on the way to another point."""
    (x, y), (to_x, to_y) = corner, other
    distance = ((to_x - x) ** 2 + (to_y - y) ** 2) ** 0.5
    share = min(CORNER, distance / 2) / distance
    return round(x + share * (to_x - x), 2), round(y + share * (to_y - y), 2)
