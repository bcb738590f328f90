"""Estimate of scaling: communication of an all-reduce against computation of an update. Nothing is measured.

python benchmarks/scaling.py [--tflops 40] [--step-us 25] [--tokens 4000] [--accumulation-steps 1]

Each replica computes its share of a batch, then all replicas sum their gradients (float32), then each applies them:
nothing overlaps. A ring moves 2 (R - 1) / R times the gradient through each replica's link. Computing takes the time of
the matrix products at `--tflops`, or of the sequence of recurrent steps at `--step-us` each, whichever is longer; the
backward pass takes twice the time of the forward pass.
"""

import argparse
from typing import NamedTuple

import numpy as np
from baselines.ours import Ours
from measure import SIZES, batches_of, products_forward, show


class Link(NamedTuple):
    """Connection of replicas: bandwidth of an all-reduce in bytes/s, and its minimum time in seconds."""

    name: str
    replicas: int
    bytes_per_second: float
    latency: float


LINKS = (
    Link("8 GPUs, NVLink and NVSwitch", 8, 300e9, 50e-6),
    Link("8 GPUs, PCIe 4.0", 8, 18e9, 100e-6),
    Link("8 hosts, 100 Gbit/s", 8, 10e9, 500e-6),
    Link("8 hosts, 10 Gbit/s", 8, 1e9, 500e-6),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tflops", type=float, default=40.0, help="speed of matrix products on one GPU, TFLOP/s")
    parser.add_argument(
        "--step-us", type=float, default=25.0, help="time of one recurrent step of one layer, microseconds"
    )
    parser.add_argument("--tokens", type=int, default=4000, help="number of real target tokens in a replica's share")
    parser.add_argument("--accumulation-steps", type=int, default=1, help="number of batches per update")
    options = parser.parse_args()
    rows = []
    for name, size in SIZES.items():
        (batch,) = batches_of(size, 1, options.tokens)
        source, target = ((ids != 0).sum(1) for ids in batch)
        products = 3 * products_forward(size, source, target)
        steps = 3 * (size.encoder_layers * source.max() + size.decoder_layers * target.max())
        seconds = max(products / (options.tflops * 1e12), steps * options.step_us * 1e-6)
        seconds, products = options.accumulation_steps * seconds, options.accumulation_steps * products
        size_in_bytes = 4 * Ours(size, [batch], 0.1).model.count_params()
        row = {
            "": name,
            "gradient, MB": size_in_bytes / 1e6,
            "GFLOP per update and replica": products / 1e9,
            "FLOP per byte": products / (2 * 7 / 8 * size_in_bytes),
            "recurrent steps": int(steps),
            "computation, ms": 1e3 * seconds,
        }
        for link in LINKS:
            moves = 2 * (link.replicas - 1) / link.replicas * size_in_bytes / link.bytes_per_second + link.latency
            row[link.name] = f"{moves * 1e3:.3g} ms, {seconds / (seconds + moves):.0%}"
        rows.append(row)
    np.set_printoptions(precision=3)
    show(f"{options.tokens:,} tokens per replica, {options.tflops:g} TFLOP/s, {options.step_us:g} us per step", rows)


if __name__ == "__main__":
    main()
