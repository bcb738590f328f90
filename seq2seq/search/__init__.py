"""Search over any step function: greedy, sampling and beam."""

from seq2seq.search.beam import beam_search
from seq2seq.search.greedy import greedy_search
from seq2seq.search.sampling import draw_uniforms, reshaped, sample
from seq2seq.search.step import IMPOSSIBLE, Rules, SearchResult, StepFunction, coverage_scores, normalized

__all__ = [
    "IMPOSSIBLE",
    "Rules",
    "SearchResult",
    "StepFunction",
    "beam_search",
    "coverage_scores",
    "draw_uniforms",
    "greedy_search",
    "normalized",
    "reshaped",
    "sample",
]
