"""Interface of search: step functions, constraints, results, and scores of hypotheses of different lengths."""

from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple, Protocol

import tensorflow as tf

# Score of excluded tokens; finite, so that its sums and differences are not NaN.
NEG_INF = -1e9
# Coverage of a source position counts as at least this, which keeps its logarithm finite (-20.7).
MIN_COVERAGE = 1e-9
# Number of missing tokens after a token that is not allowed.
BLOCKED = 1e6


class Requirements(NamedTuple):
    """What is required of the next tokens of each hypothesis, see `with_automata`.

    Attributes:
        missing: (B, K, C) float32, number of required tokens that are still missing after each candidate, plus a
            fraction below 1/2, which grows with the number of phrases that they belong to; `BLOCKED` or more if it is
            not allowed.
        advance: (B, K, A) int64, indices of candidates that lower this number; 0 in empty places.
    """

    missing: tf.Tensor
    advance: tf.Tensor


class StepOutput(NamedTuple):
    """Result of one step: the scores of C candidate next tokens for each hypothesis, the next state, and attention.

    Attributes:
        scores: (B, K, C) float32, what each token adds to the score of a hypothesis: its log-probability, or a sum over
            several models; `NEG_INF` for excluded tokens.
        state: Any nest of tensors (B, K, ...).
        attention: (B, K, S) float32, attention over the source.
        candidates: (B, C) int64, ids of the candidates in ascending order, then 0 (padding) in empty places;
            `with_prefix` puts a forced token before them. None: the whole vocabulary in the order of ids.
        requirements: What is required of the tokens; None: nothing.
    """

    scores: tf.Tensor
    state: Any
    attention: tf.Tensor
    candidates: tf.Tensor | None = None
    requirements: Requirements | None = None

    def token_ids(self, positions: tf.Tensor) -> tf.Tensor:
        """Token ids at indices (B, ...) into the C candidates."""
        return positions if self.candidates is None else tf.gather(self.candidates, positions, batch_dims=1)

    def gather_candidates(self, values: tf.Tensor) -> tf.Tensor:
        """Values (B, K, C) of the candidates, from values (B, K, V) of the whole vocabulary."""
        return values if self.candidates is None else tf.gather(values, self.candidates, axis=2, batch_dims=1)

    def find(self, ids: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Indices of token ids (B, K, L) among the sorted candidates, 0 for others; and whether they are candidates."""
        if self.candidates is None:
            return ids, tf.ones_like(ids, tf.bool)
        size = tf.shape(self.candidates, tf.int64)[1]
        is_empty = tf.range(size) > tf.argmax(self.candidates, axis=1)[:, None]  # after the last candidate
        rising = tf.where(is_empty, self.candidates.dtype.max, self.candidates)
        flat = tf.reshape(ids, [tf.shape(ids)[0], -1])
        found = tf.searchsorted(rising, flat, out_type=tf.int64)
        found = tf.where(found < size, found, 0)
        there = tf.gather(rising, found, batch_dims=1) == flat
        return tf.reshape(tf.where(there, found, 0), tf.shape(ids)), tf.reshape(there, tf.shape(ids))


class StepFunction(Protocol):
    """One step of a decoder for K hypotheses of each of B sentences.

    `shallow_fusion`, `with_prefix` and `without_repetition` wrap step functions.

    Shapes: B sentences, K hypotheses per sentence.
        tokens  (B, K)  int64, the last token of each hypothesis, an id of the vocabulary
        state   any nest of tensors (B, K, ...), gathered along K by search
        memory  any nest of tensors (B, ...), kept once per sentence
    """

    def __call__(self, tokens: tf.Tensor, state: Any, memory: Any) -> StepOutput: ...


class SearchResult(NamedTuple):
    """The N best hypotheses of each of B sentences, best first, padded to L tokens with id 0.

    Attributes:
        tokens: (B, N, L) int32, EOS included, BOS excluded.
        lengths: (B, N) int32, EOS included; 0 where there are fewer than N hypotheses.
        scores: (B, N) float32, see `SearchConstraints.score_hypotheses`.
        log_probs: (B, N, L) float32, the step's score of each token (`StepOutput`); 0 at padding.
        attention: (B, N, L, S) float32, attention of the step that scored each token; 0 at padding.
        coverage: (B, N, S) float32, attention summed over all tokens of a hypothesis.
    """

    tokens: tf.Tensor
    lengths: tf.Tensor
    scores: tf.Tensor
    log_probs: tf.Tensor
    attention: tf.Tensor
    coverage: tf.Tensor


@dataclass(frozen=True, kw_only=True)
class SearchConstraints:
    """Constraints of a search: which tokens may be chosen when, and how finished hypotheses are scored.

    Args:
        max_lengths: (B,) int32 or int64, maximum length, EOS included, at least 1; EOS is forced there.
        bos_id: Token id of BOS, which is never chosen.
        eos_id: Token id of EOS.
        pad_id: Token id of padding, which is never chosen.
        min_lengths: (B,) int32 or int64, minimum length, EOS included; limited by `max_lengths`. None: 1.
        forbidden: Other tokens that are never chosen.
        ends_if_stuck: Allow EOS before the minimum length if no other token is possible, for steps that exclude
            tokens, as `without_repetition` does; always true of steps with requirements.
        length_penalty: See `normalize_scores`; a number or a scalar tensor.
        coverage_penalty: Weight beta of `coverage_penalty`, not negative; a number or a scalar tensor. None or the
            number 0: scores do not depend on coverage, and none is kept.
        source_mask: (B, S) bool, True on real tokens; required for a coverage penalty.

    Raises:
        ValueError: There is a coverage penalty and no `source_mask`.
    """

    max_lengths: tf.Tensor
    bos_id: int
    eos_id: int
    pad_id: int = 0
    min_lengths: tf.Tensor | None = None
    forbidden: tuple[int, ...] = ()
    ends_if_stuck: bool = False
    length_penalty: float | tf.Tensor | Literal["average"] = 0.0
    coverage_penalty: float | tf.Tensor | None = None
    source_mask: tf.Tensor | None = None

    def __post_init__(self) -> None:
        if self.uses_coverage and self.source_mask is None:
            raise ValueError(
                f"coverage_penalty is {self.coverage_penalty}: pass source_mask, True on real source tokens"
            )

    @property
    def uses_coverage(self) -> bool:
        """Whether scores depend on coverage."""
        penalty = self.coverage_penalty
        return penalty is not None and (tf.is_tensor(penalty) or penalty != 0)

    def select(self, indices: tf.Tensor) -> "SearchConstraints":
        """The constraints of some sentences, given their indices (B',)."""

        def part(values: tf.Tensor | None) -> tf.Tensor | None:
            return None if values is None else tf.gather(values, indices)

        return replace(
            self,
            max_lengths=part(self.max_lengths),
            min_lengths=part(self.min_lengths),
            source_mask=part(self.source_mask) if self.uses_coverage else None,
        )

    def with_int64_limits(self) -> "SearchConstraints":
        """The same constraints with int64 limits: TensorFlow computes int32 on the host, even if there is a GPU."""
        shortest = None if self.min_lengths is None else tf.cast(self.min_lengths, tf.int64)
        return replace(self, max_lengths=tf.cast(self.max_lengths, tf.int64), min_lengths=shortest)

    def at_max_length(self, t: tf.Tensor) -> tf.Tensor:
        """Whether hypotheses have their maximum length before step t, (B,) bool."""
        return tf.cast(t, self.max_lengths.dtype) >= self.max_lengths

    def mask_scores(self, output: StepOutput, t: tf.Tensor) -> tf.Tensor:
        """Scores (B, K, C) of step t, `NEG_INF` for tokens that are not allowed now."""
        scores, token = output.scores, output.candidates
        if token is None:
            token = tf.cast(tf.range(scores.shape[-1] or tf.shape(scores)[-1]), tf.int64)[None]
        t = tf.cast(t, self.max_lengths.dtype)
        is_eos = token == self.eos_id
        excluded = tf.reduce_any(token[:, :, None] == [self.pad_id, self.bos_id, *self.forbidden], axis=2)
        if self.min_lengths is not None:
            excluded |= is_eos & (t < self.min_lengths - 1)[:, None]
        excluded = tf.where((t >= self.max_lengths - 1)[:, None], ~is_eos, excluded)
        masked = tf.where(excluded[:, None], NEG_INF, scores)
        if output.requirements is not None:
            masked = self._mask_unfulfillable(masked, output.requirements.missing, t)
        if self.ends_if_stuck or output.requirements is not None:
            is_stuck = tf.reduce_max(masked, axis=2, keepdims=True) <= NEG_INF / 2
            masked = tf.where(is_stuck & is_eos[:, None], scores, masked)
        return masked

    def _mask_unfulfillable(self, masked: tf.Tensor, missing: tf.Tensor, t: tf.Tensor) -> tf.Tensor:
        """Exclude tokens after which more would be missing than there is room for, or than is necessary."""
        missing = tf.where(masked > NEG_INF / 2, missing, BLOCKED)
        least = tf.reduce_min(missing, axis=2, keepdims=True)
        room = tf.cast(self.max_lengths - t - 2, tf.float32)[:, None, None]  # after this token and before EOS
        return tf.where(missing <= tf.minimum(tf.maximum(room + 0.5, least + 1e-4), BLOCKED / 2), masked, NEG_INF)

    def score_hypotheses(self, sums: tf.Tensor, lengths: tf.Tensor, coverage: tf.Tensor) -> tf.Tensor:
        """Scores of finished hypotheses, by which they are ranked.

        Args:
            sums: (B, N) float32, summed log-probabilities.
            lengths: Number of tokens of each, EOS included; a scalar or (B, N).
            coverage: (B, N, S) float32, attention summed over these tokens, see `update_coverage`.
        """
        scores = normalize_scores(sums, lengths, self.length_penalty)
        if self.uses_coverage:
            scores += self.coverage_penalty * coverage_penalty(coverage, self.source_mask)
        return scores

    def initial_coverage(self, hypotheses: int) -> tf.Tensor:
        """Zeros (B, K, S) to start `update_coverage` with; S is 0 if scores do not depend on coverage."""
        positions = tf.shape(self.source_mask)[1] if self.uses_coverage else 0
        return tf.zeros([tf.shape(self.max_lengths)[0], hypotheses, positions])

    def update_coverage(self, coverage: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
        """`coverage` after a step with attention weights (B, K, S)."""
        return coverage + weights if self.uses_coverage else coverage


def normalize_scores(
    scores: tf.Tensor, lengths: tf.Tensor, length_penalty: float | tf.Tensor | Literal["average"]
) -> tf.Tensor:
    """Scores that are comparable across lengths.

    Args:
        scores: Sums of log-probabilities, float32.
        lengths: Number of tokens of each hypothesis, EOS included.
        length_penalty: A number alpha: divide by ((5 + length) / 6) ** alpha, so that 0 leaves the sums as they are;
            `average`: divide by the length.

    Source:
        Wu et al. (2016), section 7, equation 14.
    """
    tokens = tf.cast(lengths, tf.float32)
    if isinstance(length_penalty, str):
        return scores / tf.maximum(tokens, 1.0)
    return scores / ((5.0 + tokens) / 6.0) ** length_penalty


def coverage_penalty(coverage: tf.Tensor, source_mask: tf.Tensor) -> tf.Tensor:
    """Coverage penalty: the sum over real source positions s of log(min(coverage_s, 1)), at most 0.

    Args:
        coverage: (B, N, S) float32, attention summed over all target tokens.
        source_mask: (B, S) bool, True on real tokens.

    Returns:
        (B, N) float32.

    Source:
        Wu et al. (2016), section 7, equation 14, without its beta.

    Departure:
        Coverage counts as at least `MIN_COVERAGE`, which keeps the logarithm finite.
    """
    logarithms = tf.math.log(tf.clip_by_value(coverage, MIN_COVERAGE, 1.0))
    return tf.reduce_sum(tf.where(source_mask[:, None], logarithms, 0.0), axis=-1)
