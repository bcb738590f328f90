"""Search over any step function: greedy, sampling and beam; wrappers that fuse two models or force a prefix."""

from seq2seq.search.beam import beam_search
from seq2seq.search.fusion import shallow_fusion
from seq2seq.search.greedy import greedy_search
from seq2seq.search.prefix import with_prefix
from seq2seq.search.sampling import sample, sampling_distribution, uniform_noise
from seq2seq.search.step import (
    NEG_INF,
    SearchConstraints,
    SearchResult,
    StepFunction,
    StepOutput,
    coverage_scores,
    normalize_scores,
)

__all__ = [
    "NEG_INF",
    "SearchConstraints",
    "SearchResult",
    "StepFunction",
    "StepOutput",
    "beam_search",
    "coverage_scores",
    "greedy_search",
    "normalize_scores",
    "sample",
    "sampling_distribution",
    "shallow_fusion",
    "uniform_noise",
    "with_prefix",
]
