"""Training throughput, compared with the machine's sgemm, stock Keras layers and plain PyTorch.

python benchmarks/training.py [--size small medium gnmt] [--against keras torch] [--rounds 3] [--json FILE]

All train the same model, from the same weights (their losses are compared first), on the same batches, with Adam and
gradient clipping. They take turns, and the median of the rounds is shown. "percent of sgemm" is the speed of the
matrix products at real tokens (backward = twice forward), relative to that of a 2048^3 float32 product in TensorFlow,
timed in each round. PyTorch is optional: pip install torch==2.13.0
"""

import argparse
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from baselines.ours import Ours
from baselines.stock_keras import StockKeras
from measure import SIZES, as_dict, batches_of, in_turns, machine, median, products_forward, sgemm, show, write

SMOOTHING = 0.1


def compared_models(name: str, against: list[str], batches: list[Any]) -> dict[str, Any]:
    size = SIZES[name]
    ours = Ours(size, batches, SMOOTHING)
    found: dict[str, Any] = {"seq2seq": ours}
    if "keras" in against:
        found["stock Keras"] = StockKeras(size, batches, SMOOTHING, ours)
    if "torch" in against:
        from baselines.pytorch import PyTorch

        found["PyTorch"] = PyTorch(size, batches, SMOOTHING, ours)
    losses = {model_name: model.mean_loss(0) for model_name, model in found.items()}
    if max(losses.values()) - min(losses.values()) > 1e-4:
        raise SystemExit(f"these are not the same model: {losses}")
    for form in ("input_feeding", "cgru"):
        if form in against:
            found[form] = Ours(size, batches, SMOOTHING, form)
    return found


def measure(name: str, against: list[str], count: int, tokens: int, rounds: int) -> dict[str, Any]:
    batches = batches_of(SIZES[name], count, tokens)
    models = compared_models(name, against, batches)
    operations = [3 * products_forward(SIZES[name], (s != 0).sum(1), (t != 0).sum(1)) for s, t in batches]
    real = sum(int((target != 0).sum()) for _, target in batches)

    def seconds(model: Any) -> float:
        start = time.perf_counter()
        for place in range(len(batches)):
            model.step(place)
        return time.perf_counter() - start

    for model in models.values():
        for place in (0, -1):
            model.step(place)  # tracing, first allocations
    runs: dict[str, Callable[[], float]] = {"sgemm": sgemm}
    found = in_turns(runs | {model_name: partial(seconds, model) for model_name, model in models.items()}, rounds)
    limit = found.pop("sgemm")
    rows = []
    for model_name, values in found.items():
        ratios = [mine / other for mine, other in zip(values, found["seq2seq"], strict=True)]
        shares = [sum(operations) / value / rate for value, rate in zip(values, limit, strict=True)]
        rows.append(
            {
                "": model_name,
                "target tokens/s": real / median(values),
                "percent of sgemm": 100 * median(shares) if model_name not in ("input_feeding", "cgru") else "",
                "seq2seq is": f"{median(ratios):.2f} x as fast",
            }
        )
    show(f"{name}: {len(batches)} batches of {tokens} tokens, sgemm {median(limit) / 1e9:.0f} GFLOP/s", rows)
    return {"size": as_dict(SIZES[name]), "sgemm": limit, "seconds": found, "target_tokens": real, "rows": rows}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", nargs="+", choices=SIZES, default=["small", "medium"])
    choices = ["keras", "torch", "input_feeding", "cgru"]
    parser.add_argument("--against", nargs="*", choices=choices, default=choices)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batches", type=int, default=20)
    parser.add_argument("--tokens", type=int, default=1000)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    np.set_printoptions(precision=3)
    report: dict[str, Any] = {"machine": machine(), "options": vars(options) | {"json": None}}
    for name in options.size:
        report[name] = measure(name, options.against, options.batches, options.tokens, options.rounds)
        write(options.json, report)


if __name__ == "__main__":
    main()
