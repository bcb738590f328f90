"""Searches that the translators of one process share: to trace the graph of a toy search takes longer than to run it.

`tests/conftest.py` has the fixture `shared_searches`.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable

from seq2seq.inference.searcher import SearchInputs, StaticSearchOptions
from seq2seq.inference.step_sources import StepSource
from seq2seq.search import SearchResult

KEPT = 40  # graphs
Search = Callable[[SearchInputs], SearchResult]


class SharedSearches:
    """Traces a graph once per model, where each `Searcher` would trace one of its own. Keys of graphs name their models."""

    def __init__(self, trace_search: Callable[..., Search]) -> None:
        self.trace = trace_search
        self.graphs: OrderedDict[Hashable, Search] = OrderedDict()

    def trace_search(self, steps: StepSource, structure: StaticSearchOptions, device: str | None = None) -> Search:
        """As `seq2seq.inference.searcher.trace_search`."""
        key = (steps.graph_key, structure, device)
        if key not in self.graphs:
            self.graphs[key] = self.trace(steps, structure, device)
            if len(self.graphs) > KEPT:
                self.graphs.popitem(last=False)
        return self.graphs[key]
