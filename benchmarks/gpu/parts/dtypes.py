"""Dtypes in which the traced updates compute."""

from collections import Counter
from typing import Any

import tensorflow as tf

from parts.models import trained
from parts.precisions import precisions
from parts.report import Check, table

SHOWN = ("MatMul", "CudnnRNN", "Softmax", "CrossEntropy")


def run(check: Check) -> dict[str, dict[str, int]]:
    """Count products, recurrences and softmaxes of all updates that were traced."""
    for precision in precisions(check.gpus):
        trained(check, "luong", precision)
    results = {}
    for (name, precision), trainer in check.shared["trainers"].items():
        counts = count(trainer.update.get_concrete_function().graph.as_graph_def())
        results[f"{name}, {precision}"] = dict(counts)
        for trouble in troubles(counts, bool(check.gpus)):
            check.miss(f"dtypes: {name}, {precision}: {trouble}")
    keys = sorted({key for counts in results.values() for key in counts})
    print("ops in the graph; the body of a loop counts once\n")
    for number, name in enumerate(results, start=1):
        print(f"({number}) {name}")
    numbers = [f"({number})" for number in range(1, len(results) + 1)]
    table(["", *numbers], [[key, *(counts.get(key, 0) for counts in results.values())] for key in keys])
    return results


def count(graph: Any) -> Counter[str]:
    """Ops and their dtypes in a graph and all of its functions."""
    nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
    kept = [node for node in nodes if any(part in node.op for part in SHOWN) and "T" in node.attr]
    return Counter(f"{node.op} {tf.as_dtype(node.attr['T'].type).name}" for node in kept)


def troubles(counts: Counter[str], on_gpu: bool) -> list[str]:
    """Operations that must not occur.

    TensorFlow's CudnnRNNBackpropV3 for bfloat16 gives cuDNN an uninitialised reserve space, so recurrences in bfloat16
    must be computed in float32.
    """
    found = [f"{op} in bfloat16" for op, _, dtype in map(_parted, counts) if "CudnnRNN" in op and dtype == "bfloat16"]
    for op, _, dtype in map(_parted, counts):
        if ("Softmax" in op or "CrossEntropy" in op) and dtype != "float32":
            found.append(f"{op} in {dtype}")
    if on_gpu and not any(key.startswith("CudnnRNNV3 ") for key in counts):
        found.append("no CudnnRNNV3 in the graph")
    return found


def _parted(key: str) -> tuple[str, str, str]:
    return key.partition(" ")
