"""Parallel scan against the loop over time, by length and batch: training time of a layer, all taking turns.

python benchmarks/parallel_scan.py [--cell min_gru] [--units 256] [--lengths 8 32 128 512] [--rows 1 8 64] [--rounds 5]

A layer with as many inputs as units runs forward and backward over sentences of equal length: the minimal cell by the
scan and by the loop that all cells share, and a GRU of the same width by the fastest implementation here. Shown are
medians over rounds: milliseconds of the scan, and how many times as long the others take in the same round.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tensorflow as tf
from measure import in_turns, machine, median, show, write

from seq2seq.config.network import LINEAR_CELLS
from seq2seq.layers import Recurrence
from seq2seq.layers.cells import make_cell
from seq2seq.layers.recurrence import Implementation

WARMUP = 3  # calls before the first measurement
ENOUGH = 0.2  # seconds per measurement


class Layer:
    """A recurrent layer, with one graph for all lengths and batches."""

    def __init__(self, kind: str, units: int, implementation: Implementation) -> None:
        self.recurrence = Recurrence(make_cell(kind, units), implementation=implementation)
        self.recurrence.build((None, None, units))
        signature = [tf.TensorSpec([None, None, units]), tf.TensorSpec([None], tf.int32)]
        self.train = tf.function(self._train, input_signature=signature, autograph=False)

    def _train(self, inputs: tf.Tensor, lengths: tf.Tensor) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs, _ = self.recurrence(inputs, lengths)
            loss = tf.reduce_sum(outputs * outputs)
        return tape.gradient(loss, [inputs, *(weight.value for weight in self.recurrence.cell.trainable_variables)])

    def timer(self, inputs: tf.Tensor) -> Callable[[], float]:
        """Function that measures the milliseconds of a call."""
        lengths = tf.fill([inputs.shape[0]], inputs.shape[1])

        def milliseconds(calls: int) -> float:
            start = time.perf_counter()
            for _ in range(calls):
                self.train(inputs, lengths)[0].numpy()
            return (time.perf_counter() - start) / calls * 1000

        milliseconds(WARMUP)
        calls = max(1, round(ENOUGH * 1000 / milliseconds(1)))
        return lambda: milliseconds(calls)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cell", choices=LINEAR_CELLS, default="min_gru")
    parser.add_argument("--units", type=int, default=256)
    parser.add_argument("--lengths", nargs="+", type=int, default=[8, 32, 128, 512])
    parser.add_argument("--rows", nargs="+", type=int, default=[1, 8, 64], help="sentences per batch")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    layers = {
        "scan": Layer(options.cell, options.units, "scan"),
        "loop": Layer(options.cell, options.units, "hoisted"),
        "GRU": Layer("gru", options.units, "auto"),
    }
    found: list[dict[str, Any]] = []
    for rows in options.rows:
        for steps in options.lengths:
            inputs = tf.random.normal([rows, steps, options.units])
            times = in_turns({name: layer.timer(inputs) for name, layer in layers.items()}, options.rounds)

            def ratio(name: str, times: dict[str, list[float]] = times) -> float:
                return median([other / ours for other, ours in zip(times[name], times["scan"], strict=True)])

            numbers = {"scan, ms": median(times["scan"]), "loop / scan": ratio("loop"), "GRU / scan": ratio("GRU")}
            found.append({"sentences x steps": f"{rows} x {steps}"} | numbers)
    show(f"{options.cell}, {options.units} units and inputs, forward and backward", found)
    write(options.json, {"machine": machine(), "cell": options.cell, "units": options.units, "settings": found})


if __name__ == "__main__":
    main()
