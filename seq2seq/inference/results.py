"""Translations: hypotheses with scores, tokens and attention; those of a line's segments are joined."""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from seq2seq.arguments import check_arguments
from seq2seq.plurals import pluralize

if TYPE_CHECKING:
    from seq2seq.data.tokenizer import Tokenizer
    from seq2seq.search import SearchResult

# Han, kana and full-width punctuation, which are written without spaces; quotation marks, dots and dashes of any script
# may stand beside them.
_UNSPACED = "[\u3000-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff01-\uff9f\U00020000-\U0003ffff]"
EOS = "</s>"
WORD_BOUNDARY = "▁"  # SentencePiece's mark of the start of a word
MIN_COVERAGE = 0.1  # target tokens; a source token with less attention in total was hardly attended to
MAX_ATTENTION_WEIGHTS = 10_000_000  # a line of 100,000 characters may have 10^11, nearly all of them 0
_ENDS, _STARTS = re.compile(rf"{_UNSPACED}[\"'’”…—]*$"), re.compile(rf"[\"'‘“…—]*{_UNSPACED}")


@dataclass(frozen=True, repr=False)
class Hypothesis:
    """One translation of a sentence.

    text             detokenized
    score            sum of `token_log_probs`, normalised by length, plus the coverage penalty; for a long line, the sum
                     over its segments
    tokens           L pieces, the last one `</s>`
    token_log_probs  (L,) float32, in nats; with a language model each is the translator's plus its weight times the
                     language model's; with a repetition penalty, that of a token that is repeated is multiplied by it
    attention        (L, S) float32, over the source's tokens, each row sums to 1; (L, 0) where not asked for, where
                     the model does not attend, or of a line in segments with more than `MAX_ATTENTION_WEIGHTS` weights
    coverage         (S,) float32, attention to each source token, summed over the target tokens; (0,) if the model
                     has no attention
    """

    text: str
    score: float
    tokens: list[str]
    token_log_probs: np.ndarray
    attention: np.ndarray
    coverage: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))

    @property
    def mean_log_prob(self) -> float:
        """Mean of `token_log_probs`, comparable between lengths; NaN without tokens."""
        return float(self.token_log_probs.mean()) if self.tokens else math.nan

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"Hypothesis({self.text!r}, score={self.score:.3f}, {pluralize(len(self.tokens), 'token')})"


@dataclass(frozen=True, repr=False)
class Translation:
    """A sentence's translations, best first, and the S source tokens that attention refers to.

    A blank sentence has one empty hypothesis with score 0 and no tokens; files and `as_dict` leave its score out.

    source_tokens       S pieces that were read, the last one `</s>`
    hypotheses          at least one
    num_segments        number of segments that the line was translated in; each has a `</s>` of its own
    num_groups          number of groups of sentences that a line of several sentences was divided into; each is one
                        segment, or several if it is long
    truncated_tokens    tokens at the ends of long groups that were not read
    unknown_tokens      number of source tokens for characters that the model does not know
    unknown_characters  these characters, each once
    repeats             whether the best hypothesis repeats itself and the source does not, see
                        `inference.repetition.repeats`
    """

    source_tokens: list[str]
    hypotheses: list[Hypothesis]
    num_segments: int = 1
    num_groups: int = 1
    truncated_tokens: int = 0
    unknown_tokens: int = 0
    unknown_characters: tuple[str, ...] = ()
    repeats: bool = False

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        more = f", {len(self.hypotheses)} hypotheses" if len(self.hypotheses) > 1 else ""
        return f"Translation({self.text!r}, score={self.score:.3f}{more})"

    def _repr_html_(self) -> str:
        from seq2seq.inference.translation_html import translation_html

        return translation_html(self)

    @property
    def text(self) -> str:
        return self.hypotheses[0].text

    @property
    def score(self) -> float:
        return self.hypotheses[0].score

    @property
    def tokens(self) -> list[str]:
        return self.hypotheses[0].tokens

    @property
    def token_log_probs(self) -> np.ndarray:
        return self.hypotheses[0].token_log_probs

    @property
    def attention(self) -> np.ndarray:
        return self.hypotheses[0].attention

    @property
    def coverage(self) -> np.ndarray:
        return self.hypotheses[0].coverage

    @property
    def mean_log_prob(self) -> float:
        return self.hypotheses[0].mean_log_prob

    @property
    def unattended_share(self) -> float:
        """Share of the source tokens, without `</s>`, whose coverage is below `MIN_COVERAGE`; NaN if it is unknown."""
        pairs = zip(self.coverage.tolist(), self.source_tokens, strict=False)
        unattended = [covered < MIN_COVERAGE for covered, token in pairs if token != EOS]
        return sum(unattended) / len(unattended) if unattended else math.nan

    @check_arguments()
    def as_dict(self, attention: bool = True) -> dict[str, Any]:
        """Values for JSON; attention with 6 decimals; None for the score of a blank and for non-finite numbers."""
        hypotheses = []
        for hypothesis in self.hypotheses:
            values: dict[str, Any] = {
                "text": hypothesis.text,
                "score": _number(hypothesis.score) if hypothesis.tokens else None,
                "mean_log_prob": _number(hypothesis.mean_log_prob),
                "tokens": hypothesis.tokens,
                "token_log_probs": [_number(value) for value in hypothesis.token_log_probs.tolist()],
            }
            if attention:
                rows = hypothesis.attention.tolist()
                values["attention"] = [[_number(round(weight, 6)) for weight in row] for row in rows]
            hypotheses.append(values)
        return {
            "source_tokens": self.source_tokens,
            "num_segments": self.num_segments,
            "num_groups": self.num_groups,
            "truncated_tokens": self.truncated_tokens,
            "unknown_tokens": self.unknown_tokens,
            "unknown_characters": list(self.unknown_characters),
            "unattended_share": _number(self.unattended_share),
            "repeats": self.repeats,
            "translations": hypotheses,
        }


def make_hypotheses(
    result: "SearchResult",
    row: int,
    tokenizer: "Tokenizer",
    source_length: int = 0,
    decode: Callable[[list[int], np.ndarray], str] | None = None,
    attention: bool = False,
) -> list[Hypothesis]:
    """What a search found for one sentence, best first; possibly fewer than `n_best`.

    Args:
        result: Search result, of NumPy arrays.
        row: The sentence's place in its batch.
        tokenizer: Target tokenizer.
        source_length: Number of source tokens, EOS included.
        decode: Makes text of token ids and their attention (L, S); the tokenizer alone by default.
        attention: Keep attention; coverage is always kept.
    """
    hypotheses = []
    for n, end in enumerate(result.lengths[row].tolist()):
        if end == 0 and n:
            continue  # there are fewer hypotheses than `n_best`
        ids, weights = result.tokens[row, n, :end].tolist(), result.attention[row, n, :end]
        hypotheses.append(
            Hypothesis(
                text=decode(ids, weights) if decode else tokenizer.decode(ids),
                score=float(result.scores[row, n]),
                tokens=tokenizer.pieces(ids),
                # Copies: a view would keep the whole padded batch alive.
                token_log_probs=result.log_probs[row, n, :end].copy(),
                attention=weights[:, : source_length if attention else 0].copy(),
                coverage=result.coverage[row, n, :source_length].copy(),
            )
        )
    return hypotheses


def blank_translation() -> Translation:
    """The translation of a sentence without tokens."""
    return Translation([], [Hypothesis("", 0.0, [], np.zeros(0, np.float32), np.zeros((0, 0), np.float32))])


def truncation_warning(truncated: int, sentences: int) -> str:
    """Warning that `truncated` of `sentences` are longer than `max_source_tokens`, and `long_lines` is `truncate`."""
    return (
        f"{truncated:,} of {pluralize(sentences, 'sentence')} {'is' if truncated == 1 else 'are'} cut off at "
        "'max_source_tokens', and what follows there is not translated. Raise it, or use 'long_lines: split'."
    )


def join_segments(segments: Sequence[Translation]) -> Translation:
    """The translation of a line from those of its segments, in order.

    The n-th hypothesis is made of the segments' n-th; there are as many as the segment with the fewest has. Texts are
    joined by a space, or by nothing between Chinese or Japanese characters; scores are summed, and a target token's
    attention lies on its own segment's source tokens.
    """
    if len(segments) == 1:
        return segments[0]
    ranks = zip(*(part.hypotheses for part in segments), strict=False)
    return Translation(
        [token for part in segments for token in part.source_tokens],
        [_join_hypotheses(rank) for rank in ranks],
        num_segments=len(segments),
        unknown_tokens=sum(part.unknown_tokens for part in segments),
        unknown_characters=tuple(dict.fromkeys(chain.from_iterable(part.unknown_characters for part in segments))),
    )


def _join_hypotheses(parts: Sequence[Hypothesis]) -> Hypothesis:
    shapes = np.array([part.attention.shape for part in parts])
    if math.prod(shapes.sum(axis=0).tolist()) > MAX_ATTENTION_WEIGHTS:
        return _join_hypotheses([replace(part, attention=part.attention[:, :0]) for part in parts])
    attention = np.zeros(shapes.sum(axis=0), np.float32)
    for part, (row, column), (rows, columns) in zip(parts, shapes.cumsum(axis=0) - shapes, shapes, strict=True):
        attention[row : row + rows, column : column + columns] = part.attention
    return Hypothesis(
        text=join_texts([part.text for part in parts if part.text]),
        score=sum(part.score for part in parts),
        tokens=[token for part in parts for token in part.tokens],
        token_log_probs=np.concatenate([part.token_log_probs for part in parts]),
        attention=attention,
        coverage=np.concatenate([part.coverage for part in parts]),
    )


def join_texts(texts: Sequence[str]) -> str:
    """Texts one after the other, with a space between them except between Chinese or Japanese characters."""
    joined = "".join(texts[:1])
    for before, after in pairwise(texts):
        joined += after if _ENDS.search(before) and _STARTS.match(after) else f" {after}"
    return joined


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
