"""HTML view of a translation for notebooks, in which pointing at a token shows its attention."""

import hashlib
import math
from collections.abc import Sequence
from html import escape

import numpy as np

from seq2seq.inference.results import Hypothesis, Translation
from seq2seq.notebook_html import MUTED, html_note
from seq2seq.plurals import pluralize
from seq2seq.text.words import EOS, WORD_BOUNDARY

SHOWN = 5  # hypotheses
MAX_WEIGHTS = 20_000  # attention weights in total; longer texts are shown without them
MIN_WEIGHT = 0.03  # a fainter shade is not visible


def translation_html(translation: Translation) -> str:
    """HTML of the source and the hypotheses, best first, with styles but without scripts or network access."""
    hypotheses, more = translation.hypotheses[:SHOWN], len(translation.hypotheses) - SHOWN
    columns = len(translation.source_tokens)
    attends = all(hypothesis.attention.shape[1] == columns for hypothesis in hypotheses)
    if attends and 0 < sum(hypothesis.attention.size for hypothesis in hypotheses) <= MAX_WEIGHTS:
        parts = [_with_attention(translation.source_tokens, hypotheses)]
    else:
        parts = [f"<div>{escape(one.text)}{_score(one)}</div>" for one in hypotheses]
    if more > 0:
        parts.append(html_note(f"and {more} more"))
    if translation.truncated_tokens:
        parts.append(html_note(f"not read: the end of the source, {pluralize(translation.truncated_tokens, 'token')}"))
    return f"<div>{''.join(parts)}</div>"


def _with_attention(source_tokens: Sequence[str], hypotheses: Sequence[Hypothesis]) -> str:
    """HTML in which tokens have their weights as CSS variables, shown by one rule per token of the other side."""
    source_names = [f"s{column}" for column in range(len(source_tokens))]
    lines, target_names = [], []
    for rank, hypothesis in enumerate(hypotheses):
        names = [f"t{rank}-{row}" for row in range(len(hypothesis.tokens))]
        chances = [f"probability {math.exp(min(float(nats), 0.0)):.2f}" for nats in hypothesis.token_log_probs]
        target_names += names
        spelled = "".join(token for token in hypothesis.tokens if token != EOS).replace(WORD_BOUNDARY, " ").strip()
        if spelled != hypothesis.text:  # bytes of a character, or a replacement for an unknown token
            lines.append(f"<div>{_label('text')}{escape(hypothesis.text)}</div>")
        lines.append(
            f"<div>{_label('translation')}"
            f"{_tokens('t', names, hypothesis.tokens, source_names, hypothesis.attention, chances)}"
            f"{_score(hypothesis)}</div>"
        )
    weights = np.concatenate([hypothesis.attention for hypothesis in hypotheses]).T
    source = _tokens("s", source_names, source_tokens, target_names, weights, [""] * len(source_tokens))
    body = f"<div>{_label('source')}{source}</div>{''.join(lines)}"
    key = "a" + hashlib.sha256(body.encode()).hexdigest()[:10]
    rules = "".join(
        f".{key}:has(.{name}:is(:hover,:focus)) .{other}{{background:rgba(80,140,255,var(--{name},0))}}"
        for names, other in ((target_names, "s"), (source_names, "t"))
        for name in names
    )
    style = (
        f".{key} i{{font-style:normal;border-radius:3px;cursor:default;white-space:pre}}"
        f".{key} i:hover,.{key} i:focus{{outline:1px solid}}{rules}"
    )
    note = html_note("point at a token to see its attention")
    return f'<div class="{key}" style="line-height:1.7"><style>{style}</style>{body}</div>{note}'


def _tokens(
    kind: str,
    names: Sequence[str],
    tokens: Sequence[str],
    others: Sequence[str],
    weights: np.ndarray,
    titles: Sequence[str],
) -> str:
    """HTML of a text's tokens, each with its weights (tokens, others) for the tokens of the other side."""
    spans: list[str] = []
    for name, token, row, title in zip(names, tokens, weights, titles, strict=True):
        seen = ";".join(f"--{others[place]}:{row[place]:.2f}" for place in np.flatnonzero(row >= MIN_WEIGHT).tolist())
        muted = f";{MUTED}" if token == EOS else ""
        text = token.replace(WORD_BOUNDARY, " ").lstrip(" ")
        space = " " * (token.startswith(WORD_BOUNDARY) and bool(spans))
        about = f' title="{title}"' if title else ""
        spans.append(f'{space}<i class="{kind} {name}" tabindex="0" style="{seen}{muted}"{about}>{escape(text)}</i>')
    return "".join(spans)


def _label(text: str) -> str:
    return f'<span style="display:inline-block;width:6.5em;{MUTED}">{text}</span>'


def _score(hypothesis: Hypothesis) -> str:
    if not hypothesis.tokens:
        return ""  # a blank has no score
    return f'<span style="font-size:90%;{MUTED}"> &ensp;score {hypothesis.score:.3f}</span>'
