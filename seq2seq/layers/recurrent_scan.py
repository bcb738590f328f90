"""Recurrent scan whose loop holds only what depends on the previous step, also in the backward pass.

A step is a Python function of tensors that reads weights through `deferred_matmul` (matrices) or directly (biases,
scales). The backward pass recomputes each step from the state before it, so the forward pass keeps states and outputs
only. The gradients of the matrices, which no step depends on, are one product each after the loop.
"""

from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from seq2seq.layers.custom_gradient import custom_gradient

Tensors = Sequence[tf.Tensor]
ScanStep = Callable[[Tensors, Tensors, Tensors], tuple[Tensors, Tensors]]


class DeferredMatmul(NamedTuple):
    """A matrix product of a step: `result = inputs @ weight`."""

    weight: keras.Variable
    inputs: tf.Tensor
    result: tf.Tensor


# Products that are recorded while a step of `recurrent_scan` is traced.
_recorded: ContextVar[list[DeferredMatmul] | None] = ContextVar("recorded", default=None)


def deferred_matmul(inputs: tf.Tensor, weight: keras.Variable) -> tf.Tensor:
    """Multiply (..., I) by a weight (I, O) in the dtype of `inputs`: (..., O).

    Within `recurrent_scan`, the weight's gradient is computed after the loop.
    """
    flat = tf.reshape(inputs, [-1, weight.shape[0]])
    result = tf.matmul(flat, tf.cast(tf.convert_to_tensor(weight), inputs.dtype))
    if (recorded := _recorded.get()) is not None:
        recorded.append(DeferredMatmul(weight, flat, result))
    return tf.reshape(result, tf.concat([tf.shape(inputs)[:-1], [weight.shape[1]]], axis=0))


class WeightOverrides(keras.StatelessScope):
    """Scope in which reading one of the variables returns a value in its place.

        step reads variable -> Keras calls `get_current_value` of the innermost scope -> value, or None for its own

    It is based on Keras's scope for stateless functions, in which Keras looks first whenever `variable.value` is read.
    Here it lets a loop use weights that were cast or read once before it, and records for `recurrent_scan` which
    weights a step reads.

    Args:
        variables: Keras variables.
        values: One value per variable, of its shape, in any dtype.

    Attributes:
        read_ids: `id` of every variable that was read within the scope, including those without a value.
    """

    def __init__(self, variables: Sequence[keras.Variable], values: Tensors) -> None:
        super().__init__(state_mapping=list(zip(variables, values, strict=True)))
        self.read_ids: set[int] = set()

    def get_current_value(self, variable: keras.Variable) -> tf.Tensor | None:
        self.read_ids.add(id(variable))
        return super().get_current_value(variable)


def cast_weights(variables: Sequence[keras.Variable], dtype: Any) -> list[tf.Tensor]:
    """The values of variables, cast to a dtype."""
    return [tf.cast(variable.value, dtype) for variable in variables]


def recurrent_scan(
    step: ScanStep,
    inputs: Tensors,
    state: Tensors,
    *,
    constants: Tensors = (),
    variables: Sequence[keras.Variable] = (),
    output_dtypes: Sequence[Any],
) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
    """Run `step(inputs of t, state, constants) -> (outputs, new state)` for all t.

    Gradients flow into inputs, state, constants and variables; there is no second derivative.

    Args:
        step: Differentiable; called while the graph is traced, forwards and backwards. Whatever it reads besides its
            arguments and `variables` gets no gradient.
        inputs: At least one float tensor (T, ...), T at least 1.
        state: Initial state, float tensors.
        constants: Float tensors that each step reads whole, such as the keys of an attention.
        variables: Weights that the step reads; it gets them in the dtype of the first input.
        output_dtypes: One dtype per output.

    Returns:
        Outputs and states after each step, each (T, ...).
    """
    tensors = [*inputs, *state, *constants, *cast_weights(variables, inputs[0].dtype)]
    splits = _Splits(len(inputs), len(state), len(constants), len(variables))
    places = {id(variable): place for place, variable in enumerate(variables)}
    uses = _Uses(set(), set(), 0)

    def at(t: tf.Tensor, args: Tensors, states: Tensors, recorded: list[DeferredMatmul]) -> tuple[Tensors, Tensors]:
        x, _, fixed, weights = splits.of(args)
        before = _recorded.set(recorded)
        try:
            with WeightOverrides(variables, weights) as scope:
                outputs, new = step([sequence[t] for sequence in x], states, fixed)
        finally:
            _recorded.reset(before)
        uses.matrices |= {places[id(call.weight)] for call in recorded}
        uses.vectors |= {places[i] for i in scope.read_ids & places.keys()} - uses.matrices
        uses.products = len(recorded)
        return outputs, new

    @custom_gradient
    def run(*args: tf.Tensor) -> tuple[tuple[tf.Tensor, ...], Callable[..., Any]]:
        first = splits.of(args)[1]
        steps = tf.shape(args[0])[0]
        shapes: list[tf.TensorShape] = []

        def forward(t: tf.Tensor, states: Tensors, out: Sequence[tf.TensorArray]) -> tuple:
            outputs, new = at(t, args, states, [])
            values = [*outputs, *new]
            shapes[:] = [value.shape for value in values]
            return t + 1, tuple(new), tuple(a.write(t, v) for a, v in zip(out, values, strict=True))

        arrays = tuple(tf.TensorArray(dtype, steps) for dtype in [*output_dtypes, *(s.dtype for s in first)])
        *_, out = tf.while_loop(
            lambda t, *_: t < steps, forward, (0, tuple(first), arrays), parallel_iterations=splits.at_once()
        )
        results = [tf.ensure_shape(array.stack(), [None, *shape]) for array, shape in zip(out, shapes, strict=True)]

        def gradient(*d_results: tf.Tensor) -> list[tf.Tensor]:
            return _backward(at, splits, args, results, d_results, len(output_dtypes), uses, places)

        return tuple(results), gradient

    results = run(*tensors)
    return list(results[: len(output_dtypes)]), list(results[len(output_dtypes) :])


@dataclass
class _Uses:
    """Ways in which a step reads its weights, found while it is traced.

    Attributes:
        matrices: Indices into `variables` of those read through `deferred_matmul`.
        vectors: Indices of those read directly.
        products: Number of calls of `deferred_matmul`.
    """

    matrices: set[int]
    vectors: set[int]
    products: int


class _Splits(NamedTuple):
    """Numbers of inputs, states, constants and weights in a flat list of tensors."""

    inputs: int
    state: int
    constants: int
    weights: int

    def at_once(self) -> int:
        """Number of steps that TensorFlow may run in parallel; 1 without a state, as independent steps take memory."""
        return 10 if self.state else 1

    def of(self, tensors: Tensors) -> tuple[Tensors, Tensors, Tensors, Tensors]:
        a, b, c = self.inputs, self.inputs + self.state, self.inputs + self.state + self.constants
        return tensors[:a], tensors[a:b], tensors[b:c], tensors[c:]


def _backward(
    at: Callable[..., tuple[Tensors, Tensors]],
    splits: _Splits,
    args: Tensors,
    results: Tensors,
    d_results: Tensors,
    outputs: int,
    uses: _Uses,
    places: dict[int, int],
) -> list[tf.Tensor]:
    """Gradients of `recurrent_scan` with respect to its arguments.

    The loop runs from the last step to the first. Step t is recomputed from the states before it, so that only one
    step's intermediate values are held, and then differentiated (d_x is the gradient of x):

        d_results[t]: outputs ------+
                                    v
        d_results[t]: states -+-> step t --+--> d_before: the d_state of step t - 1; of the first step, of `state`
                              |            +--> d_x of its inputs                        written, (T, ...)
        d_state of step t + 1 +            +--> d_carried: of constants and vectors      summed, in float32
                                           +--> input x and d_y of each call of `deferred_matmul`  written, (T, ...)

    A matrix's gradient, the sum over t of x_t^T d_y_t, is one product over all steps after the loop instead of T
    products within it.
    """
    inputs, first, constants, weights = splits.of(args)
    steps = tf.shape(inputs[0])[0]
    before = [
        tf.concat([start[None], states[:-1]], axis=0) for start, states in zip(first, results[outputs:], strict=True)
    ]
    small = sorted(uses.vectors)
    carried = [*constants, *(weights[place] for place in small)]
    recorded: list[DeferredMatmul] = []

    def back(t: tf.Tensor, d_state: Tensors, sums: Tensors, out: Sequence[tf.TensorArray]) -> tuple:
        x, states = [sequence[t] for sequence in inputs], [sequence[t] for sequence in before]
        recorded.clear()
        # The step reads fresh tensors, so that the tape records them and nothing computed before.
        fixed = [tf.identity(value) for value in constants]
        own = [tf.identity(value) for value in weights]
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch([*x, *states, *fixed, *(own[place] for place in small)])
            fresh = [*(value[None] for value in x), *states, *fixed, *own]
            targets = [value for part in at(tf.constant(0), fresh, states, recorded) for value in part]
        seeds = [d[t] for d in d_results]
        seeds[outputs:] = [a + b for a, b in zip(seeds[outputs:], d_state, strict=True)]
        sources = [x, states, [*fixed, *(own[place] for place in small)], [call.result for call in recorded]]
        d_x, d_before, d_carried, d_calls = tape.gradient(
            targets, sources, output_gradients=seeds, unconnected_gradients=tf.UnconnectedGradients.ZERO
        )
        values = [*d_x, *(call.inputs for call in recorded), *d_calls]
        return (
            t - 1,
            tuple(d_before),
            tuple(a + tf.cast(b, a.dtype) for a, b in zip(sums, d_carried, strict=True)),
            tuple(array.write(t, value) for array, value in zip(out, values, strict=True)),
        )

    dtype = inputs[0].dtype
    arrays = tuple(tf.TensorArray(x.dtype, steps) for x in inputs)
    arrays += tuple(tf.TensorArray(dtype, steps) for _ in range(2 * uses.products))
    # Over many steps a sum in bfloat16 soon stops growing.
    zeros = tuple(tf.zeros_like(value, tf.float32) for value in carried)
    start = (steps - 1, tuple(map(tf.zeros_like, first)), zeros, arrays)
    _, d_first, sums, out = tf.while_loop(lambda t, *_: t >= 0, back, start, parallel_iterations=splits.at_once())
    d_carried = [tf.cast(total, value.dtype) for total, value in zip(sums, carried, strict=True)]
    stacked = [array.stack() for array in out]
    d_inputs, calls = stacked[: len(inputs)], stacked[len(inputs) :]
    d_weights = dict(zip(small, d_carried[len(constants) :], strict=True))
    for call, x, d_y in zip(recorded, calls[: uses.products], calls[uses.products :], strict=True):
        i, o = call.weight.shape
        d_weight = tf.matmul(tf.reshape(x, [-1, i]), tf.reshape(d_y, [-1, o]), transpose_a=True)
        place = places[id(call.weight)]
        d_weights[place] = d_weights[place] + d_weight if place in d_weights else d_weight
    return [
        *d_inputs,
        *d_first,
        *d_carried[: len(constants)],
        *(d_weights.get(place, tf.zeros_like(weight)) for place, weight in enumerate(weights)),
    ]
