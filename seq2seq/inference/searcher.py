"""Compiled search graphs, one per step source and set of static options."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from contextlib import nullcontext
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from seq2seq.config import SearchOptions
from seq2seq.data.padding import pad
from seq2seq.data.tokenizer import BOS_ID, EOS_ID, PAD_ID, UNK_ID
from seq2seq.inference.step_sources import Batch, InitialSearchState, StepSource
from seq2seq.layers.custom_gradient import forward_only
from seq2seq.search import (
    SearchConstraints,
    SearchResult,
    beam_search,
    greedy_search,
    sample,
    sampling_uniforms,
    without_repetition,
)

MAX_GRAPHS = 8  # kept at once, the most recently used ones


def length_limits(lengths: np.ndarray, options: SearchOptions) -> tuple[np.ndarray, np.ndarray]:
    """Minimum and maximum target lengths for given source lengths, all including EOS, (B,) int32."""
    limits = np.ceil(options.max_length_factor * lengths) + options.max_length_extra
    longest = np.minimum(limits, options.max_length or np.iinfo(np.int32).max).astype(np.int32)
    return np.full_like(longest, options.min_length), longest


class DynamicSearchOptions(NamedTuple):
    """Numeric search options, which are scalar inputs of a graph."""

    length_penalty: Any
    coverage_penalty: Any
    repetition_penalty: Any
    diversity_penalty: Any
    temperature: Any
    top_k: Any
    top_p: Any

    @classmethod
    def from_options(cls, options: SearchOptions) -> "DynamicSearchOptions":
        """Read the numeric options, with placeholders for those that are not numbers."""
        alpha = options.length_penalty
        return cls(
            np.float32(0.0 if isinstance(alpha, str) else alpha),
            np.float32(options.coverage_penalty),
            np.float32(options.repetition_penalty),
            np.float32(options.diversity_penalty),
            np.float32(options.temperature),
            np.int32(options.top_k or np.iinfo(np.int32).max),
            np.float32(options.top_p),
        )


class StaticSearchOptions(NamedTuple):
    """Search options that determine the graph."""

    num_hypotheses: int  # hypotheses kept at once, or drawn
    num_groups: int  # groups into which they are divided, 1 when sampling
    sample: bool  # hypotheses are drawn, not searched for
    uses_top_k_or_p: bool  # sampling excludes unlikely tokens
    average_score: bool  # scores are divided by the length
    uses_coverage: bool  # scores depend on coverage
    no_repeat_ngram_size: int  # length of the n-grams that may occur at most once; 0: no limit
    uses_repetition_penalty: bool  # tokens that already occurred get lower scores
    suppress_unk: bool  # unknown tokens are never chosen
    keep_attention: bool  # attention is an output

    @classmethod
    def from_options(cls, options: SearchOptions, keep_attention: bool) -> "StaticSearchOptions":
        """Read the static part of `options`."""
        return cls(
            num_hypotheses=options.num_hypotheses,
            num_groups=options.beam_groups,
            sample=options.sample,
            uses_top_k_or_p=options.sample and (options.top_k is not None or options.top_p < 1.0),
            average_score=options.length_penalty == "average",
            uses_coverage=options.coverage_penalty > 0,
            no_repeat_ngram_size=options.no_repeat_ngram_size,
            uses_repetition_penalty=options.repetition_penalty != 1.0,
            suppress_unk=options.unk_handling == "suppress",
            keep_attention=keep_attention,
        )

    def constraints(self, inputs: "SearchInputs") -> SearchConstraints:
        """Constraints of the search."""
        source, (shortest, longest), numbers, *_ = inputs
        return SearchConstraints(
            max_lengths=longest,
            min_lengths=shortest,
            bos_id=BOS_ID,
            eos_id=EOS_ID,
            pad_id=PAD_ID,
            forbidden=(UNK_ID,) if self.suppress_unk else (),
            ends_if_stuck=self.no_repeat_ngram_size > 0,
            length_penalty="average" if self.average_score else numbers.length_penalty,
            coverage_penalty=numbers.coverage_penalty if self.uses_coverage else None,
            source_mask=source != PAD_ID if self.uses_coverage else None,
        )

    def start(self, steps: StepSource, inputs: "SearchInputs", constraints: SearchConstraints) -> InitialSearchState:
        """Step function, state and memory with which the search starts."""
        start = steps.start(inputs.source, inputs.step_inputs)
        if not (self.no_repeat_ngram_size or self.uses_repetition_penalty):
            return start
        return without_repetition(
            *start,
            constraints,
            no_repeat_ngram_size=self.no_repeat_ngram_size,
            repetition_penalty=inputs.numbers.repetition_penalty if self.uses_repetition_penalty else None,
        )

    def search(self, steps: StepSource, inputs: "SearchInputs") -> SearchResult:
        """Sample, or search greedily or with a beam, as the options say."""
        constraints, numbers, keep = self.constraints(inputs), inputs.numbers, self.keep_attention
        start = self.start(steps, inputs, constraints)
        if self.sample:
            options: dict[str, Any] = {"top_k": numbers.top_k, "top_p": numbers.top_p} if self.uses_top_k_or_p else {}
            options["temperature"] = numbers.temperature
            return sample(*start, constraints, inputs.uniforms, **options, keep_attention=keep)
        if self.num_hypotheses == 1:
            return greedy_search(*start, constraints, keep_attention=keep)
        groups = {"num_groups": self.num_groups, "diversity_penalty": numbers.diversity_penalty}
        return beam_search(*start, constraints, beam_size=self.num_hypotheses, **groups, keep_attention=keep)


class SearchInputs(NamedTuple):
    """All inputs of the graph of a search, as tensors."""

    source: Any  # token ids (B, S) int32, right-padded, EOS included
    limits: tuple[Any, Any]  # minimum and maximum target lengths, (B,) int32 each, with EOS and all that is required
    numbers: DynamicSearchOptions
    uniforms: Any  # random numbers (B, N, L) float32 for sampling, see `sample`; otherwise ()
    step_inputs: Any  # result of `StepSource.inputs`

    @classmethod
    def from_batch(
        cls, steps: StepSource, batch: Batch, limits: tuple[np.ndarray, np.ndarray], options: SearchOptions
    ) -> "SearchInputs":
        """Inputs for a batch; maximum lengths are raised to `Batch.needed_lengths`."""
        step_inputs = steps.inputs(batch)  # raises an error if the batch does not suit the steps
        limits = limits[0], np.maximum(limits[1], batch.needed_lengths())
        draws: Any = ()
        if options.sample:
            draws = sampling_uniforms(options.seed, batch.sources, options.num_candidates, limits[1].tolist())
        source = pad([[*ids, EOS_ID] for ids in batch.sources])
        values = cls(source, limits, DynamicSearchOptions.from_options(options), draws, step_inputs)
        return tf.nest.map_structure(tf.convert_to_tensor, values)


class Searcher:
    """Search with any step source; threads may share a searcher.

    A graph is traced once per step source key and set of static options, and again if it was dropped in between: only
    the `MAX_GRAPHS` most recently used graphs are kept.
    """

    def __init__(self) -> None:
        self._graphs: OrderedDict[Hashable, _Graph] = OrderedDict()
        self._lock = threading.Lock()

    def search(
        self,
        steps: StepSource,
        batch: Batch,
        limits: tuple[np.ndarray, np.ndarray],
        options: SearchOptions,
        keep_attention: bool = False,
    ) -> SearchResult:
        """The `options.num_candidates` best hypotheses of each sentence, as NumPy arrays.

        Args:
            steps: Step source.
            batch: At least one sentence.
            limits: See `SearchInputs`.
            options: Search options.
            keep_attention: Return attention weights; otherwise they have S = 0.
        """
        structure = StaticSearchOptions.from_options(options, keep_attention)
        key = (steps.graph_key, structure)
        with self._lock:
            graph = self._graphs.setdefault(key, _Graph(steps, structure))
            self._graphs.move_to_end(key)
            if len(self._graphs) > MAX_GRAPHS:
                self._graphs.popitem(last=False)
        result = graph(SearchInputs.from_batch(steps, batch, limits, options))
        return SearchResult(*(np.asarray(values[:, : options.num_candidates]) for values in result))

    def num_graphs(self) -> int:
        """Number of graphs that are kept."""
        return len(self._graphs)


class _Graph:
    """Graph for one set of static options, traced at its first call, during which other callers wait."""

    def __init__(self, steps: StepSource, structure: StaticSearchOptions) -> None:
        self.steps, self.structure = steps, structure
        self._lock = threading.Lock()
        self._run: Callable[..., SearchResult] | None = None

    def __call__(self, inputs: SearchInputs) -> SearchResult:
        with self._lock:
            if self._run is None:
                self._run = trace_search(self.steps, self.structure)
        return self._run(inputs)


def trace_search(
    steps: StepSource, structure: StaticSearchOptions, device: str | None = None
) -> Callable[[SearchInputs], SearchResult]:
    """Trace the graph of a search, whose operations run on `device`, by default on that which TensorFlow chooses."""

    def search(inputs: SearchInputs) -> SearchResult:
        model, *others = steps.models
        with tf.device(device) if device else nullcontext(), forward_only(), model.cached_weights(*others):
            return structure.search(steps, inputs)

    lengths, number = tf.TensorSpec([None], tf.int32), tf.TensorSpec([], tf.float32)
    signature = SearchInputs(
        source=tf.TensorSpec([None, None], tf.int32),
        limits=(lengths, lengths),
        numbers=DynamicSearchOptions(number, number, number, number, number, tf.TensorSpec([], tf.int32), number),
        uniforms=tf.TensorSpec([None, structure.num_hypotheses, None], tf.float32) if structure.sample else (),
        step_inputs=steps.signature,
    )
    # Autograph has nothing to convert and would take most of the time.
    return tf.function(search, input_signature=[signature], autograph=False).get_concrete_function()
