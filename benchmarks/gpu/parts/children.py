"""Child processes, on the CPU only or with deterministic operations from the start."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

CHILD = Path(__file__).parents[1] / "child.py"


def start(task: str, arguments: dict[str, Any], environment: dict[str, str]) -> subprocess.Popen[str]:
    """Start `child.py` on a task."""
    inherited = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return subprocess.Popen(
        [sys.executable, str(CHILD), task, json.dumps(arguments)],
        env=inherited | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def answer(child: subprocess.Popen[str], seconds: float) -> Any:
    """Result of a child.

    Raises:
        RuntimeError: The child failed, or took longer than `seconds`.
    """
    try:
        out, err = child.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        child.kill()
        child.communicate()
        raise RuntimeError(f"{' '.join(child.args[1:3])} took longer than {seconds:.0f} s") from None
    if child.returncode:
        raise RuntimeError(f"{' '.join(child.args[1:3])} ended with {child.returncode}:\n{err[-2000:]}")
    return json.loads(out.splitlines()[-1])
