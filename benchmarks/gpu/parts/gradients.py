"""Gradients of whole models by every weight: each precision compared with float32 on the CPU."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from parts.models import FORMS, copy_sentences, copy_size, make_model, model_on_cpu
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
from seq2seq.devices.device import set_tf32
from seq2seq.models.translation import Seq2Seq

LOSS_SCALE = 2.0**10  # of float16: without it, small gradients are rounded to zero
ROWS = 24


class Gradient(NamedTuple):
    """Mean loss per token, and its gradient by each weight, keyed by the weight's path."""

    loss: float
    by_weight: dict[str, np.ndarray]

    def whole(self) -> np.ndarray:
        return np.concatenate([values.ravel() for values in self.by_weight.values()])


def run(check: Check) -> list[dict[str, Any]]:
    """Compare losses and gradients; then run again on memory filled with NaN, and compare the two runs."""
    other = reference_implementation(check.gpus)
    print(f"distance from `{other}` on the CPU in float32: loss, whole gradient, the weight that is furthest off")
    sizes, results = check.sizes, []
    random = np.random.default_rng(3)
    batch = tf.constant(copy_sentences(random, ROWS, sizes.longest, sizes.vocabulary))
    for form in list(FORMS)[: sizes.gradient_forms]:
        set_tf32("float32")
        model = model_on_cpu(form, copy_size(check), None, other)
        weights = [start_of(weight.path, weight.shape, random) for weight in model.weights]
        model.set_weights(weights)
        reference = gradient_of(model, "/CPU:0")(batch)
        for precision in precisions(check.gpus):
            set_tf32(precision)
            model = make_model(form, copy_size(check), precision)
            model.set_weights(weights)
            compute = gradient_of(model)
            results.append({"row": f"{form}: {precision}"} | judge(check, form, precision, compute, batch, reference))
    head = ["", "loss", "gradient", "weight", "its path", "again", ""]
    rows = [[r[key] for key in ("row", "loss", "gradient", "weight", "path", "again", "verdict")] for r in results]
    table(head, rows)
    return results


def judge(
    check: Check,
    form: str,
    precision: str,
    compute: Callable[[tf.Tensor], Gradient],
    batch: tf.Tensor,
    reference: Gradient,
) -> dict[str, Any]:
    """Distances of two runs from the reference and from each other, with memory filled with NaN before each."""
    runs = []
    for _ in range(2):
        spoil_memory(check.device)
        runs.append(compute(batch))
    loss = worst(abs(run.loss / reference.loss - 1.0) for run in runs)
    gradient = worst(distance(run.whole(), reference.whole()) for run in runs)
    each = {
        path: worst(distance(run.by_weight[path], values) for run in runs)
        for path, values in reference.by_weight.items()
    }
    path = list(each)[int(np.argmax(list(each.values())))]  # NaN is the largest
    again = distance(runs[1].whole(), runs[0].whole())
    what, bound = f"gradients: {form}: {precision}", BOUNDS[precision]
    verdicts = [
        check.bound(f"{what}: loss, gradient, again", worst([loss, gradient, again]), bound),
        check.bound(f"{what}: {path}", each[path], bound),
    ]
    if bound is None:
        verdicts.append(check.hold(f"{what}: not finite at {path}", bool(np.isfinite([loss, each[path], again]).all())))
    verdict = "MISSED" if "MISSED" in verdicts else verdicts[0]
    found = {"loss": loss, "gradient": gradient, "weight": each[path], "path": path, "again": again}
    return found | {"verdict": verdict, "each": each}


def start_of(path: str, shape: tuple[int, ...], random: np.random.Generator) -> np.ndarray:
    """A weight that every precision represents exactly; not zero even for biases."""
    scale = 0.3 if len(shape) == 1 or "table" in path else shape[0] ** -0.5
    return held_by_all(scale * random.standard_normal(shape))


def gradient_of(model: Seq2Seq, device: str | None = None) -> Callable[[tf.Tensor], Gradient]:
    """Make a traced function of a batch of the copy task: the loss with label smoothing, and its gradient."""
    weights = model.trainable_variables
    scale = LOSS_SCALE if model.compute_dtype == "float16" else 1.0

    @tf.function(input_signature=[tf.TensorSpec([None, None], tf.int32)], autograph=False)
    def compute(batch: tf.Tensor) -> tuple[tf.Tensor, list[tf.Tensor]]:
        with tf.device(device):
            with tf.GradientTape() as tape:
                total, _, tokens = model.loss_sums(batch, batch, 0.1, training=True)
                loss = total / tokens * scale
            gradients = tape.gradient(loss, [weight.value for weight in weights])
            return loss / scale, [tf.convert_to_tensor(gradient) / scale for gradient in gradients]

    def run(batch: tf.Tensor) -> Gradient:
        loss, gradients = compute(batch)
        paths = [weight.path.partition("/")[2] for weight in weights]
        return Gradient(float(loss), {path: g.numpy() for path, g in zip(paths, gradients, strict=True)})

    return run
