"""Search over any step function: greedy, sampling and beam; wrappers that fuse two models or force a prefix."""

from seq2seq.search.beam import beam_search
from seq2seq.search.fusion import fused
from seq2seq.search.greedy import greedy_search
from seq2seq.search.prefix import after_prefix
from seq2seq.search.sampling import draw_uniforms, reshaped, sample
from seq2seq.search.step import (
    IMPOSSIBLE,
    Rules,
    SearchResult,
    StepFunction,
    StepOutput,
    coverage_scores,
    normalized,
)

__all__ = [
    "IMPOSSIBLE",
    "Rules",
    "SearchResult",
    "StepFunction",
    "StepOutput",
    "after_prefix",
    "beam_search",
    "coverage_scores",
    "draw_uniforms",
    "fused",
    "greedy_search",
    "normalized",
    "reshaped",
    "sample",
]
