"""Graphs of searches that models of one kind share: to trace the graph of a toy search takes longer than to run it.

`tests/conftest.py` has the fixture `shared_searches`.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any

import tensorflow as tf

from seq2seq.inference.searcher import SearchInputs, StaticSearchOptions
from seq2seq.inference.step_sources import StepSource
from seq2seq.models.base import DecoderModel
from seq2seq.search import SearchResult

KEPT = 60  # graphs
Search = Callable[[SearchInputs], SearchResult]


class SharedSearches:
    """Traces a graph once for all models of one description, where each `Searcher` would trace one of its own.

    A graph reads weights from the variables that it captured; for another model it is given that model's instead.
    """

    def __init__(self, trace_search: Callable[..., Any]) -> None:
        self.trace = trace_search
        self.graphs: OrderedDict[Hashable, tuple[Any, list[Any], list[Any], threading.Lock]] = OrderedDict()

    def trace_search(self, steps: StepSource, structure: StaticSearchOptions, device: str | None = None) -> Search:
        """As `seq2seq.inference.searcher.trace_search`."""
        key = (described(steps.graph_key), structure, device)
        if key not in self.graphs:
            graph = self.trace(steps, structure, device)
            self.graphs[key] = graph, graph.captured_inputs, handles(steps), threading.Lock()
            if len(self.graphs) > KEPT:
                self.graphs.popitem(last=False)
        graph, captured, theirs, lock = self.graphs[key]
        ours = dict(zip(map(id, theirs), handles(steps), strict=True))
        captures = [ours[id(value)] if value.dtype == tf.resource else value for value in captured]

        def search(inputs: SearchInputs) -> SearchResult:
            with lock:
                graph.set_external_captures(captures)
                return graph(inputs)

        return search


def handles(steps: StepSource) -> list[Any]:
    """Of the variables that a graph may capture."""
    return [variable.value.handle for model in steps.models for variable in model.variables]


def described(key: Hashable) -> Hashable:
    """A key with what its models are made of in the place of the models."""
    if isinstance(key, DecoderModel):
        return type(key), repr(key.get_config()), key.dtype_policy.name
    return tuple(map(described, key)) if isinstance(key, tuple) else key
