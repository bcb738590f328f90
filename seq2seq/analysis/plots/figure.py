"""The figure of all plots, whose texts may be in any script that an installed font has.

Matplotlib draws an empty box for each character that the fonts of a text lack, and its default font, DejaVu Sans, lacks
Chinese, Japanese, Korean and others. Here, each text gets further families to fall back to, chosen by its characters.
"""

import re
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any

from seq2seq.errors import Seq2SeqWarning
from seq2seq.extras import require_extra
from seq2seq.plurals import pluralize
from seq2seq.text.scripts import HAN, KANA

with require_extra("analysis", needed_by="A plot"):
    import matplotlib.figure
    from matplotlib.font_manager import FontProperties, findfont, findSystemFonts, fontManager, get_font
    from matplotlib.text import Text

HANGUL = "\u1100-\u11ff\u3130-\u318f\uac00-\ud7af"
# Families with a sans-serif face. Han characters look different in China, Japan and Korea.
CHINESE = (
    *("Noto Sans CJK SC", "Noto Sans SC", "Source Han Sans SC", "Source Han Sans CN", "WenQuanYi Micro Hei"),
    *("WenQuanYi Zen Hei", "Microsoft YaHei", "SimHei", "PingFang SC", "Hiragino Sans GB", "Heiti SC", "STHeiti"),
    *("Noto Sans CJK TC", "Noto Sans TC", "Source Han Sans TC", "Microsoft JhengHei", "PingFang TC", "Heiti TC"),
)
JAPANESE = (
    *("Noto Sans CJK JP", "Noto Sans JP", "Source Han Sans", "Source Han Sans JP", "Hiragino Sans", "Yu Gothic"),
    *("Meiryo", "MS Gothic", "IPAexGothic", "IPAGothic", "TakaoGothic"),
)
KOREAN = (
    *("Noto Sans CJK KR", "Noto Sans KR", "Source Han Sans K", "Source Han Sans KR", "Apple SD Gothic Neo"),
    *("Malgun Gothic", "NanumGothic", "Baekmuk Gulim"),
)
SHOWN = 10  # characters in a warning
BOXES = "Last Resort"  # beginning of the name of a font that has a box for every character
ADVICE = (
    "Install Noto Sans CJK for Chinese, Japanese and Korean (Debian, Ubuntu: apt install fonts-noto-cjk), or the Noto "
    "font of another script, from https://fonts.google.com/noto."
)


class Figure(matplotlib.figure.Figure):
    """A Matplotlib figure that looks for fonts with all characters of its texts whenever it is drawn.

    A text keeps its own font for the characters that it has. For the others, installed families are tried: first those
    that are made for the language of the figure, by its characters, then all others. One warning names the characters
    that no installed font has. Matplotlib joins letters and orders text from right to left, as in Arabic, from version
    3.11 on. Text in SVG files is drawn as paths, which need no font where the file is shown, unless
    Matplotlib's `svg.fonttype` is `none`.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._without_font: set[str] = set()  # characters of which was warned

    def draw(self, renderer: Any) -> None:
        """Draw the figure; Matplotlib calls this to show it and to save it."""
        missing = add_fallback_fonts(self)
        if not missing <= self._without_font:
            shown, more = " ".join(sorted(missing)[:SHOWN]), len(missing) - SHOWN
            others = f" and {pluralize(more, 'other character')}" if more > 0 else ""
            message = f"no installed font has {shown}{others}, which the figure shows as boxes. {ADVICE}"
            warnings.warn(message, Seq2SeqWarning, stacklevel=2)
            self._without_font |= missing
        with without_glyph_warnings():
            super().draw(renderer)


@contextmanager
def without_glyph_warnings() -> Iterator[None]:
    """Scope without Matplotlib's own warnings of characters that a font lacks, one per character and measurement."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from")
        yield


def literal(text: str) -> str:
    """Text from a corpus or a model for Matplotlib, to which two dollar signs would otherwise enclose a formula."""
    return text.replace("$", r"\$")


def add_fallback_fonts(figure: matplotlib.figure.Figure) -> set[str]:
    """Add families to texts with characters that their fonts lack; returns those that no installed font has."""
    lacking: dict[Text, set[str]] = {}
    for text in figure.findobj(Text):
        characters = {one for one in text.get_text() if ord(one) > 127 and one.isprintable()}
        given = tuple(text.get_fontfamily())
        if found := {one for one in characters if not any(_has(family, one) for family in given)}:
            lacking[text] = found
    wanted = set().union(*lacking.values())
    families, missing = find_families(wanted)
    for text, found in lacking.items():
        own = [family for family in families if any(_has(family, one) for one in found)]
        text.set_fontfamily([*text.get_fontfamily(), *own])
    return missing


def find_families(characters: Iterable[str]) -> tuple[list[str], set[str]]:
    """Installed families that have the characters, as few as possible from each, and the characters that none has."""
    missing = set(characters)
    chosen = []
    for family in _candidates("".join(missing)) if missing else ():
        if has := {one for one in missing if _has(family, one)}:
            chosen.append(family)
            missing -= has
            if not missing:
                break
    return chosen, missing


def _candidates(characters: str) -> Iterator[str]:
    """Installed families: first those for the characters, then all others."""
    _find_new_fonts()
    fonts = [font for font in fontManager.ttflist if not font.name.startswith(BOXES)]
    installed = {font.name for font in fonts}
    regular = {font.name for font in fonts if font.weight in (400, "normal", "regular") and font.style == "normal"}
    asian = [CHINESE, JAPANESE, KOREAN]
    if re.search(f"[{KANA}]", characters):
        asian = [JAPANESE, CHINESE, KOREAN]
    elif re.search(f"[{HANGUL}]", characters):
        asian = [KOREAN, CHINESE, JAPANESE]
    if re.search(f"[{KANA}{HAN}{HANGUL}\u3000-\u303f\uff00-\uffef]", characters):
        preferred = [name for names in asian for name in names if name in installed]
        yield from preferred
        regular -= set(preferred)
    yield from sorted(regular, key=lambda name: ("Sans" not in name, name))


@cache
def _find_new_fonts() -> None:
    """Add the fonts that were installed after Matplotlib listed all of them, which it does only once."""
    known = {font.fname for font in fontManager.ttflist}
    for path in sorted(set(findSystemFonts()) - known):
        with suppress(Exception):  # a file that is no font, or one of a kind that Matplotlib cannot read
            fontManager.addfont(path)
    _font.cache_clear()
    _has.cache_clear()


@cache
def _has(family: str, character: str) -> bool:
    """Whether the font of a family, or of a generic one such as `sans-serif`, has a character."""
    font = _font(family)
    return font is not None and font.get_char_index(ord(character)) != 0


@cache
def _font(family: str) -> Any:
    with suppress(ValueError, OSError, RuntimeError):
        return get_font(findfont(FontProperties(family=[family]), fallback_to_default=False))
    return None
