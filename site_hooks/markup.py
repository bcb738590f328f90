"""What Markdown leaves to be done: formulas as MathML, which browsers draw by themselves, and bars in tables."""

import re
from html import unescape

from latex2mathml.converter import convert

# As `pymdownx.arithmatex` leaves them.
FORMULA = re.compile(r'(?s)<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>')
CELL = re.compile(r"(?s)<t[dh]\b.*?</t[dh]>")


def on_page_content(html: str, **_: object) -> str:
    """Convert the formulas of a page, and unescape `\\|` in the code of its tables, where GitHub wants it."""

    def to_mathml(match: re.Match[str]) -> str:
        return convert(unescape(match[2]), display="inline" if match[1] == "span" else "block")

    html = FORMULA.sub(to_mathml, html)
    return CELL.sub(lambda match: match[0].replace("\\|", "|"), html)
