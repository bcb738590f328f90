"""Loss curves of the same updates from equal weights in every precision."""

from typing import Any

import numpy as np

from parts.models import trained
from parts.precisions import precisions
from parts.report import Check, table

BEHIND = 0.05  # maximum lag, as a share of the fall of the loss in float32
AT = (0.0, 0.1, 0.25, 0.5, 0.75, 1.0)  # shares of the updates at which losses are shown


def run(check: Check) -> list[dict[str, Any]]:
    """Train in each precision, and check that none ends clearly behind float32."""
    results: list[dict[str, Any]] = []
    for precision in precisions(check.gpus):
        try:
            results.append(curve(check, precision, results[0]["losses"] if results else None))
        except Exception as error:  # a precision that cannot run does not hide the others
            check.miss(f"curves: {precision}: {type(error).__name__}: {error}")
            if not results:
                raise
    count = check.sizes.updates - 1
    places = sorted({round(share * count) for share in AT})
    print("last: mean of the last tenth; behind: how much larger it is than float32's, over what float32 learnt")
    head = ["", *(f"update {place + 1}" for place in places), "last", "behind", "skipped", "loss scale", ""]
    rows = []
    for result in results:
        losses = [*(result["losses"][place] for place in places), result["last"], result["behind"]]
        rest = (result["skipped"], result["loss_scale"] or "", result["verdict"])
        rows.append([result["row"], *(f"{loss:.4f}" for loss in losses), *rest])
    table(head, rows)
    return results


def curve(check: Check, precision: str, float32_losses: list[float] | None) -> dict[str, Any]:
    """Losses of a precision, and its lag behind float32."""
    trainer = trained(check, "luong", precision)
    losses = trainer.losses
    reference = float32_losses or losses
    last, behind = last_mean(losses), (last_mean(losses) - last_mean(reference)) / (reference[0] - last_mean(reference))
    verdicts = [check.hold(f"curves: {precision}: a loss is not finite", bool(np.isfinite(losses).all()))]
    if float32_losses is None:
        verdicts.append(check.hold(f"curves: float32 learns nothing: {losses[0]:.4f}, {last:.4f}", last < losses[0]))
    verdicts.append(check.bound(f"curves: {precision}: behind float32, of what float32 learnt", behind, BEHIND))
    update = trainer.model.update
    return {
        "row": precision,
        "last": last,
        "behind": behind,
        "skipped": int(update.skipped),
        "loss_scale": update.loss_scale and float(update.loss_scale),
        "verdict": "MISSED" if "MISSED" in verdicts else "pass",
        "losses": losses,
    }


def last_mean(losses: list[float]) -> float:
    """Mean loss of the last tenth."""
    return float(np.mean(losses[-max(1, len(losses) // 10) :]))
