"""Translations, their hypotheses with scores, tokens and attention, and joining those of a line's segments."""

import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from seq2seq.arguments import check_arguments
from seq2seq.inference.confidence import WordConfidence, sentence_confidence, word_confidences
from seq2seq.plurals import pluralize
from seq2seq.text.words import EOS

if TYPE_CHECKING:
    from seq2seq.data.tokenizer import Tokenizer
    from seq2seq.search import SearchResult

# Han, kana and full-width punctuation, which are written without spaces; quotation marks, dots and dashes of any script
# may be next to them.
_UNSPACED = "[\u3000-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff01-\uff9f\U00020000-\U0003ffff]"
MIN_COVERAGE = 0.1  # target tokens; a source token with less attention in total was hardly attended to
MAX_ATTENTION_WEIGHTS = 10_000_000  # a line of 100,000 characters may have 10^11, nearly all of them 0
_ENDS, _STARTS = re.compile(rf"{_UNSPACED}[\"'’”…—]*$"), re.compile(rf"[\"'‘“…—]*{_UNSPACED}")


@dataclass(frozen=True, repr=False)
class Hypothesis:
    """One translation of a sentence.

    Attributes:
        text: Detokenized text.
        score: Sum of `token_log_probs`, normalised by length, plus the coverage penalty and, with a `rerank_model`, its
            weighted score; for a line in segments, the sum of their scores.
        tokens: L pieces, the last one `</s>`.
        token_log_probs: (L,) float32, in nats. With a language model, its weighted log-probabilities are added. With a
            repetition penalty, the log-probabilities of repeated tokens are multiplied by it.
        attention: (L, S) float32, over the source tokens, each row sums to 1; (L, 0) if it was not requested, if the
            model has no attention, or for a line in segments with more than `MAX_ATTENTION_WEIGHTS` weights.
        coverage: (S,) float32, attention to each source token, summed over the target tokens; (0,) if the model has no
            attention.
        expected_utility: Expected utility with `decision: mbr-chrf` or `mbr-bleu`, 0 to 100; for a line in segments,
            the mean of theirs.
        token_confidence: (L,) float32, calibrated probabilities of the tokens (`inference.confidence`); (0,) if they
            were not requested.
    """

    text: str
    score: float
    tokens: list[str]
    token_log_probs: np.ndarray
    attention: np.ndarray
    coverage: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))
    expected_utility: float | None = None
    token_confidence: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))

    @property
    def mean_log_prob(self) -> float:
        """Mean of `token_log_probs`, comparable across lengths; NaN without tokens."""
        return float(self.token_log_probs.mean()) if self.tokens else math.nan

    @property
    def confidence(self) -> float | None:
        """Geometric mean of `token_confidence`; None if it was not requested."""
        return sentence_confidence(self.token_confidence) if self.token_confidence.size else None

    @property
    def word_confidences(self) -> list[WordConfidence]:
        """Calibrated confidence in each word of the text; empty if it was not requested."""
        if not self.token_confidence.size:
            return []
        return word_confidences(self.text, self.tokens, self.token_confidence)

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"Hypothesis({self.text!r}, score={self.score:.3f}, {pluralize(len(self.tokens), 'token')})"


@dataclass(frozen=True, repr=False)
class Translation:
    """A sentence's translations, best first, and the S source tokens that attention refers to.

    A blank sentence has one empty hypothesis with score 0 and no tokens; files and `as_dict` omit its score.

    Attributes:
        source_tokens: S pieces that were read, the last one `</s>`.
        hypotheses: Hypotheses, at least one.
        num_segments: Number of segments in which the line was translated; each has a `</s>` of its own.
        num_groups: Number of groups of sentences into which a line of several sentences was divided; each is one
            segment, or several if it is long.
        truncated_tokens: Number of tokens at the ends of long groups that were not read.
        unknown_tokens: Number of source tokens for characters that the model does not know.
        unknown_characters: These characters, each once.
        unsatisfied: Constraints that the best hypothesis does not satisfy, such as `include: Haus`.
        repeats: Whether the best hypothesis repeats itself and the source does not, see `inference.repetition.repeats`.
    """

    source_tokens: list[str]
    hypotheses: list[Hypothesis]
    num_segments: int = 1
    num_groups: int = 1
    truncated_tokens: int = 0
    unknown_tokens: int = 0
    unknown_characters: tuple[str, ...] = ()
    unsatisfied: tuple[str, ...] = ()
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
        """Text of the best hypothesis."""
        return self.hypotheses[0].text

    @property
    def score(self) -> float:
        """Score of the best hypothesis."""
        return self.hypotheses[0].score

    @property
    def tokens(self) -> list[str]:
        """Tokens of the best hypothesis."""
        return self.hypotheses[0].tokens

    @property
    def token_log_probs(self) -> np.ndarray:
        """Log-probabilities of the best hypothesis's tokens."""
        return self.hypotheses[0].token_log_probs

    @property
    def attention(self) -> np.ndarray:
        """Attention of the best hypothesis."""
        return self.hypotheses[0].attention

    @property
    def coverage(self) -> np.ndarray:
        """Coverage of the source by the best hypothesis."""
        return self.hypotheses[0].coverage

    @property
    def mean_log_prob(self) -> float:
        """Mean log-probability per token of the best hypothesis."""
        return self.hypotheses[0].mean_log_prob

    @property
    def unattended_share(self) -> float:
        """Share of the source tokens, without `</s>`, whose coverage is below `MIN_COVERAGE`; NaN if unknown."""
        pairs = zip(self.coverage.tolist(), self.source_tokens, strict=False)
        unattended = [covered < MIN_COVERAGE for covered, token in pairs if token != EOS]
        return sum(unattended) / len(unattended) if unattended else math.nan

    @check_arguments()
    def as_dict(self, attention: bool = True) -> dict[str, Any]:
        """Values for JSON: attention has 6 decimals; non-finite numbers and the score of a blank sentence are None."""
        hypotheses = []
        for hypothesis in self.hypotheses:
            values: dict[str, Any] = {
                "text": hypothesis.text,
                "score": json_number(hypothesis.score) if hypothesis.tokens else None,
                "mean_log_prob": json_number(hypothesis.mean_log_prob),
                "tokens": hypothesis.tokens,
                "token_log_probs": [json_number(value) for value in hypothesis.token_log_probs.tolist()],
            }
            if hypothesis.expected_utility is not None:
                values["expected_utility"] = hypothesis.expected_utility
            if hypothesis.token_confidence.size:
                words = hypothesis.word_confidences
                values |= {
                    "confidence": json_number(sentence_confidence(hypothesis.token_confidence)),
                    "token_confidence": [json_number(value) for value in hypothesis.token_confidence.tolist()],
                    "words": [one.word for one in words],
                    "word_confidence": [json_number(one.probability) for one in words],
                    "word_log_probs": [json_number(one.log_prob) for one in words],
                }
            if attention:
                rows = hypothesis.attention.tolist()
                values["attention"] = [[json_number(round(weight, 6)) for weight in row] for row in rows]
            hypotheses.append(values)
        return {
            "source_tokens": self.source_tokens,
            "num_segments": self.num_segments,
            "num_groups": self.num_groups,
            "truncated_tokens": self.truncated_tokens,
            "unknown_tokens": self.unknown_tokens,
            "unknown_characters": list(self.unknown_characters),
            "unattended_share": json_number(self.unattended_share),
            "unsatisfied": list(self.unsatisfied),
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
    """Hypotheses of one sentence from a search result, best first; possibly fewer than `n_best`.

    Args:
        result: Search result, as NumPy arrays.
        row: Index of the sentence in its batch.
        tokenizer: Target tokenizer.
        source_length: Number of source tokens, EOS included.
        decode: Function from token ids and their attention (L, S) to text; by default `tokenizer.decode`.
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
    nothing = Hypothesis("", 0.0, [], np.zeros(0, np.float32), np.zeros((0, 0), np.float32))
    return Translation([], [nothing])


def truncation_warning(truncated: int, sentences: int) -> str:
    """Warning that a number of sentences are cut off, with `long_lines: truncate`."""
    return (
        f"{truncated:,} of {pluralize(sentences, 'sentence')} {'is' if truncated == 1 else 'are'} cut off at "
        "'max_source_tokens', and the rest is not translated. Raise it, or use 'long_lines: split'."
    )


def join_segments(segments: Sequence[Translation]) -> Translation:
    """Join the translations of a line's segments, in order.

    The n-th hypothesis joins the n-th hypotheses of the segments; there are as many as in the segment with the fewest.
    Texts are joined by a space, or by nothing between Chinese or Japanese characters; scores are summed; and a target
    token attends only to the source tokens of its own segment.
    """
    if len(segments) == 1:
        return segments[0]
    ranks = zip(*(part.hypotheses for part in segments), strict=False)
    return Translation(
        [token for part in segments for token in part.source_tokens],
        [_join_hypotheses(rank) for rank in ranks],
        num_segments=len(segments),
        unknown_tokens=sum(part.unknown_tokens for part in segments),
        unknown_characters=_united(part.unknown_characters for part in segments),
        unsatisfied=_united(part.unsatisfied for part in segments),
    )


def _united(values: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(chain.from_iterable(values)))


def _join_hypotheses(parts: Sequence[Hypothesis]) -> Hypothesis:
    shapes = np.array([part.attention.shape for part in parts])
    if math.prod(shapes.sum(axis=0).tolist()) > MAX_ATTENTION_WEIGHTS:
        return _join_hypotheses([replace(part, attention=part.attention[:, :0]) for part in parts])
    utilities = [part.expected_utility for part in parts if part.expected_utility is not None]
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
        expected_utility=float(np.mean(utilities)) if utilities else None,
        token_confidence=np.concatenate([part.token_confidence for part in parts]),
    )


def join_texts(texts: Sequence[str]) -> str:
    """Join texts with spaces, except between Chinese or Japanese characters."""
    joined = "".join(texts[:1])
    for before, after in pairwise(texts):
        joined += after if _ENDS.search(before) and _STARTS.match(after) else f" {after}"
    return joined


def json_number(value: float) -> float | None:
    """A number for JSON, which has only finite ones."""
    return value if math.isfinite(value) else None
