"""Drawings: those stored are those described, legible in both variants, and shown by a page."""

from pathlib import Path

import pytest

from drawings.__main__ import DRAWINGS, FOLDER, files
from drawings.beam import BEAM, NEXT, Hypothesis, best, candidates
from drawings.canvas import DARK, LIGHT

ROOT = Path(__file__).parents[2]


def test_stored_drawings_are_those_described():
    for path, svg in files().items():
        assert path.read_text(encoding="utf-8") == svg, f"{path.name}: run `make docs`"
    assert {*FOLDER.glob("*-light.svg"), *FOLDER.glob("*-dark.svg")} == set(files())


def test_each_drawing_is_on_a_page():
    pages = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "docs").glob("*.md"))
    assert [name for name in DRAWINGS if f"(images/{name}-light.svg)" not in pages] == []


def luminance(colour: str) -> float:
    """Relative luminance of `#rrggbb`, as WCAG 2 defines it."""
    shares = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    linear = [share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("theme", [LIGHT, DARK])
@pytest.mark.parametrize("background", ["page", "fill"])
def test_text_has_the_contrast_that_wcag_wants(theme, background):
    behind = luminance(getattr(theme, background))
    for name in ("ink", "muted", "input", "state", "output", "cell"):
        low, high = sorted((behind, luminance(getattr(theme, name))))
        assert (high + 0.05) / (low + 0.05) >= 4.5, name


def test_the_beam_of_the_drawing_finds_what_greedy_search_misses():
    kept, greedy = [Hypothesis((), 1.0)], ()
    for _ in range(3):
        kept = best(candidates(kept))
        greedy = (*greedy, max(NEXT[greedy], key=NEXT[greedy].get))
    likeliest = max(kept, key=lambda hypothesis: hypothesis.probability)
    assert len(kept) == BEAM
    assert likeliest.words == ("Das", "Mädchen", "schläft")
    assert greedy == ("Die", "Mädchen", "schlafen")
