"""GRU and LSTM over unequal lengths, in each direction and both: each precision compared with float32 on the CPU."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf

from parts.precisions import (
    BOUNDS,
    distance,
    held_by_all,
    precisions,
    reference_implementation,
    spoil_memory,
    worst,
)
from parts.report import Check, table
from parts.sizes import Sizes
from seq2seq.config.precision import policy_name
from seq2seq.devices.device import set_tf32
from seq2seq.layers import GRUCell, LSTMCell, Recurrence
from seq2seq.layers.recurrence import run_bidirectional

WAYS = ("forward", "reverse", "both")  # "both" in one call, from zeros
NAMES = ("outputs", "states", "d inputs", "d initial", "d kernel", "d recurrent", "d bias")


def run(check: Check) -> list[dict[str, Any]]:
    """Compare outputs, last states and all gradients; then compare with a second run on memory filled with NaN."""
    ours, other = "cudnn" if check.gpus else "fused", reference_implementation(check.gpus)
    print(f"|{ours} - {other}| / |{other}|: the largest of all ways; `again`: of two runs' distances")
    results = []
    for cell in (GRUCell, LSTMCell):
        set_tf32("float32")
        reference = recurrence(cell, "float32", other, "/CPU:0", check.sizes)()
        for precision in precisions(check.gpus):
            set_tf32(precision)
            compute = recurrence(cell, precision, ours, None, check.sizes)
            row = f"{cell.__name__} {precision}"
            results.append({"row": row} | judge(check, row, BOUNDS[precision], compute, reference))
    rows = [[r["row"], *r["distances"].values(), r["again"], r["verdict"]] for r in results]
    table(["", *NAMES, "again", ""], rows)
    return results


def judge(
    check: Check, row: str, bound: float | None, compute: Callable[[], Any], reference: dict[str, np.ndarray]
) -> dict[str, Any]:
    """Distances from the reference, by name, and between two runs with memory filled with NaN before each."""
    spoil_memory(check.device)
    first = compute()
    spoil_memory(check.device)
    second = compute()
    each = {name: worst(distance(run[name], reference[name]) for run in (first, second)) for name in reference}
    distances = {name: worst(each[key] for way in WAYS if (key := f"{way} {name}") in each) for name in NAMES}
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
    """Make a traced function without arguments: the results of all ways, from the same numbers each time.

    It runs on a device or, by default, where TensorFlow places it.
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
            inner = cell(units, dtype=policy_name(precision))
            layer = Recurrence(inner, way == "reverse", implementation, dtype=policy_name(precision))
            layer.build((None, None, width))
            inner.set_weights([held_by_all(draw(*weight.shape) * units**-0.5) for weight in inner.weights])
            layers[way] = layer
    initial, by_last = draw(2, len(inner.state_size), rows, units)

    def results(
        way: str, cells: list[Any], sources: list[tf.Tensor], run: Callable[[], tuple[tf.Tensor, tf.Tensor]]
    ) -> dict[str, tf.Tensor]:
        """Results of `run`, and gradients by sources and by the weights of cells, concatenated if there are two."""
        with tf.GradientTape() as tape:
            tape.watch(sources)
            outputs, last = (tf.cast(value, tf.float32) for value in run())
            loss = tf.reduce_sum(outputs * by_outputs) + tf.reduce_sum(last * by_last)
        weights = [[weight.value for weight in cell.trainable_variables] for cell in cells]
        by_sources, by_weights = tape.gradient(loss, [sources, weights])
        joined = [tf.stack(gradients) for gradients in zip(*by_weights, strict=True)]
        names = [name for name in NAMES if name != "d initial" or len(sources) > 1]
        return {
            f"{way} {name}": value for name, value in zip(names, [outputs, last, *by_sources, *joined], strict=True)
        }

    @tf.function(autograph=False)
    def compute(inputs: tf.Tensor, initial: tf.Tensor) -> dict[str, tf.Tensor]:
        def one(layer: Recurrence) -> tuple[tf.Tensor, tf.Tensor]:
            outputs, states = layer(inputs, tf.constant(lengths), tf.unstack(initial))
            return outputs, tf.stack(states)

        def both() -> tuple[tf.Tensor, tf.Tensor]:
            outputs, states = zip(*run_bidirectional(list(layers.values()), inputs, tf.constant(lengths)), strict=True)
            return tf.stack(outputs), tf.stack(states)

        found = {}
        with tf.device(device):
            for way, layer in layers.items():
                found |= results(way, [layer.cell], [inputs, initial], partial(one, layer))
            found |= results("both", [layer.cell for layer in layers.values()], [inputs], both)
        return found

    return lambda: {name: value.numpy() for name, value in compute(inputs, initial).items()}
