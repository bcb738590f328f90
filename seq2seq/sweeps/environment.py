"""Where a sweep trains its models: software, machine and working directory."""

import platform
from contextlib import suppress
from pathlib import Path
from typing import Any

from joblib import cpu_count

from seq2seq.model_directory.directory import software_versions


def environment() -> dict[str, Any]:
    """Versions of Python and packages, the operating system, the CPU, its usable cores, and the working directory."""
    return {
        "versions": software_versions(),
        "system": platform.platform(),
        "cpu": _cpu(),
        "cores": cpu_count(),
        "directory": str(Path.cwd()),
    }


def _cpu() -> str:
    """Name of the CPU, or its architecture."""
    with suppress(OSError):  # elsewhere than on Linux
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
