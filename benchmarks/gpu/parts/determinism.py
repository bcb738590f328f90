"""Equality of weights, bit for bit, after the same updates in two processes with deterministic operations."""

from typing import Any

from parts.children import answer, start
from parts.forms import trained_in
from parts.models import copy_size
from parts.report import Check

ENVIRONMENT = {"CUBLAS_WORKSPACE_CONFIG": ":4096:8"}  # without it, cuDNN's recurrences are not deterministic
SECONDS = 150.0  # maximum duration of a run


def run(check: Check) -> dict[str, Any]:
    """Require equal weights on a CPU; report them on a GPU."""
    sizes, found = check.sizes, {}
    arguments = {
        "size": list(copy_size(check)),
        "rows": sizes.sentences,
        "longest": sizes.longest,
        "updates": sizes.repeated_updates,
    }
    pairs = {  # all at the same time
        precision: [start("determinism", arguments | {"precision": precision}, ENVIRONMENT) for _ in range(2)]
        for precision in trained_in(check)
    }
    try:
        answers = {precision: [answer(child, SECONDS) for child in children] for precision, children in pairs.items()}
    finally:
        for child in (child for children in pairs.values() for child in children):
            child.kill()  # children that are left after a failure
    for precision, (one, other) in answers.items():
        differ = [path for path in one if one[path] != other[path]]
        print(f"{precision}: {len(differ)} of {len(one)} weights differ after {sizes.repeated_updates} updates")
        if not check.gpus:
            check.hold(f"determinism: {precision}: {', '.join(differ)}", not differ)
        found[precision] = {"weights": len(one), "differ": differ}
    return found
