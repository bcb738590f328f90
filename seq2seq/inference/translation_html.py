"""A translation for a notebook: whoever points at a token sees where the decoder looked when it wrote it."""

import hashlib
import math
from collections.abc import Sequence
from html import escape

import numpy as np

from seq2seq.inference.results import Hypothesis, Translation
from seq2seq.notebook_html import MUTED, html_block, html_note

SHOWN = 5  # hypotheses
MAX_WEIGHTS = 20_000  # of a hypothesis; a longer text is shown without them
MIN_WEIGHT = 0.03  # a fainter shade is not seen
WORD_BOUNDARY = "▁"


def translation_html(translation: Translation) -> str:
    """Source and hypotheses, best first; styles alone, no script and nothing from a network."""
    parts = [_hypothesis(translation.source_tokens, hypothesis) for hypothesis in translation.hypotheses[:SHOWN]]
    if more := len(translation.hypotheses) - SHOWN:
        parts += [html_note(f"and {more} more")] if more > 0 else []
    if translation.truncated_tokens:
        parts.append(html_note(f"the last {translation.truncated_tokens} tokens of the source were not read"))
    return html_block(translation.text or "(empty)", *parts)


def _hypothesis(source_tokens: Sequence[str], hypothesis: Hypothesis) -> str:
    weights = hypothesis.attention
    note = f"score {hypothesis.score:.3f}"
    if weights.shape[1] != len(source_tokens) or weights.size > MAX_WEIGHTS:
        return f"<div>{escape(hypothesis.text)}</div>{html_note(note)}"
    probabilities = [f"probability {math.exp(min(float(nats), 0.0)):.2f}" for nats in hypothesis.token_log_probs]
    source = _tokens("s", "t", source_tokens, weights.T, [""] * len(source_tokens))
    target = _tokens("t", "s", hypothesis.tokens, weights, probabilities)
    key = "a" + hashlib.sha256(f"{source}{target}".encode()).hexdigest()[:10]
    rules = "".join(
        f".{key}:has(.{mine}{place}:is(:hover,:focus)) .{other}{{background:rgba(80,140,255,var(--{mine}{place},0))}}"
        for mine, other, count in (("t", "s", weights.shape[0]), ("s", "t", weights.shape[1]))
        for place in range(count)
    )
    style = (
        f".{key} i{{font-style:normal;border-radius:3px;cursor:default;white-space:pre}}"
        f".{key} i:hover,.{key} i:focus{{outline:1px solid}}{rules}"
    )
    pointing = html_note(f"{note}; point at a token to see its attention")
    return f'<div class="{key}" style="line-height:1.7"><style>{style}</style>{source}{target}</div>{pointing}'


def _tokens(mine: str, other: str, tokens: Sequence[str], weights: np.ndarray, titles: Sequence[str]) -> str:
    """A line of tokens, each with its weight for every token of the other line that looks at it."""
    spans = []
    for place, (token, row, title) in enumerate(zip(tokens, weights, titles, strict=True)):
        seen = ";".join(f"--{other}{column}:{row[column]:.2f}" for column in np.flatnonzero(row >= MIN_WEIGHT))
        end = f";{MUTED}" if token == "</s>" else ""
        text = escape(token.replace(WORD_BOUNDARY, " ") if place else token.removeprefix(WORD_BOUNDARY))
        space = " " * text.startswith(" ")
        about = f' title="{title}"' if title else ""
        spans.append(
            f'{space}<i class="{mine} {mine}{place}" tabindex="0" style="{seen}{end}"{about}>{text[len(space) :]}</i>'
        )
    name = "source" if mine == "s" else "translation"
    label = f'<span style="display:inline-block;width:6.5em;{MUTED}">{name}</span>'
    return f"<div>{label}{''.join(spans)}</div>"
