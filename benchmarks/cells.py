"""Cost of each cell: parameters, operations per step, and training speed of a layer, with all cells taking turns.

python benchmarks/cells.py [--cells gru sru] [--units 256] [--rounds 5] [--json FILE]

A layer has as many inputs as units. Counted are its parameters; the multiplications in the matrix products of a step,
and those of them that depend on the state and are therefore inside the loop over time; and the element-wise operations
inside the loop. Measured are tokens per second, forward and backward, on a batch of 64 sentences of 20 tokens.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tensorflow as tf
from measure import in_turns, machine, median, show, write

from seq2seq.layers import Recurrence
from seq2seq.layers.cells import CELLS, GRUCell, LSTMCell, make_cell

SENTENCES, STEPS = 64, 20
FUNCTIONS = ("Sigmoid", "Tanh", "Relu", "Softplus", "Rsqrt")
ARITHMETIC = (*FUNCTIONS, "Add", "Sub", "Mul", "Neg", "Mean", "Squared", "Select", "FloorMod")


class Layer:
    """A recurrent layer of one cell, above another layer of the same kind."""

    def __init__(self, kind: str, units: int) -> None:
        self.kind, self.units = kind, units
        self.cell = make_cell(kind, units, below=True)
        self.recurrence = Recurrence(self.cell)
        self.recurrence.build((None, None, units))
        self.inputs = tf.random.normal([SENTENCES, STEPS, units * (1 + self.cell.outputs_cell_state)])
        self.lengths = tf.fill([SENTENCES], STEPS)
        self.train = tf.function(self._train, autograph=False)

    def _train(self) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(self.inputs)
            outputs, _ = self.recurrence(self.inputs, self.lengths)
            loss = tf.reduce_sum(outputs * outputs)
        return tape.gradient(loss, [self.inputs, *(weight.value for weight in self.cell.trainable_variables)])

    def tokens_per_second(self) -> float:
        start = time.perf_counter()
        for _ in range(5):
            self.train()[0].numpy()
        return 5 * SENTENCES * STEPS / (time.perf_counter() - start)

    def counts(self) -> dict[str, Any]:
        matrices = [weight for weight in self.cell.weights if "kernel" in weight.name]
        waiting = [weight for weight in matrices if weight.name != "kernel"]
        return {
            "parameters": self.cell.count_params(),
            "multiplications": sum(weight.shape[0] * weight.shape[1] for weight in matrices),
            "waiting": sum(weight.shape[0] * weight.shape[1] for weight in waiting),
            "element-wise": self._elementwise(),
        }

    def _elementwise(self) -> int:
        """Number of element-wise results of a step, for one sentence."""

        def step(projected: tf.Tensor, states: list[tf.Tensor]) -> Any:
            return self.cell.step(projected, states)

        projected = self.cell.project(self.inputs[:1, 0])
        states = [tf.TensorSpec([1, size], tf.float32) for size in self.cell.state_size]
        graph = tf.function(step, autograph=False).get_concrete_function(tf.TensorSpec(projected.shape), states).graph
        made = [op for op in graph.get_operations() if op.type.startswith(ARITHMETIC)]
        return sum(op.outputs[0].shape.num_elements() or 0 for op in made if op.outputs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", nargs="+", choices=sorted(CELLS), default=list(CELLS), metavar="CELL")
    parser.add_argument("--units", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    layers = {kind: Layer(kind, options.units) for kind in dict.fromkeys(["gru", *options.cells])}
    runs: dict[str, Callable[[], float]] = {kind: layer.tokens_per_second for kind, layer in layers.items()}
    in_turns(runs, 1)  # traces
    speeds = in_turns(runs, options.rounds)
    units, rows = options.units, []
    for kind, layer in layers.items():
        counts = layer.counts()
        ratios = [ours / gru for ours, gru in zip(speeds[kind], speeds["gru"], strict=True)]
        rows.append(
            {
                "cell": kind,
                "parameters per unit": counts["parameters"] / units,
                "multiplications per unit and step": counts["multiplications"] / units,
                "of them in the loop": counts["waiting"] / units,
                "element-wise per unit and step": counts["element-wise"] / units,
                "tokens/s": median(speeds[kind]),
                "against GRU": median(ratios),
                "path": layer.recurrence.choose_implementation(),
                "cuDNN": "yes" if type(layer.cell) in (GRUCell, LSTMCell) else "no",
            }
        )
    show(f"{units} units and inputs, {SENTENCES} sentences of {STEPS} tokens, forward and backward", rows)
    write(options.json, {"machine": machine(), "units": units, "rounds": options.rounds, "cells": rows})


if __name__ == "__main__":
    main()
