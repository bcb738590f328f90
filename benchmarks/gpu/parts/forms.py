"""Other forms of the model: whether they learn, and the time of an update."""

import time
from typing import Any

import numpy as np

from parts.curves import last_mean
from parts.models import FORMS, Trainer, copy_batches, trained
from parts.precisions import precisions
from parts.report import Check, table
from seq2seq.devices.device import set_tf32

LEARNT = 0.5  # minimum share by which the loss must fall


def run(check: Check) -> list[dict[str, Any]]:
    """Train each form except the default one in float32, and in the 16 bits in which a GPU trains by default."""
    results = []
    for form in list(FORMS)[1:]:
        for precision in trained_in(check):
            results.append({"row": f"{form}, {precision}"} | learn(check, form, precision))
    head = ["", "updates", "first loss", "last", "skipped", "ms an update", ""]
    rows = []
    for r in results:
        numbers = (f"{r['first']:.4f}", f"{r['last']:.4f}", r["skipped"], f"{r['ms']:.2f}")
        rows.append([r["row"], len(r["losses"]), *numbers, r["verdict"]])
    table(head, rows)
    return results


def trained_in(check: Check) -> list[str]:
    """float32 and, on a GPU, the precision in which it trains."""
    sixteen_bits = [precision for precision in precisions(check.gpus) if "16" in precision]
    return ["float32", *(sixteen_bits[-1:] if check.gpus else ())]


def learn(check: Check, form: str, precision: str) -> dict[str, Any]:
    """Train a form on the copy task; return what it has learnt, and the time of further updates."""
    trainer = trained(check, form, precision)
    losses, what = list(trainer.losses), f"forms: {form}, {precision}"
    first, last = losses[0], last_mean(losses)
    verdicts = [
        check.hold(f"{what}: a loss is not finite", bool(np.isfinite(losses).all())),
        check.bound(f"{what}: last loss over first", last / first, 1.0 - LEARNT),
    ]
    return {
        "first": first,
        "last": last,
        "skipped": int(trainer.model.update.skipped),
        "ms": update_time(check, trainer),
        "verdict": "MISSED" if "MISSED" in verdicts else "pass",
        "losses": losses,
    }


def update_time(check: Check, trainer: Trainer) -> float:
    """Milliseconds of an update; the median of three times through the batches."""
    set_tf32(trainer.precision)
    batches, times = copy_batches(check), []
    for _ in range(3):
        start = time.perf_counter()
        for batch in batches:
            trainer.update(batch, batch)
        trainer.model.output_bias.numpy()
        times.append(time.perf_counter() - start)
    return 1e3 * float(np.median(times)) / len(batches)
