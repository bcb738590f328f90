"""Target tokens per second of updates for each precision and batch size, measured taking turns; and peak memory."""

import time
from collections.abc import Sequence
from functools import partial
from itertools import product
from typing import Any

import numpy as np
import tensorflow as tf

from parts.models import ModelSize, Trainer, copy_sentences, copy_size
from parts.precisions import precisions
from parts.report import Check, table
from seq2seq.devices.device import set_tf32

LONGEST = 30  # maximum number of tokens of a sentence, EOS included; the mean is half of it


def run(check: Check) -> list[dict[str, Any]]:
    """Updates on batches in memory, without the input pipeline."""
    sizes = check.sizes
    trainers = {precision: make_trainer(check, precision) for precision in precisions(check.gpus)}
    batches = {tokens: batches_of(check, tokens) for tokens in sizes.speed_tokens}
    cases = list(product(sizes.speed_tokens, trainers))
    memory = {case: peak_of(check, trainers[case[1]], batches[case[0]]) for case in cases}
    rounds: dict[tuple[int, str], list[float]] = {case: [] for case in cases}
    for number in range(sizes.rounds):
        for tokens, precision in cases[:: -1 if number % 2 else 1]:
            real = sum(int(np.count_nonzero(batch)) for batch in batches[tokens])
            rounds[tokens, precision].append(real / seconds(trainers[precision], batches[tokens]))
    results = [entry(case, rounds, memory[case]) for case in cases]
    units = f"{sizes.speed_units} units, vocabulary {sizes.speed_vocabulary:,}"
    print(
        f"{units}; medians of {sizes.rounds} rounds of {sizes.speed_batches} updates; memory: GiB above what was held"
    )
    head = [
        "tokens a batch",
        "precision",
        "target tokens/s",
        "ms an update",
        "of float32",
        "lowest",
        "highest",
        "memory",
    ]
    table(head, [shown(result) for result in results])
    return results


def make_trainer(check: Check, precision: str) -> Trainer:
    """A model of the size whose speed is measured; the part `dtypes` checks it, too."""
    size = ModelSize(check.sizes.speed_vocabulary, check.sizes.speed_units)
    trainers = check.shared.setdefault("trainers", {})
    if size == copy_size(check) and ("luong", precision) in trainers:
        return trainers["luong", precision]  # a toy's update need not be traced again
    trainers["speed", precision] = Trainer("luong", size, precision, 1e-3, smoothing=0.1)
    return trainers["speed", precision]


def batches_of(check: Check, tokens: int) -> list[tf.Tensor]:
    """Different batches of one shape, each with about `tokens` real target tokens."""
    random, sizes = np.random.default_rng(2), check.sizes
    rows = max(1, round(2 * tokens / (LONGEST + 3)))
    draw = partial(copy_sentences, random, rows, LONGEST, sizes.speed_vocabulary)
    return [tf.constant(draw()) for _ in range(sizes.speed_batches)]


def seconds(trainer: Trainer, batches: Sequence[tf.Tensor]) -> float:
    """The time of one update on each batch."""
    set_tf32(trainer.precision)
    start = time.perf_counter()
    for batch in batches:
        trainer.update(batch, batch)
    trainer.model.output_bias.numpy()  # waits for the last update
    return time.perf_counter() - start


def peak_of(check: Check, trainer: Trainer, batches: Sequence[tf.Tensor]) -> float | None:
    """Peak memory in GiB of the first updates on a shape, above that before; None without a GPU."""
    if not check.gpus:
        seconds(trainer, batches[:1])
        return None
    before = tf.config.experimental.get_memory_info(check.device[1:])["current"]
    tf.config.experimental.reset_memory_stats(check.device[1:])
    seconds(trainer, batches[:2])
    return (tf.config.experimental.get_memory_info(check.device[1:])["peak"] - before) / 2**30


def entry(case: tuple[int, str], rounds: dict[tuple[int, str], list[float]], memory: float | None) -> dict[str, Any]:
    """The median speed, and the median, lowest and highest ratio to float32 of the same round."""
    tokens, precision = case
    ratios = np.divide(rounds[case], rounds[tokens, "float32"])
    return {
        "tokens_a_batch": tokens,
        "precision": precision,
        "tokens_a_second": float(np.median(rounds[case])),
        "of_float32": [float(np.median(ratios)), float(ratios.min()), float(ratios.max())],
        "peak_gib": memory,
        "rounds": rounds[case],
    }


def shown(result: dict[str, Any]) -> list[str]:
    speed, memory = result["tokens_a_second"], result["peak_gib"]
    ratios = [f"{ratio:.2f}" for ratio in result["of_float32"]]
    milliseconds = 1e3 * result["tokens_a_batch"] / speed
    numbers = [f"{speed:,.0f}", f"{milliseconds:.2f}", *ratios, "" if memory is None else f"{memory:.2f}"]
    return [f"{result['tokens_a_batch']:,}", result["precision"], *numbers]
