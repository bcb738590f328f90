"""Search over any step function: greedy and beam."""

from seq2seq.search.beam import beam_search
from seq2seq.search.greedy import greedy_search
from seq2seq.search.step import SearchResult, StepFunction, normalized

__all__ = ["SearchResult", "StepFunction", "beam_search", "greedy_search", "normalized"]
