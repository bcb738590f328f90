"""Shared by all parts: bounds, the deadline, tables, and the report, which is written after every part."""

import json
import shlex
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from parts.sizes import Sizes
from seq2seq.devices import gpu_trial


class Check:
    """A run of the check.

    Args:
        sizes: Sizes of all parts.
        minutes: Time until the deadline, after which no part is started.
        json_file: File of the report; None to write none.
        toy: Whether `sizes` are too small for bounds on quality, such as BLEU.

    Attributes:
        device: The GPU, or the CPU if there is none.
        shared: Results of parts for later ones.
        missed: A line for each bound that does not hold, and for each part that failed or was not run.
    """

    def __init__(self, sizes: Sizes, minutes: float = 5.0, json_file: Path | None = None, toy: bool = False) -> None:
        self.sizes, self.toy, self.json_file = sizes, toy, json_file
        self.deadline = time.monotonic() + 60.0 * minutes
        self.gpus = tf.config.get_visible_devices("GPU")
        self.device = "/GPU:0" if self.gpus else "/CPU:0"
        self.shared: dict[str, Any] = {}
        self.missed: list[str] = []
        self.report: dict[str, Any] = {
            "about": about(self.gpus) | {"minutes": minutes, "toy": toy, "sizes": asdict(sizes)},
            "missed": self.missed,
            "parts": {},
        }
        self.closing = ExitStack()  # temporary files of the parts
        if gpu_trial.DRIVER_FILE.exists() and not self.gpus and not gpu_trial.is_gpu_hidden():
            self.miss("about: this machine has an NVIDIA driver, and TensorFlow finds no GPU. See what it printed.")

    def seconds_left(self) -> float:
        return self.deadline - time.monotonic()

    def part(self, name: str, title: str, run: Callable[["Check"], Any]) -> None:
        """Run one part and write the report; a failure is reported and does not hide the parts after it."""
        print(f"\n{title}\n", flush=True)
        start, missed = time.monotonic(), len(self.missed)
        entry: dict[str, Any] = {"status": "passed"}
        self.report["parts"][name] = entry
        try:
            if self.seconds_left() <= 0.0:
                raise NotRunError("the deadline has passed; raise --minutes, or choose --parts")
            entry["found"] = run(self)
        except (NotRunError, ModuleNotFoundError) as error:
            entry |= {"status": "not run", "why": str(error)}
            self.miss(f"{name}: not run: {error}")
        except Exception:
            entry |= {"status": "failed", "why": traceback.format_exc()}
            self.miss(f"{name}: {entry['why']}")
        if entry["status"] == "passed" and len(self.missed) > missed:
            entry["status"] = "missed"
        entry["seconds"] = round(time.monotonic() - start, 2)
        print(f"({entry['status']}, {entry['seconds']:.1f} s)", flush=True)
        self.write()

    def bound(self, what: str, value: float, most: float | None) -> str:
        """Check that a value is not NaN, and not above a bound, if there is one; returns the verdict."""
        if most is None:
            return "reported"
        return self.hold(f"{what}: {value:.3g}, at most {most:g} is accepted", value <= most)

    def hold(self, what: str, holds: bool) -> str:
        """Check a condition; returns the verdict."""
        if not holds:
            self.miss(what)
        return "pass" if holds else "MISSED"

    def miss(self, what: str) -> None:
        self.missed.append(what)
        print(f"MISSED  {what}", flush=True)

    def write(self) -> None:
        if self.json_file is not None:
            self.json_file.write_text(json.dumps(self.report, indent=2) + "\n", encoding="utf-8")


class NotRunError(Exception):
    """A part cannot run here; the message says why."""


def about(gpus: Sequence[Any]) -> dict[str, Any]:
    """The GPU, its driver, versions, the date and the command."""
    details = tf.config.experimental.get_device_details(gpus[0]) if gpus else {}
    build = tf.sysconfig.get_build_info()
    query = "nvidia-smi --query-gpu=driver_version --format=csv,noheader"
    driver = subprocess.run(query, shell=True, capture_output=True, text=True, check=False).stdout
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": shlex.join(["python", *sys.argv]),
        "gpu": details.get("device_name"),
        "gpus": len(gpus),
        "compute_capability": ".".join(map(str, details.get("compute_capability", []))),
        "driver": driver.strip(),
        "python": sys.version.split()[0],
        "tensorflow": f"{tf.__version__} for CUDA {build.get('cuda_version')}, cuDNN {build.get('cudnn_version')}",
        "keras": keras.__version__,
    }


def table(head: Sequence[Any], rows: Sequence[Sequence[Any]]) -> None:
    """Print rows below a header, with the first column left-aligned."""
    lines = [[f"{c:.2e}" if isinstance(c, float) else str(c) for c in row] for row in (head, *rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for first, *rest in lines:
        cells = [cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True)]
        print("  ".join([first.ljust(widths[0]), *cells]), flush=True)
