"""What Markdown leaves to be done: formulas as MathML, bars in tables, drawings in the colours of the page."""

import re
from html import unescape

from latex2mathml.converter import convert

# As `pymdownx.arithmatex` leaves them.
FORMULA = re.compile(r'(?s)<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>')
ALIGNMENT = re.compile(r'columnalign="(\w+)"')  # which browsers ignore
CELL = re.compile(r"(?s)<t[dh]\b.*?</t[dh]>")
# A page names the light variant, which is what code hosts show.
DRAWING = re.compile(r'<img [^>]*src="[^"]*-light\.svg"[^>]*>')


def on_page_content(html: str, **_: object) -> str:
    """Convert the formulas of a page, unescape `\\|` in the code of its tables, where GitHub wants it, and add the
    dark variant of each drawing; Material shows the one that fits the colours chosen."""

    def to_mathml(match: re.Match[str]) -> str:
        mathml = convert(unescape(match[2]), display="inline" if match[1] == "span" else "block")
        return ALIGNMENT.sub(r'style="text-align: \1"', mathml)

    def add_dark(match: re.Match[str]) -> str:
        light = match[0].replace("-light.svg", "-light.svg#only-light")
        return light + match[0].replace("-light.svg", "-dark.svg#only-dark")

    html = DRAWING.sub(add_dark, FORMULA.sub(to_mathml, html))
    return CELL.sub(lambda match: match[0].replace("\\|", "|"), html)
