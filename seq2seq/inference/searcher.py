"""From search options to a search: its rules, its limits of length, which one runs, and its graph."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from seq2seq.config import SearchOptions
from seq2seq.data.tokenizer import BOS_ID, EOS_ID, PAD_ID, UNK_ID
from seq2seq.search import Rules, SearchResult, StepFunction, beam_search, greedy_search, sample

# Options that a search takes as numbers of each batch, or that it never sees. All others make a graph of their own.
NOT_IN_GRAPH = {
    "min_length",
    "max_length",
    "max_length_factor",
    "max_length_extra",
    "seed",
    "max_source_tokens",
    "long_lines",
    "batch_tokens",
}


def graph_key(options: SearchOptions) -> tuple[Any, ...]:
    """What options that can share a graph have in common."""
    return tuple(options.model_dump(exclude=NOT_IN_GRAPH).items())


def length_limits(lengths: np.ndarray, options: SearchOptions) -> tuple[np.ndarray, np.ndarray]:
    """Tokens that translations of sources with so many have at least and at most, EOS included in all, (B,) int32."""
    limits = np.ceil(options.max_length_factor * lengths) + options.max_length_extra
    longest = np.minimum(limits, options.max_length or np.iinfo(np.int32).max).astype(np.int32)
    return np.full_like(longest, options.min_length), longest


def search_rules(
    source: tf.Tensor, shortest: tf.Tensor, longest: tf.Tensor, options: SearchOptions, **others: Any
) -> Rules:
    """What options ask of a search.

    Args:
        source: Tokens (B, S) that a coverage penalty is about.
        shortest, longest: Limits of length, (B,) int32.
        options: Of them, unknown tokens and penalties.
        others: What `Rules` has besides, or in place of them.
    """
    asked: dict[str, Any] = {
        "forbidden": (UNK_ID,) if options.unk == "suppress" else (),
        "length_penalty": options.length_penalty,
        "coverage_penalty": options.coverage_penalty,
        "source_mask": source != PAD_ID,
    }
    return Rules(
        max_lengths=longest, min_lengths=shortest, bos_id=BOS_ID, eos_id=EOS_ID, pad_id=PAD_ID, **(asked | others)
    )


def find_hypotheses(
    step: StepFunction,
    state: Any,
    memory: Any,
    rules: Rules,
    options: SearchOptions,
    uniforms: Sequence[tf.Tensor] = (),
    keep_weights: bool = False,
) -> SearchResult:
    """Sample, or search greedily or with a beam, as options ask; `options.n_best` hypotheses a sentence.

    Args:
        step, state, memory, rules, keep_weights: See `beam_search`.
        options: Which search, and how many hypotheses.
        uniforms: For sampling one tensor, see `sample`.
    """
    if options.sample:
        shape: Any = {key: getattr(options, key) for key in ("temperature", "top_k", "top_p")}
        return sample(step, state, memory, rules, uniforms[0], **shape, keep_weights=keep_weights)
    if options.beam_size == 1:
        return greedy_search(step, state, memory, rules, keep_weights=keep_weights)
    result = beam_search(step, state, memory, rules, beam_size=options.beam_size, keep_weights=keep_weights)
    return SearchResult(*(values[:, : options.n_best] for values in result))


def traced(search: Callable[..., SearchResult], options: SearchOptions) -> Callable[..., SearchResult]:
    """One graph for all batches, traced once; autograph has nothing to convert and would take most of that time.

    Args:
        search: From tokens (B, S), least and greatest lengths (B,), and what options ask for besides: random numbers
            (B, N, L) float32 of `sample`, candidates (B, C) of a shortlist.
        options: What is searched for.
    """
    signature = [tf.TensorSpec([None, None], tf.int32), *[tf.TensorSpec([None], tf.int32)] * 2]
    if options.sample:
        signature.append(tf.TensorSpec([None, options.n_best, None], tf.float32))
    if options.shortlist is not None:
        signature.append(tf.TensorSpec([None, None], tf.int32))
    return tf.function(search, input_signature=signature, autograph=False)
