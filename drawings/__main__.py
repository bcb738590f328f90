"""Write all drawings into docs/images/, each for light and for dark pages: `python -m drawings`."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from drawings import beam, cells, networks
from drawings.canvas import DARK, LIGHT, Canvas, Theme

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "images"
DRAWINGS: dict[str, Callable[[Theme], Canvas]] = {
    "unrolled": networks.unrolled,
    "lstm": cells.lstm,
    "lstm-peepholes": partial(cells.lstm, peepholes=True),
    "gru": cells.gru,
    "encoder-decoder": networks.encoder_decoder,
    "encoder-decoder-attention": networks.attention,
    "beam": beam.beam,
}


def files() -> dict[Path, str]:
    """Paths of all drawings, and what is in them."""
    return {
        FOLDER / f"{name}-{theme.name}.svg": draw(theme).svg()
        for name, draw in DRAWINGS.items()
        for theme in (LIGHT, DARK)
    }


if __name__ == "__main__":
    for path, svg in files().items():
        path.write_text(svg, encoding="utf-8")
