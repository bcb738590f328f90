"""Greedy search, sampling and beam search over any step function, and wrappers that change the steps."""

from seq2seq.search.beam import beam_search, top_k
from seq2seq.search.ensemble import average_attention, average_log_probs, average_models
from seq2seq.search.greedy_and_sampling import greedy_search, sample, sampling_distribution, sampling_uniforms
from seq2seq.search.repetition import without_repetition
from seq2seq.search.step import (
    NEG_INF,
    SearchConstraints,
    SearchResult,
    StepFunction,
    StepOutput,
    coverage_penalty,
    normalize_scores,
)
from seq2seq.search.wrappers import shallow_fusion, with_prefix

__all__ = [
    "NEG_INF",
    "SearchConstraints",
    "SearchResult",
    "StepFunction",
    "StepOutput",
    "average_attention",
    "average_log_probs",
    "average_models",
    "beam_search",
    "coverage_penalty",
    "greedy_search",
    "normalize_scores",
    "sample",
    "sampling_distribution",
    "sampling_uniforms",
    "shallow_fusion",
    "top_k",
    "with_prefix",
    "without_repetition",
]
