"""Scaling on paper: what an all-reduce moves against what an update computes. Measures nothing.

python benchmarks/scaling.py [--tflops 40] [--step-us 25] [--tokens 4000] [--accumulation-steps 1]

A replica computes its share of a batch, then all sum their gradients (float32), then each applies them: nothing
overlaps. A ring moves 2 (R - 1) / R times the gradient through each replica's link. The time to compute is that of the
matrix products at `--tflops`, or that of the recurrent steps one after the other at `--step-us` each, whichever is
longer: forward once, backward twice.
"""

import argparse
from typing import NamedTuple

import numpy as np
from baselines.ours import Ours
from measure import SIZES, batches_of, products_forward, show


class Link(NamedTuple):
    """What connects replicas: bytes/s that an all-reduce gets out of it, and seconds that one takes at least."""

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
    parser.add_argument("--tflops", type=float, default=40.0, help="matrix products of one GPU, TFLOP/s")
    parser.add_argument("--step-us", type=float, default=25.0, help="one recurrent step of one layer, microseconds")
    parser.add_argument("--tokens", type=int, default=4000, help="real target tokens of a replica's share")
    parser.add_argument("--accumulation-steps", type=int, default=1, help="batches whose gradients are summed at once")
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
            "GFLOP an update and replica": products / 1e9,
            "FLOP a byte": products / (2 * 7 / 8 * size_in_bytes),
            "recurrent steps": int(steps),
            "computes, ms": 1e3 * seconds,
        }
        for link in LINKS:
            moves = 2 * (link.replicas - 1) / link.replicas * size_in_bytes / link.bytes_per_second + link.latency
            row[link.name] = f"{moves * 1e3:.3g} ms, {seconds / (seconds + moves):.0%}"
        rows.append(row)
    np.set_printoptions(precision=3)
    show(f"{options.tokens:,} tokens a replica, {options.tflops:g} TFLOP/s, {options.step_us:g} us a step", rows)


if __name__ == "__main__":
    main()
