"""Step sources of a search: a model alone, with a shortlist, a language model or automata, or after a prefix.

A step source may wrap another one, so they combine freely: `FusionSteps(ShortlistSteps(ModelSteps(model), ...), ...)`.
It holds only what its steps are made of. Values that may differ between searches enter the graph as `inputs`, so one
graph serves them all. Nothing is read from disk here.
"""

from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import tensorflow as tf

from seq2seq.data.padding import pad
from seq2seq.data.tokenizer import BOS_ID, EOS_ID, PAD_ID
from seq2seq.inference.shortlist import Ids, Shortlist
from seq2seq.models.base import DecoderModel
from seq2seq.models.language_model import LanguageModel
from seq2seq.search import (
    NEG_INF,
    Automata,
    StepFunction,
    StepOutput,
    average_models,
    shallow_fusion,
    with_automata,
    with_prefix,
)
from seq2seq.search.ensemble import Average

DecodeStep = Callable[..., tuple[tf.Tensor, Any, tf.Tensor]]  # logits, state, attention, as `DecoderModel.decode_step`
# Start of a search: step function, state (B, 1, ...) and memory (B, ...).
InitialSearchState = tuple[StepFunction, Any, Any]


class Batch(NamedTuple):
    """One batch of B sentences."""

    sources: Sequence[Ids]  # token ids of each, without EOS; a language model's are its prompts
    prefixes: Sequence[Ids] = ()  # target token ids that each hypothesis begins with; read by `PrefixSteps` only
    automata: Automata | None = None  # of NumPy arrays; read by `AutomataSteps` and `ShortlistSteps`

    def needed_tokens(self) -> list[np.ndarray] | None:
        """For each sentence, the tokens that its automata may need, in ascending order."""
        if self.automata is None:
            return None
        found = []
        for initial in self.automata.initial:
            reached = new = np.unique(initial)
            while len(new):
                new = np.setdiff1d(self.automata.next_states[new], reached)
                reached = np.union1d(reached, new)
            found.append(np.unique(self.automata.advance[reached]))
        return found

    def needed_lengths(self) -> np.ndarray:
        """Maximum lengths (B,) that leave room for prefixes, what automata require, and EOS."""
        lengths = np.ones(len(self.sources), np.int32)
        if len(self.prefixes):
            lengths += [len(prefix) for prefix in self.prefixes]
        if self.automata is not None:
            lengths += self.automata.remaining[self.automata.initial].sum(axis=1, dtype=np.int32)
        return lengths


class StepSource(Protocol):
    """Source of the step function of a search."""

    graph_key: Hashable  # equal for sources that can share a graph, since they differ only in their inputs
    models: tuple[DecoderModel, ...]  # models whose weights the steps read
    signature: Any  # nest of the tensor specifications of `inputs`

    def inputs(self, batch: Batch) -> Any:
        """What the steps of a batch need besides its sources, as a nest of arrays and numbers."""
        ...

    def start(self, source: tf.Tensor, inputs: Any, candidates: tf.Tensor | None = None) -> InitialSearchState:
        """Step function, state and memory with which the search of a batch starts, within a graph.

        Args:
            source: Token ids (B, S) int32, right-padded, EOS included.
            inputs: Result of `inputs` for the batch.
            candidates: The only tokens that may be chosen, see `StepOutput`; None: all.
        """
        ...


class ModelSteps:
    """Steps of a model alone.

    Args:
        model: A translation model or a language model.
        decode_step: Replacement for the model's own `decode_step`, with logits over the whole vocabulary.
    """

    signature: Any = ()

    def __init__(self, model: DecoderModel, decode_step: DecodeStep | None = None) -> None:
        self.model, self.decode_step = model, decode_step
        self.graph_key: Hashable = (model, decode_step)
        self.models: tuple[DecoderModel, ...] = (model,)

    def inputs(self, batch: Batch) -> Any:
        return ()

    def start(self, source: tf.Tensor, inputs: Any, candidates: tf.Tensor | None = None) -> InitialSearchState:
        memory, state = self.model.encode(source)
        if self.decode_step is not None:
            decode_step = self.decode_step

            def whole(tokens: tf.Tensor, state: Any, memory: Any) -> StepOutput:
                logits, state, weights = decode_step(tokens, state, memory[0])
                output = StepOutput(logits, state, weights, *memory[1:])
                return output._replace(scores=_log_probs(output.gather_candidates(logits), output.candidates))

            return whole, state, (memory,) if candidates is None else (memory, candidates)
        columns = self.model.output_weights(candidates)
        if candidates is None:

            def step(tokens: tf.Tensor, state: Any, memory: Any) -> StepOutput:
                logits, state, weights = self.model.decode_step(tokens, state, memory, columns)
                return StepOutput(_log_probs(logits), state, weights)

            return step, state, memory

        def among(tokens: tf.Tensor, state: Any, memory: Any) -> StepOutput:
            source, candidates, *columns = memory
            logits, state, weights = self.model.decode_step(tokens, state, source, columns)
            return StepOutput(_log_probs(logits, candidates), state, weights, candidates)

        return among, state, (memory, candidates, *columns)


class EnsembleSteps:
    """Steps of several models over one source and one target vocabulary, averaged, see `average_models`.

    Args:
        members: Steps of each model alone.
        weights: Weight of each model, positive.
        average: Which mean.
    """

    def __init__(self, members: Sequence[StepSource], weights: Sequence[float], average: Average) -> None:
        self.members, self.average = tuple(members), average
        self.weights = normalized_weights(weights)
        self.graph_key: Hashable = ("ensemble", average, *(member.graph_key for member in members))
        self.models: tuple[DecoderModel, ...] = tuple(model for member in members for model in member.models)
        own = tuple(member.signature for member in members)
        self.signature: Any = (tf.TensorSpec([len(self.members)], tf.float32), own)

    def inputs(self, batch: Batch) -> Any:
        return self.weights, tuple(member.inputs(batch) for member in self.members)

    def start(self, source: tf.Tensor, inputs: Any, candidates: tf.Tensor | None = None) -> InitialSearchState:
        weights, own = inputs
        started = [member.start(source, its, candidates) for member, its in zip(self.members, own, strict=True)]
        steps, states, memories = zip(*started, strict=True)
        attending = [number for number, model in enumerate(self.models) if model.uses_attention]
        return average_models(steps, weights, self.average, attending), states, memories


def normalized_weights(weights: Sequence[float]) -> np.ndarray:
    """Weights divided by their sum, (M,) float32."""
    values = np.asarray(weights, np.float64)
    return (values / values.sum()).astype(np.float32)


class ShortlistSteps:
    """Steps of another source, restricted to each sentence's candidates.

    These are `size` per source token, and what the sentence's automata need.
    """

    def __init__(self, steps: StepSource, shortlist: Shortlist, size: int) -> None:
        self.steps, self.shortlist, self.size = steps, shortlist, size
        self.graph_key: Hashable = ("shortlist", steps.graph_key)
        self.models = steps.models
        self.signature: Any = (tf.TensorSpec([None, None], tf.int32), steps.signature)

    def inputs(self, batch: Batch) -> Any:
        return self.shortlist.select(batch.sources, self.size, batch.needed_tokens()), self.steps.inputs(batch)

    def start(self, source: tf.Tensor, inputs: Any, candidates: tf.Tensor | None = None) -> InitialSearchState:
        if candidates is not None:
            raise ValueError("a shortlist cannot be restricted to other candidates: use one shortlist")
        return self.steps.start(source, inputs[1], tf.cast(inputs[0], tf.int64))


class FusionSteps:
    """Steps of another source, fused with those of a language model over the same vocabulary, see `shallow_fusion`."""

    def __init__(self, steps: StepSource, language_model: LanguageModel, weight: float) -> None:
        if isinstance(steps, PrefixSteps):
            raise ValueError("prefixes are forced after fusion: wrap the fused steps in PrefixSteps")
        self.steps, self.language_steps, self.weight = steps, ModelSteps(language_model), weight
        self.graph_key: Hashable = ("fused", language_model, steps.graph_key)
        self.models: tuple[DecoderModel, ...] = (*steps.models, language_model)
        self.signature: Any = (tf.TensorSpec([], tf.float32), steps.signature)

    def inputs(self, batch: Batch) -> Any:
        return self.weight, self.steps.inputs(batch)

    def start(self, source: tf.Tensor, inputs: Any, candidates: tf.Tensor | None = None) -> InitialSearchState:
        weight, inner = inputs
        step, state, memory = self.steps.start(source, inner, candidates)
        # A language model reads a column of any ids.
        language_step, its_state, its_memory = self.language_steps.start(source[:, :1], ())
        return shallow_fusion(step, language_step, weight), (state, its_state), (memory, its_memory)


class AutomataSteps:
    """Steps of another source that follow the batch's automata, see `search.with_automata`."""

    def __init__(self, steps: StepSource) -> None:
        if isinstance(steps, PrefixSteps):
            raise ValueError("a forced prefix wins over automata: wrap AutomataSteps in PrefixSteps")
        self.steps = steps
        self.graph_key: Hashable = ("automata", steps.graph_key)
        self.models = steps.models
        table, states = tf.TensorSpec([None, None], tf.int32), tf.TensorSpec([None], tf.int32)
        sources, begins_word = tf.TensorSpec([None, None, None], tf.float32), tf.TensorSpec([None], tf.bool)
        self.signature: Any = (
            Automata(table, tf.TensorSpec([None, None], tf.bool), table, states, table, sources, begins_word),
            steps.signature,
        )

    def inputs(self, batch: Batch) -> Any:
        size, automata = self.models[0].output_embedding.vocabulary_size, batch.automata
        if automata is None:
            nothing, places = np.zeros(1, np.int32), np.zeros((len(batch.sources), 1), np.int32)
            table = np.zeros((1, size), np.int32)
            sources = np.zeros((*places.shape, max(map(len, batch.sources)) + 1), np.float32)
            automata = Automata(table, table > 0, nothing[:, None], nothing, places, sources, table[0] > 0)
        if automata.next_states.shape[1] != size or len(automata.initial) != len(batch.sources):
            raise ValueError(
                f"found automata over {automata.next_states.shape[1]} tokens for {len(automata.initial)} sentences, "
                f"expected {size} tokens and {len(batch.sources)} sentences"
            )
        return automata, self.steps.inputs(batch)

    def start(self, source: tf.Tensor, inputs: Any, candidates: tf.Tensor | None = None) -> InitialSearchState:
        automata, inner = inputs
        return with_automata(*self.steps.start(source, inner, candidates), automata, bos_id=BOS_ID, eos_id=EOS_ID)


class PrefixSteps:
    """Steps of another source, with the batch's prefixes forced first, see `search.with_prefix`."""

    def __init__(self, steps: StepSource) -> None:
        self.steps = steps
        self.graph_key: Hashable = ("prefix", steps.graph_key)
        self.models = steps.models
        self.signature: Any = (tf.TensorSpec([None, None], tf.int32), steps.signature)

    def inputs(self, batch: Batch) -> Any:
        prefixes = batch.prefixes if len(batch.prefixes) else [()] * len(batch.sources)
        size = self.models[0].output_embedding.vocabulary_size
        if len(prefixes) != len(batch.sources):
            raise ValueError(f"found {len(prefixes)} prefixes, expected one for each sentence: {len(batch.sources)}")
        strange = {int(token) for prefix in prefixes for token in prefix if not EOS_ID < token < size}
        if strange:
            raise ValueError(f"a prefix contains {sorted(strange)}: expected token ids from {EOS_ID + 1} to {size - 1}")
        return pad(prefixes), self.steps.inputs(batch)

    def start(self, source: tf.Tensor, inputs: Any, candidates: tf.Tensor | None = None) -> InitialSearchState:
        return with_prefix(*self.steps.start(source, inputs[1], candidates), inputs[0])


def _log_probs(logits: tf.Tensor, candidates: tf.Tensor | None = None) -> tf.Tensor:
    """Log-probabilities from logits (B, K, C); empty places among the candidates are excluded."""
    if candidates is not None:
        # The first candidate is padding, here a token like others.
        there = (candidates > PAD_ID) | (tf.range(tf.shape(candidates, tf.int64)[1]) == 0)
        logits = tf.where(there[:, None], logits, NEG_INF)
    return tf.nn.log_softmax(logits)
