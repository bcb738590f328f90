"""What a model is given to learn from: token ids, and what is said of anything else."""

from numbers import Number
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from seq2seq.arguments import describe
from seq2seq.data.tokenizer import PAD_ID
from seq2seq.errors import ArgumentError

BATCH_SPEC = tf.TensorSpec([None, None], tf.int32)  # one side of a batch: (sentences, tokens)


def ids_of_side(side: str, ids: Any) -> Any:
    """Ids that a model is called with, as an array or a tensor (B, L).

    Raises:
        ArgumentError: They are anything but integers of two dimensions.
    """
    try:
        array = ids if hasattr(ids, "dtype") else np.asarray(ids)
    except ValueError:  # rows of unequal length
        array = np.asarray(ids, object)
    if "int" not in str(array.dtype) or len(array.shape) != 2:
        raise ArgumentError(
            f"{side}: expected token ids (sentences, tokens), padded with {PAD_ID}, of an integer type, found "
            f"{describe(array)}."
        )
    return array


def check_data(method: str, x: Any, y: Any) -> None:
    """Say what `method` takes, where it is given something that Keras has no words for.

    Raises:
        ArgumentError: A value is empty, a dict, or text, a list or an array of texts or of pairs of them, or a list of
            numbers.
    """
    if x is None:
        raise ArgumentError(f"{method}: expected batches of token ids, found None.")
    for value in (x, y):
        first = value
        while isinstance(first, (list, tuple)) and len(first):
            first = first[0]
        if isinstance(first, (list, tuple, dict)):
            raise ArgumentError(f"{method}: expected batches of token ids, found {describe(first)}.")
        if isinstance(first, str) or getattr(getattr(first, "dtype", None), "kind", "") in ("O", "S", "U"):
            raise ArgumentError(
                f"{method}: expected batches of token ids, found text. seq2seq.make_dataset(pairs) makes batches, and "
                "seq2seq.train_pairs(pairs) trains on text."
            )
        if isinstance(first, Number):
            raise ArgumentError(
                f"{method}: expected batches of token ids, found a list of numbers. Pass arrays (sentences, tokens), "
                f"padded with {PAD_ID}."
            )


def validate_batch(data: Any, vocabulary_sizes: tuple[int, int]) -> tuple[tf.Tensor, tf.Tensor]:
    """Source and target of a batch, (B, S) and (B, T) int32, as Keras hands over what a user gave.

    What the types of a batch show is found while a step is traced. Ids are checked at every step, which costs a GPU a
    few small kernels; `seq2seq train`, whose batches are right by construction, does without.

    Args:
        data: `(source, target)`, or that pair as the only input.
        vocabulary_sizes: Of source and target.

    Raises:
        ValueError: There are sample or class weights, no target, or anything but (B, T) integers; or several replicas.
        tf.errors.InvalidArgumentError: A row is empty or has padding before a token, or an id is not in the vocabulary.
    """
    if tf.distribute.get_strategy().num_replicas_in_sync > 1:
        raise ValueError("Keras's fit and evaluate run on one replica: use `step_function`, as `seq2seq train` does")
    source, target, weights = keras.utils.unpack_x_y_sample_weight(data)
    if weights is not None:
        raise ValueError("sample_weight and class_weight are not supported: each target token counts alike")
    if target is None and isinstance(source, (tuple, list)) and len(source) == 2:
        source, target = source
    if target is None:
        raise ValueError("a batch has no target: pass source and target, as fit(source, target)")
    source, target = (
        _checked_ids(side, ids, size)
        for side, ids, size in zip(("source", "target"), (source, target), vocabulary_sizes, strict=True)
    )
    return source, target


def _checked_ids(side: str, ids: Any, vocabulary_size: int) -> tf.Tensor:
    if not (tf.is_tensor(ids) and ids.dtype.is_integer and ids.shape.rank == 2):
        found = f"{ids.dtype.name} {ids.shape}" if tf.is_tensor(ids) else type(ids).__name__
        raise ValueError(f"{side}: expected token ids (sentences, tokens) of an integer type, found {found}")
    ids = tf.cast(ids, tf.int64)  # in which the size of every vocabulary can be compared with them
    real = ids != PAD_ID
    starts = tf.reduce_all(tf.reduce_any(real, axis=1)) & tf.reduce_all(real[:, :-1] | ~real[:, 1:])
    within = tf.reduce_all((ids >= 0) & (ids < vocabulary_size))
    where = f"{side}: expected ids of 0 to {vocabulary_size - 1}, the vocabulary, found up to"
    checks = [
        tf.debugging.Assert(
            starts,
            [f"{side}: a row is empty or has padding ({PAD_ID}) before a token; pad at the end, leave empty rows out"],
        ),
        tf.debugging.Assert(within, [where, tf.reduce_max(ids), "and from", tf.reduce_min(ids)]),
    ]
    with tf.control_dependencies(checks):
        return tf.identity(tf.cast(ids, tf.int32))
