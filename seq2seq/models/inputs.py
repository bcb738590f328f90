"""Checks of the token ids that a model is trained on, with errors that explain what is wrong with other data."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from numbers import Number
from typing import Any, NoReturn

import keras
import numpy as np
import tensorflow as tf

from seq2seq.arguments import describe
from seq2seq.data.padding import pad
from seq2seq.data.tokenizer import PAD_ID
from seq2seq.errors import ArgumentError

BATCH_SPEC = tf.TensorSpec([None, None], tf.int32)  # one side of a batch: (sentences, tokens)
SIDES = ("source", "target")
WEIGHTS = (
    "sample_weight and class_weight are not supported: all target tokens count equally, and padding does not count"
)
PADDING = f"padding ({PAD_ID}) before a token: pad at the end, as keras.utils.pad_sequences(ids, padding='post') does"
UNBATCHED = "Is .batch(N) missing from the dataset?"
TEACHER_FORCING = "the decoder reads the target, shifted by one: leave its inputs out, as in fit(source, target)"


def ids_of_side(side: str, ids: Any) -> Any:
    """Check token ids that a model is called with; returns an array or a tensor (B, L).

    Raises:
        ArgumentError: They are not integers, or not two-dimensional.
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


def refuse_weights(method: str, **weights: Any) -> None:
    """Refuse sample weights and class weights.

    Raises:
        ArgumentError: One of the weights is not None.
    """
    if any(value is not None for value in weights.values()):
        raise ArgumentError(f"{method}: {WEIGHTS}.")


def check_data(method: str, x: Any, y: Any, vocabulary_sizes: tuple[int, int]) -> tuple[Any, Any]:
    """Check data for a method of Keras; returns arrays of source and target, or a source of batches unchanged.

    Args:
        method: Name of the method, for error messages.
        x: Source ids, as an array, a ragged tensor or a list of lists, which is padded; a pair of source and target; or
            a dataset, a generator or another source of batches, which `validate_batch` checks one by one.
        y: Target ids, if `x` has only the source's.
        vocabulary_sizes: Vocabulary sizes of source and target.

    Raises:
        ArgumentError: A value is empty, a dict, text or a list of numbers; the target is missing; decoder inputs are
            given as well; source and target differ in their number of rows; an id is not in the vocabulary; or a row
            is empty or has padding before a token.
    """
    x, y = _rows(x), _rows(y)
    if y is None and isinstance(x, (tuple, list)) and len(x) == 2 and all(_depth(side) == 2 for side in x):
        x, y = x
    if y is None and _depth(x) != 2:
        _refuse_what_is_no_data(method, x)
        return x, y
    if isinstance(x, (tuple, list)) and any(_depth(part) == 2 for part in x):
        raise ArgumentError(f"{method}: found {len(x)} inputs besides a target: {TEACHER_FORCING}.")
    if y is None:
        raise ArgumentError(f"{method}: expected source and target, found only the source. Pass both.")
    for ids in (x, y):
        if _depth(ids) != 2:
            _refuse_what_is_no_data(method, ids)
    sides = [
        _ids(f"{method}: {side}", ids, size) for side, ids, size in zip(SIDES, (x, y), vocabulary_sizes, strict=True)
    ]
    if len(sides[0]) != len(sides[1]):
        raise ArgumentError(f"{method}: found {len(sides[0]):,} source and {len(sides[1]):,} target rows.")
    return sides[0], sides[1]


def _rows(value: Any) -> Any:
    """The rows of an object array, which NumPy makes of rows of unequal length; anything else unchanged."""
    is_array = isinstance(value, np.ndarray) and value.dtype.kind == "O" and value.ndim == 1
    return list(value) if is_array and not isinstance(next(iter(value), ""), str) else value


def _depth(value: Any) -> int:
    """Number of dimensions of an array or of nested lists; -1 for text, 0 for anything else."""
    if isinstance(value, (list, tuple)):
        return 1 + _depth(value[0]) if len(value) and _depth(value[0]) >= 0 else -1
    if isinstance(value, (str, bytes)) or getattr(getattr(value, "dtype", None), "kind", "") in ("O", "S", "U"):
        return -1
    shape = getattr(value, "shape", ())
    return len(shape) if shape is not None and hasattr(value, "dtype") else 2 * hasattr(value, "columns")


def _refuse_what_is_no_data(method: str, value: Any) -> None:
    """Refuse values for which Keras has no clear error.

    Raises:
        ArgumentError: The value is None, empty, a dict, text or numbers.
    """
    if value is None:
        raise ArgumentError(f"{method}: expected batches of token ids, found None.")
    first = value
    while isinstance(first, (list, tuple)) and len(first):
        first = first[0]
    if isinstance(first, (list, tuple, dict)):
        raise ArgumentError(
            f"{method}: expected batches of token ids, found {describe(first)}. Pass source and target, as in "
            "fit(source, target)."
        )
    if isinstance(first, (str, bytes)) or getattr(getattr(first, "dtype", None), "kind", "") in ("O", "S", "U"):
        raise ArgumentError(
            f"{method}: expected batches of token ids, found text. seq2seq.make_dataset(pairs) makes batches, and "
            "seq2seq.train_pairs(pairs) trains on text."
        )
    if isinstance(first, Number):
        raise ArgumentError(
            f"{method}: expected batches of token ids, found a list of numbers. Pass arrays (sentences, tokens), "
            f"padded with {PAD_ID}."
        )


def _ids(name: str, ids: Any, vocabulary_size: int) -> np.ndarray:
    """One side of all sentences as an array (N, L)."""
    if hasattr(ids, "to_tensor"):  # ragged
        ids = ids.to_tensor()
    if isinstance(ids, (list, tuple)):
        ids = _padded(name, ids)
    array = np.asarray(ids)
    if array.dtype.kind not in "iu" or array.ndim != 2 or not array.size:
        raise ArgumentError(
            f"{name}: expected token ids (sentences, tokens) of an integer type, found "
            f"{describe(array if array.ndim else ids)}."
        )
    outside = (array < 0) | (array >= vocabulary_size)
    if outside.any():
        row, place = np.argwhere(outside)[0]
        raise ArgumentError(
            f"{name}[{row}]: expected ids from 0 to {vocabulary_size - 1}, the vocabulary, found {array[row, place]}."
        )
    real = array != PAD_ID
    for bad, text in (
        (~real.any(axis=1), "the row is empty: leave it out"),
        ((~real[:, :-1] & real[:, 1:]).any(axis=1), PADDING),
    ):
        if bad.any():
            raise ArgumentError(f"{name}[{bad.argmax()}]: {text}.")
    return array


def _padded(name: str, rows: Any) -> Any:
    """Rows of ids as an array, padded at the end."""
    lists = [row.tolist() if hasattr(row, "tolist") else row for row in rows]
    for place, row in enumerate(lists):
        values = row if isinstance(row, (list, tuple)) else [row]
        for value in values:
            if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or values is not row:
                raise ArgumentError(f"{name}[{place}]: expected token ids, found {describe(value)}.")
    return pad(lists)


def validate_batch(data: Any, vocabulary_sizes: tuple[int, int]) -> tuple[tf.Tensor, tf.Tensor]:
    """Check a batch that Keras passes on from a user; returns source and target, (B, S) and (B, T) int32.

    Types are checked while a step is traced. Ids are checked at every step, which costs a few small kernels on a GPU;
    `seq2seq train`, whose batches are correct by construction, does without this check.

    Args:
        data: `(source, target)`, or that pair as the only input.
        vocabulary_sizes: Vocabulary sizes of source and target.

    Raises:
        ValueError: There are sample or class weights; the target is missing; the ids are not integers (B, T); or there
            are several replicas.
        tf.errors.InvalidArgumentError: A row is empty or has padding before a token, or an id is not in the vocabulary.
            `explained_batches` turns it into an ArgumentError.
    """
    if tf.distribute.get_strategy().num_replicas_in_sync > 1:
        raise ValueError("Keras's fit and evaluate run on one replica: use `step_function`, as `seq2seq train` does")
    source, target, weights = keras.utils.unpack_x_y_sample_weight(data)
    if weights is not None:
        raise ValueError(WEIGHTS)
    if target is None and isinstance(source, (tuple, list)) and len(source) == 2:
        source, target = source
    if isinstance(source, (tuple, list)) and target is not None:
        raise ValueError(TEACHER_FORCING)
    if target is None:
        found = f"a dict of {', '.join(map(repr, source))}" if isinstance(source, dict) else "one input"
        raise ValueError(f"a batch has no target: expected (source, target), as in fit(source, target), found {found}")
    source, target = (
        _checked_ids(side, ids, size) for side, ids, size in zip(SIDES, (source, target), vocabulary_sizes, strict=True)
    )
    return source, target


def _checked_ids(side: str, ids: Any, vocabulary_size: int) -> tf.Tensor:
    if isinstance(ids, tf.RaggedTensor):
        ids = ids.to_tensor()
    if not (isinstance(ids, tf.Tensor) and ids.dtype.is_integer and ids.shape.rank in (None, 2)):
        found = f"{ids.dtype.name} {ids.shape}" if isinstance(ids, tf.Tensor) else type(ids).__name__
        hint = f". {UNBATCHED}" if isinstance(ids, tf.Tensor) and ids.shape.rank == 1 else ""
        raise ValueError(f"{side}: expected token ids (sentences, tokens) of an integer type, found {found}{hint}")
    if ids.shape.rank is None:  # as from Keras, if the batches differ in rank
        text = f"{side}: expected token ids (sentences, tokens), found a wrong number of dimensions. {UNBATCHED} Found:"
        with tf.control_dependencies([tf.debugging.Assert(tf.rank(ids) == 2, [text, tf.rank(ids)])]):
            ids = tf.identity(ids)
        ids.set_shape([None, None])
    ids = tf.cast(ids, tf.int64)  # so that they can be compared with any vocabulary size
    real = ids != PAD_ID
    starts = tf.reduce_all(tf.reduce_any(real, axis=1)) & tf.reduce_all(real[:, :-1] | ~real[:, 1:])
    within = tf.reduce_all((ids >= 0) & (ids < vocabulary_size))
    where = f"{side}: expected ids from 0 to {vocabulary_size - 1}, the vocabulary, found a maximum of"
    checks = [
        tf.debugging.Assert(starts, [f"{side}: a row is empty or has {PADDING}"]),
        tf.debugging.Assert(within, [where, tf.reduce_max(ids), "and a minimum of", tf.reduce_min(ids)]),
    ]
    with tf.control_dependencies(checks):
        return tf.identity(tf.cast(ids, tf.int32))


@contextmanager
def explained_batches(method: str) -> Iterator[None]:
    """Scope in which a failed assertion of `validate_batch` becomes an error of one line.

    Raises:
        ArgumentError: A batch has invalid ids.
    """
    try:
        yield
    except tf.errors.InvalidArgumentError as error:
        _raise_explained(method, error)


def _raise_explained(method: str, error: tf.errors.InvalidArgumentError) -> NoReturn:
    if "Summarized data: " in error.message:  # from a step that ran eagerly
        parts = [re.sub(r"""^b(['"])(.*)\1$""", r"\2", line) for line in error.message.split("data: ")[1].split("\n")]
    else:
        said = re.search(r"assertion failed: (\[.*\])", error.message)
        parts = re.findall(r"\[([^\]]*)\]", said[1].replace("\\'", "'")) if said else [""]
    if parts[0].startswith(tuple(f"{side}: " for side in SIDES)):
        raise ArgumentError(f"{method}: {' '.join(part for part in parts if part)}.") from None
    raise error
