"""GRU and LSTM over unequal lengths, both directions: each precision against float32 on the CPU."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf

from parts.precisions import (
    BOUNDS,
    distance,
    held_by_all,
    policy,
    precisions,
    reference_implementation,
    spoil_memory,
    use_precision,
    worst,
)
from parts.report import Check, table
from parts.sizes import Sizes
from seq2seq.layers import GRUCell, LSTMCell, Recurrence

NAMES = ("outputs", "states", "d inputs", "d initial", "d kernel", "d recurrent", "d bias")


def run(check: Check) -> list[dict[str, Any]]:
    """Compare outputs, last states and all gradients; then run again over spoilt memory and compare the two runs."""
    ours, other = "cudnn" if check.gpus else "fast", reference_implementation(check.gpus)
    print(f"|{ours} - {other}| / |{other}|: the larger of both directions; `again`: the largest of two runs' distances")
    results = []
    for cell in (GRUCell, LSTMCell):
        use_precision("float32")
        reference = recurrence(cell, "float32", other, "/CPU:0", check.sizes)()
        for precision in precisions(check.gpus):
            use_precision(precision)
            compute = recurrence(cell, precision, ours, None, check.sizes)
            row = f"{cell.__name__} {precision}"
            results.append({"row": row} | judge(check, row, BOUNDS[precision], compute, reference))
    rows = [[r["row"], *r["distances"].values(), r["again"], r["verdict"]] for r in results]
    table(["", *NAMES, "again", ""], rows)
    return results


def judge(
    check: Check, row: str, bound: float | None, compute: Callable[[], Any], reference: dict[str, np.ndarray]
) -> dict[str, Any]:
    """Distances from the reference, by name, and between two runs with memory spoilt before each."""
    spoil_memory(check.device)
    first = compute()
    spoil_memory(check.device)
    second = compute()
    each = {name: worst(distance(run[name], reference[name]) for run in (first, second)) for name in reference}
    distances = {name: worst(each[f"{way} {name}"] for way in ("forward", "reverse")) for name in NAMES}
    again = worst(distance(second[name], first[name]) for name in reference)
    named = distances | {"again": again}
    name = list(named)[int(np.argmax(list(named.values())))]  # NaN is the largest
    if bound is None:
        verdict = check.hold(f"recurrences: {row}: {name} is not finite", bool(np.isfinite(named[name])))
        verdict = "reported" if verdict == "pass" else verdict
    else:
        verdict = check.bound(f"recurrences: {row}: {name}", named[name], bound)
    return {"distances": distances, "again": again, "verdict": verdict}


def recurrence(
    cell: type, precision: str, implementation: str, device: str | None, sizes: Sizes
) -> Callable[[], dict[str, np.ndarray]]:
    """A traced function of no arguments: both directions' results, from the same numbers each time.

    On a device, or where TensorFlow puts it.
    """
    rows, steps, width, units = (getattr(sizes, f"recurrence_{name}") for name in ("rows", "steps", "width", "units"))
    normal = partial(np.random.default_rng(7).standard_normal, dtype=np.float32)
    lengths = np.linspace(steps, 1, rows).astype(np.int32)

    def draw(*shape: int) -> np.ndarray:
        return held_by_all(normal(shape))

    inputs, by_outputs = draw(rows, steps, width), draw(rows, steps, units)
    layers = {}
    with tf.device(device):
        for way in ("forward", "reverse"):
            inner = cell(units, dtype=policy(precision))
            layer = Recurrence(inner, way == "reverse", implementation, dtype=policy(precision))
            layer.build((None, None, width))
            inner.set_weights([held_by_all(draw(*weight.shape) * units**-0.5) for weight in inner.weights])
            layers[way] = layer
    initial, by_last = draw(2, len(inner.state_size), rows, units)

    @tf.function(autograph=False)
    def compute(inputs: tf.Tensor, initial: tf.Tensor) -> dict[str, tf.Tensor]:
        found = {}
        with tf.device(device):
            for way, layer in layers.items():
                weights = [weight.value for weight in layer.cell.trainable_variables]
                with tf.GradientTape() as tape:
                    tape.watch([inputs, initial])
                    outputs, states = layer(inputs, tf.constant(lengths), tf.unstack(initial))
                    outputs, last = tf.cast(outputs, tf.float32), tf.cast(tf.stack(states), tf.float32)
                    loss = tf.reduce_sum(outputs * by_outputs) + tf.reduce_sum(last * by_last)
                values = [outputs, last, *tape.gradient(loss, [inputs, initial, *weights])]
                found |= {f"{way} {name}": value for name, value in zip(NAMES, values, strict=True)}
        return found

    return lambda: {name: value.numpy() for name, value in compute(inputs, initial).items()}
