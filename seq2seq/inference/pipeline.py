"""From parts of lines to their translations: a search, batch by batch, and the stages that change what it has found."""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice

import numpy as np

from seq2seq.config import SearchOptions
from seq2seq.data.progress import ProgressCallback
from seq2seq.data.tokenizer import Tokenizers
from seq2seq.devices.device import search_batch_limits, set_up_device
from seq2seq.devices.out_of_memory import BatchSplitter
from seq2seq.inference.demand_compiler import DemandCompiler
from seq2seq.inference.parts import read_result
from seq2seq.inference.results import Translation
from seq2seq.inference.searcher import Searcher, length_limits
from seq2seq.inference.segments import Part, explain_shortage, longest_part
from seq2seq.inference.step_sources import AutomataSteps, Batch, StepSource

Search = Callable[[Sequence[Part]], Iterator[tuple[Sequence[int], Sequence[Translation]]]]  # see `PartSearcher.search`
Stage = Callable[[Sequence[Part], Sequence[Translation]], Sequence[Translation]]  # from parts and their translations


def translate_parts(
    lines: Sequence[Sequence[Part]], search: Search, stages: Sequence[Stage], on_progress: ProgressCallback
) -> list[list[Translation]]:
    """The translations of each line's parts.

    Args:
        lines: The parts of each line, of which a line without tokens has none.
        search: Function from all parts to the translations of each batch, with the indices of its parts.
        stages: What is done with a batch after the search, in order: each stage reads what the one before it returns.
        on_progress: Called after each batch with the number of lines whose parts are all translated.
    """
    parts = [part for line in lines for part in line]
    waiting, done = [len(line) for line in lines], lines.count([])
    found: dict[int, Translation] = {}
    for places, searched in search(parts):
        batch, translations = [parts[place] for place in places], searched
        for stage in stages:
            translations = stage(batch, translations)
        found |= zip(places, translations, strict=True)
        for part in batch:
            waiting[part.line] -= 1
            done += not waiting[part.line]
        on_progress(done)
    in_order = (found[place] for place in range(len(parts)))
    return [list(islice(in_order, len(line))) for line in lines]


class PartSearcher:
    """Search for the translations of parts, with the demands on each; threads may share it.

    A batch that does not fit into memory is searched in halves, and later batches are smaller.

    Args:
        tokenizers: Tokenizers of source and target.
        on_warning: Called with a warning message when the first batch does not fit into memory.
    """

    def __init__(self, tokenizers: Tokenizers, on_warning: Callable[[str], None]) -> None:
        self.tokenizers, self.on_warning = tokenizers, on_warning
        self._compiler = DemandCompiler(tokenizers.target)
        self._memory = BatchSplitter()  # in the unit of `batch_tokens`

    def search(
        self, parts: Sequence[Part], searcher: Searcher, steps: StepSource, options: SearchOptions, attention: bool
    ) -> Iterator[tuple[Sequence[int], list[Translation]]]:
        """Yield the indices of the parts of each batch, and their translations with all hypotheses of the search.

        Args:
            parts: The parts.
            searcher: Its graphs are used.
            steps: Step source.
            options: Search options.
            attention: Keep attention weights.

        Raises:
            OutOfMemoryError: A part does not fit into memory, even alone.
        """
        tokens, hypotheses = search_batch_limits(options, self.tokenizers.target.vocabulary_size, set_up_device())

        def fitting(length: int) -> int:
            return min(tokens // (length + 1), hypotheses) // options.num_hypotheses

        def those(places: Sequence[int]) -> list[Part]:
            return [parts[place] for place in places]

        for batch in self._compiler.batches(parts, fitting):
            yield from self._memory.run(
                batch,
                lambda places: self._search(those(places), searcher, steps, options, attention),
                size=lambda places: len(places) * options.num_hypotheses * longest_part(those(places)),
                explain=lambda places, shortage: explain_shortage(those(places), options, shortage),
                on_warning=self.on_warning,
            )

    def _search(
        self, parts: Sequence[Part], searcher: Searcher, steps: StepSource, options: SearchOptions, attention: bool
    ) -> list[Translation]:
        batch = Batch([part.ids for part in parts])
        if (automata := self._compiler.stack(parts)) is not None:
            batch, steps = batch._replace(automata=automata), AutomataSteps(steps)
        limits = length_limits(np.array([len(part.ids) + 1 for part in parts]), options)
        result = searcher.search(steps, batch, limits, options, attention or options.unk_handling == "replace")
        return read_result(result, parts, self.tokenizers, options, attention)
