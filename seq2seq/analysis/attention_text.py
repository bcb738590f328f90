"""Attention drawn as text for a terminal, without optional dependencies."""

import numpy as np

from seq2seq.arguments import check_arguments
from seq2seq.inference.results import Translation
from seq2seq.text.display_width import max_width, pad_left

SHADES = " ░▒▓█"  # of weights from 0 to 1


@check_arguments()
def render_attention(translation: Translation) -> str:
    """Draw the attention of a translation as text: one row per target token, one shade per source token.

    Source tokens are above their columns, each on a line of its own; five shades divide 0 to 1 evenly.
    """
    tokens = translation.tokens
    width = max_width(tokens)
    above = [f"{'':{width}} " + "│ " * column + f"┌ {token}" for column, token in enumerate(translation.source_tokens)]
    shades = np.minimum(translation.attention * len(SHADES), len(SHADES) - 1).astype(int)
    rows = (
        f"{pad_left(token, width)} " + " ".join(SHADES[shade] for shade in row)
        for token, row in zip(tokens, shades, strict=True)
    )
    return "\n".join([*above, *rows])
