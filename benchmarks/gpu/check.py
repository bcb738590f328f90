"""Compare cuDNN with the CPU paths, and the precisions with each other: one command, tables and a JSON."""

import argparse
import json
import shlex
import subprocess
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from seq2seq.layers import GRUCell, LSTMCell, Recurrence

# On the largest |a - b| of a tensor over its largest |b|, with TF32 off.
BOUND = 1e-5
# TF32 is off in all but the second: the mixed precisions have no float32 products.
ROWS = ("float32", "float32+TF32", "mixed_float16", "mixed_bfloat16")
SIZES = {  # meaning, value on a GPU, value on a CPU
    "steps": ("updates of the loss curves", 300, 60),
    "tokens": ("most real tokens in a batch, on either side", 8000, 300),
    "units": ("width of embeddings and layers", 512, 32),
    "vocabulary": ("tokens of the copy task", 8000, 200),
    "batches": ("different batches", 24, 6),
    "rounds": ("rounds of the speed measurement", 9, 5),
}
Batch = tuple[tf.Tensor, tf.Tensor]
use_tf32 = tf.config.experimental.enable_tensor_float_32_execution


class Check:
    """What the sections share: options, batches, traced updates, the report and what went wrong."""

    def __init__(self, options: argparse.Namespace, gpus: Sequence[Any]) -> None:
        self.options, self.gpus = options, gpus
        self.misses: list[str] = []
        self.report: dict[str, Any] = {"about": about(options, gpus), "bound": BOUND, "missed": self.misses}
        self.batches: list[Batch] = []
        self.trainers: dict[str, Trainer] = {}  # by row

    def section(self, name: str, title: str, run: Callable[["Check"], Any]) -> None:
        """Run one section; write what is known so far."""
        print(f"\n{title}\n", flush=True)
        self.report[name] = self.attempt(name, lambda: run(self))
        if self.options.json is not None:
            self.options.json.write_text(json.dumps(self.report, indent=2) + "\n", encoding="utf-8")

    def attempt(self, name: str, run: Callable[[], Any]) -> Any:
        """What `run` returns; its failure is reported and must not hide what comes after it."""
        try:
            return run()
        except Exception:
            return self.miss(f"{name}: {traceback.format_exc()}")

    def miss(self, what: str) -> None:
        self.misses.append(what)
        print(f"MISSED  {what}", flush=True)


def about(options: argparse.Namespace, gpus: Sequence[Any]) -> dict[str, Any]:
    details = tf.config.experimental.get_device_details(gpus[0]) if gpus else {}
    cuda, cudnn = map(tf.sysconfig.get_build_info().get, ("cuda_version", "cudnn_version"))
    query = "nvidia-smi --query-gpu=driver_version --format=csv,noheader"
    driver = subprocess.run(query, shell=True, capture_output=True, text=True, check=False).stdout
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": shlex.join(["python", *sys.argv]),
        "gpu": details.get("device_name"),
        "compute_capability": ".".join(map(str, details.get("compute_capability", []))),
        "driver": driver.strip(),
        "tensorflow": f"{tf.__version__} for CUDA {cuda}, cuDNN {cudnn}",
        "keras": keras.__version__,
        "sizes": {key: getattr(options, key) for key in (*SIZES, "cell")},
    }


def table(head: Sequence[Any], rows: Sequence[Sequence[Any]]) -> None:
    """Print rows under their heads, the first column to the left."""
    lines = [[f"{c:.2e}" if isinstance(c, float) else str(c) for c in row] for row in (head, *rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for first, *rest in lines:
        cells = [cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True)]
        print("  ".join([first.ljust(widths[0]), *cells]), flush=True)


def check_recurrence(check: Check) -> list[dict[str, Any]]:
    """Section 1: outputs, last states and all gradients of `Recurrence`, by each implementation."""
    results, shown = [], []
    for cell, reverse in product((GRUCell, LSTMCell), (False, True)):
        use_tf32(False)
        plain, fast = (run_recurrence(cell, reverse, kind, "/CPU:0") for kind in ("plain", "fast"))
        pairs = [("fast, plain", fast, plain)]
        for suffix in ("", ", TF32") if check.gpus else ():
            use_tf32(bool(suffix))
            cudnn = run_recurrence(cell, reverse, "cudnn", "/GPU:0")
            pairs += [(f"cudnn, fast{suffix}", cudnn, fast), (f"cudnn, plain{suffix}", cudnn, plain)]
        for pair, ours, other in pairs:
            name = f"{cell.__name__} {'reverse' if reverse else 'forward'}: {pair}"
            absolute = {key: float(np.abs(ours[key] - other[key]).max()) for key in plain}
            relative = {key: absolute[key] / float(np.abs(other[key]).max()) for key in plain}
            worst = float(np.max(list(relative.values())))
            verdict = "reported" if "TF32" in pair else "pass" if worst <= BOUND else "MISSED"  # NaN misses
            if verdict == "MISSED":
                check.miss(f"recurrence: {name}: {relative}")
            results.append({"row": name, "absolute": absolute, "relative": relative, "verdict": verdict})
            shown.append([name, *absolute.values(), worst, verdict])
    print(f"largest |a - b| of each tensor; bound {BOUND} on largest |a - b| / largest |b| with TF32 off")
    table(["", *results[0]["absolute"], "relative", ""], shown)
    return results


def run_recurrence(cell: type, reverse: bool, implementation: str, device: str) -> dict[str, np.ndarray]:
    """Outputs (zero at padding), last states and gradients, from the same weights and inputs each time."""
    batch, steps, width, units = 16, 40, 96, 128
    lengths = np.linspace(steps, 1, batch).astype(np.int32)
    draw = partial(np.random.default_rng(7).standard_normal, dtype=np.float32)
    inputs, by_outputs = draw((batch, steps, width)), draw((batch, steps, units))
    with tf.device(device):
        layer = Recurrence(cell(units), reverse=reverse, implementation=implementation)
        layer.build((None, None, width))
        initial, by_last = draw((2, len(layer.cell.state_size), batch, units))
        layer.cell.set_weights([draw(weight.shape) * units**-0.5 for weight in layer.cell.weights])
        weights = [weight.value for weight in layer.cell.trainable_variables]

    # A new function each time: cuDNN kernels keep the TF32 setting that they first ran with.
    @tf.function
    def run(inputs: tf.Tensor, initial: tf.Tensor) -> list[tf.Tensor]:
        with tf.device(device):
            with tf.GradientTape() as tape:
                tape.watch([inputs, initial])
                outputs, states = layer(inputs, tf.constant(lengths), tf.unstack(initial))
                last = tf.stack(states)
                loss = tf.reduce_sum(outputs * by_outputs) + tf.reduce_sum(last * by_last)
            return [outputs, last, *tape.gradient(loss, [inputs, initial, *weights])]

    names = ("outputs", "states", "d inputs", "d initial", "d kernel", "d recurrent", "d bias")
    return {name: value.numpy() for name, value in zip(names, run(inputs, initial), strict=True)}


def copy_task(options: argparse.Namespace) -> list[Batch]:
    """Batches of similarly long sentences, 4 to 30 tokens, whose target is their source."""
    random, batches = np.random.default_rng(1), []
    for longest in random.integers(8, 32, options.batches):
        lengths = random.integers(longest - 3, longest + 1, options.tokens // longest)
        ids = random.integers(4, options.vocabulary, (len(lengths), longest), dtype=np.int32)
        after_end = np.arange(longest) - lengths[:, None] + 1
        ids[after_end == 0], ids[after_end > 0] = 3, 0  # EOS and padding
        batches.append((tf.constant(ids), tf.constant(ids)))
    return batches


def read_batches(options: argparse.Namespace) -> list[Batch]:
    """The first batches of an encoded corpus."""
    from seq2seq.batching import plan_batches
    from seq2seq.encoding import EncodedCorpus

    corpus = EncodedCorpus(options.ids)
    source, target = corpus.source, corpus.target
    plan = plan_batches(source.lengths, target.lengths, tokens=options.tokens, pool=4096, seed=1, epoch=0)
    rows = [plan.batch(i) for i in range(min(options.batches, len(plan)))]
    return [(tf.constant(source.gather(row)), tf.constant(target.gather(row))) for row in rows]


class Trainer:
    """A model in one precision, its traced update and its TF32 setting."""

    def __init__(self, row: str, vocabularies: Sequence[int], options: argparse.Namespace) -> None:
        # Here, because section 1 needs none of the packages that these import.
        from seq2seq.config import DecoderConfig, EmbeddingsConfig, EncoderConfig
        from seq2seq.model import Seq2Seq

        precision, _, tf32 = row.partition("+")
        units, layer = options.units, {"cell": options.cell, "units": options.units}
        parts = EmbeddingsConfig(size=units), EncoderConfig(**layer), DecoderConfig(**layer)
        self.tf32, self.model = bool(tf32), Seq2Seq(*vocabularies, *parts, precision=precision)
        self.model.compile(keras.optimizers.Adam(1e-3, epsilon=1e-8), label_smoothing=0.1)
        ids = tf.TensorSpec([None, None], tf.int32)
        self.update = tf.function(lambda *batch: self.model.train_step(batch), input_signature=[ids, ids])

    def loss(self, batch: Batch) -> float:
        """Make one update; the batch's loss a token."""
        use_tf32(self.tf32)
        self.model.reset_metrics()
        return float(self.update(*batch)["loss"])

    def seconds(self, batches: Sequence[Batch]) -> float:
        """The time of one update on each batch."""
        use_tf32(self.tf32)
        start = time.perf_counter()
        for batch in batches:
            self.update(*batch)
        self.model.output_bias.numpy()  # waits for the last update
        return time.perf_counter() - start


def check_losses(check: Check) -> list[dict[str, Any]]:
    """Section 2: the same updates from equal weights in every precision."""
    check.batches = (read_batches if check.options.ids else copy_task)(check.options)
    vocabularies = [1 + max(int(tf.reduce_max(batch[side])) for batch in check.batches) for side in (0, 1)]
    results = []

    def train(row: str) -> None:
        keras.utils.set_random_seed(1)
        trainer = Trainer(row, vocabularies, check.options)
        losses = [trainer.loss(check.batches[i % len(check.batches)]) for i in range(check.options.steps)]
        check.trainers[row] = trainer
        if not np.isfinite(losses).all():
            check.miss(f"losses: {row}: a loss is not finite")
        reference = results[0]["losses"] if results else losses
        difference = float(np.max(np.abs(np.divide(losses, reference) - 1)))
        skipped, scale = int(trainer.model.update.skipped), trainer.model.update.loss_scale
        found = {"row": row, "difference": difference, "skipped": skipped, "loss_scale": scale and int(scale)}
        results.append(found | {"losses": losses})

    for row in ROWS if check.gpus else [row for row in ROWS if "TF32" not in row]:
        check.attempt(f"losses: {row}", lambda row=row: train(row))
    at = sorted({round(share * (check.options.steps - 1)) for share in (0.0, 0.1, 0.25, 0.5, 0.75, 1.0)})
    print("difference: the largest of |loss / float32's loss - 1| over all updates")
    shown = [[*list(r.values())[:-1], *(f"{r['losses'][i]:.4f}" for i in at)] for r in results]
    table(["", "difference", "skipped", "loss scale", *(f"update {i + 1}" for i in at)], shown)
    return results


def check_speed(check: Check) -> list[dict[str, Any]]:
    """Section 3: target tokens a second, on batches that are in memory, in rounds that take turns."""
    tokens = sum(int(tf.math.count_nonzero(target)) for _, target in check.batches)
    for trainer in check.trainers.values():
        trainer.seconds(check.batches)  # a shape's first time is slower
    speeds: dict[str, list[float]] = {row: [] for row in check.trainers}
    for number in range(check.options.rounds):
        for row in list(speeds)[:: -1 if number % 2 else 1]:
            speeds[row].append(tokens / check.trainers[row].seconds(check.batches))
    results, shown = [], []
    for row, rounds in speeds.items():
        ratios = np.divide(rounds, speeds["float32"])
        speed, *of_float32 = map(float, (np.median(rounds), np.median(ratios), ratios.min(), ratios.max()))
        results.append({"row": row, "tokens_a_second": speed, "of_float32": of_float32, "rounds": rounds})
        shown.append([row, round(speed), *(f"{ratio:.2f}" for ratio in of_float32)])
    print(f"{check.options.rounds} rounds of {len(check.batches)} updates with {tokens} target tokens")
    table(["medians", "target tokens/s", "of float32", "lowest", "highest"], shown)
    return results


def check_dtypes(check: Check) -> dict[str, dict[str, int]]:
    """Section 4: the dtypes of products, recurrences and softmaxes in the traced update."""
    results = {}
    for row, trainer in check.trainers.items():
        graph = trainer.update.get_concrete_function().graph.as_graph_def()
        nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
        kept = [n for n in nodes if any(part in n.op for part in ("MatMul", "CudnnRNN", "Softmax"))]
        results[row] = Counter(f"{node.op} {tf.as_dtype(node.attr['T'].type).name}" for node in kept)
        if any("Softmax" in key and not key.endswith(" float32") for key in results[row]):
            check.miss(f"dtypes: {row}: a softmax is not in float32")
        if check.gpus and not any(key.startswith("CudnnRNNV3") for key in results[row]):
            check.miss(f"dtypes: {row}: no CudnnRNNV3 in the graph")
    print("ops in the graph; the body of a loop counts once")
    keys = sorted({key for counts in results.values() for key in counts})
    table(["", *results], [[key, *(counts[key] for counts in results.values())] for key in keys])
    return results


def main() -> int:
    gpus = tf.config.list_physical_devices("GPU")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="write the report to this file, after every section")
    parser.add_argument("--ids", type=Path, help="folder of an encoded corpus; default: a copy task")
    parser.add_argument("--cell", choices=("gru", "lstm"), default="gru", help="of encoder and decoder")
    parser.add_argument("--allow-cpu", action="store_true", help="measure the speed without a GPU, too")
    for name, (meaning, on_gpu, on_cpu) in SIZES.items():
        value = on_gpu if gpus else on_cpu
        parser.add_argument(f"--{name}", type=int, default=value, help=f"{meaning} (default {value})")
    options = parser.parse_args()
    for gpu in gpus:
        tf.config.experimental.set_memory_growth(gpu, True)
    check = Check(options, gpus)
    for key, value in check.report["about"].items():
        print(f"{key:20} {value}")
    check.section("recurrence", "1. cuDNN against the CPU paths", check_recurrence)
    check.section("losses", "2. Loss curves", check_losses)
    if gpus or options.allow_cpu:
        check.section("speed", "3. Speed", check_speed)
    check.section("dtypes", "4. Dtypes of the traced update", check_dtypes)
    print(f"\nmissed: {len(check.misses)}" if check.misses else "\nevery bound holds")
    if not gpus:
        print("no GPU: cuDNN not checked")
    return 1 if check.misses else 0


if __name__ == "__main__":
    sys.exit(main())
