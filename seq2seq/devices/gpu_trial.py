"""Trial of the GPUs in a short child process before TensorFlow starts in this one, with the cause of a failure."""

import hashlib
import json
import math
import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

from seq2seq.extras import how_to_install

DRIVER_FILE = Path("/proc/driver/nvidia/version")  # there as soon as the NVIDIA driver is loaded
VISIBLE_DEVICES = "CUDA_VISIBLE_DEVICES"
HIDING_VALUES = ("", "none", "void", "nodevfiles")  # values of VISIBLE_DEVICES that containers and schedulers set
CACHE_SECONDS = 86_400.0  # seconds for which the cause of a missing GPU is cached, since it may be fixed
TIMEOUT = 180.0  # seconds; a driver that must first compile every kernel takes minutes
RESULT_PREFIX = "gpu-trial:"
# A GPU without machine code in TensorFlow's wheel fails at the first operation, and one with incompatible cuDNN
# libraries at the first recurrence. All GPUs are tried, even after an error.
SCRIPT = f"""
import json
import tensorflow as tf

def compute():
    x, parameters = tf.ones([2, 3, 4]), tf.fill([120], 0.1)
    with tf.GradientTape() as tape:
        tape.watch([x, parameters])
        outputs = tf.raw_ops.CudnnRNNV3(
            input=x, input_h=tf.zeros([2, 1, 4]), input_c=tf.zeros([]), params=parameters, sequence_lengths=[3, 2],
            rnn_mode="gru", is_training=True, time_major=False,
        )[0]
    for value in [tf.matmul(x[0], tf.ones([4, 4])), outputs, *tape.gradient(outputs, [x, parameters])]:
        if not bool(tf.reduce_all(tf.math.is_finite(value))):
            raise ValueError("results are not finite")

gpus = tf.config.list_physical_devices("GPU")
for gpu in gpus:
    tf.config.experimental.set_memory_growth(gpu, True)
for number, gpu in enumerate(gpus):
    error = ""
    try:
        with tf.device(f"/GPU:{{number}}"):
            compute()
    except Exception as problem:
        error = f"{{type(problem).__name__}}: {{problem}}"
    print("{RESULT_PREFIX}", json.dumps([gpu.name, error]), flush=True)
"""

INSTALL_HINT = f"Install TensorFlow's CUDA libraries: {how_to_install('gpu')}"
UPDATE_HINT = "Update the NVIDIA driver"
CONTAINER_HINT = (
    "Check the output of nvidia-smi; a container needs the driver's libraries, e.g. through docker run --gpus all"
)
UNKNOWN_HINT = "Check the output of nvidia-smi, and of python -c 'import tensorflow as tf; tf.ones([2]) + 1'"
OTHER_GPU_HINT = f"Choose another GPU with {VISIBLE_DEVICES}, or install a TensorFlow that was built for this one"
# Patterns of TensorFlow's messages, their causes, and remedies; the first match counts.
CAUSES = (
    (r"Cannot dlopen some GPU libraries", "CUDA libraries are missing", INSTALL_HINT),
    (
        r"driver version is insufficient|INSUFFICIENT_DRIVER|DRIVER_MISMATCH",
        "the NVIDIA driver is too old",
        UPDATE_HINT,
    ),
    (
        r"no kernel image|NO_BINARY_FOR_GPU|INVALID_PTX|CUDA_ERROR_INVALID_HANDLE|UNSUPPORTED_PTX",
        "this TensorFlow has no machine code for the GPU",
        OTHER_GPU_HINT,
    ),
    (
        r"cuInit: UNKNOWN ERROR \(303\)|libcuda\.so",
        "the driver's library libcuda.so.1 cannot be loaded",
        CONTAINER_HINT,
    ),
    (r"CUDA_ERROR_NO_DEVICE|no CUDA-capable device", "the driver finds no GPU", CONTAINER_HINT),
)
MISSING_LIBRARY = re.compile(r"dynamic library '([^']+)'")
# Level, time, thread and source file at the start of a log line.
LOG_PREFIX = re.compile(r"^[\d\-: .]*([IWEF])[\d ]*[\d:. ]*\S*\] *")
# Another process may be using the memory; the GPU itself does not fail.
MEMORY_FULL = re.compile(r"out of memory|OUT_OF_MEMORY|ResourceExhausted|ALLOC_FAILED", re.IGNORECASE)


class TrialResult(NamedTuple):
    """Result of a trial.

    Attributes:
        errors: The error of each GPU that was tried, by the name of its physical device; "" if it worked.
        log: TensorFlow's messages on stderr.
        exit_reason: How the process ended before all GPUs were tried; "" if it completed.
    """

    errors: dict[str, str]
    log: str
    exit_reason: str = ""

    def failure(self, name: str) -> str:
        """The failure of a GPU; "" if it worked, or if it only lacked memory."""
        error = self.errors.get(name, self.exit_reason or "the trial did not find it")
        return "" if MEMORY_FULL.search(error) else error

    @property
    def passed(self) -> bool:
        """Whether every GPU worked."""
        return not self.exit_reason and not any(self.errors.values())


def run_trial(timeout: float = TIMEOUT) -> TrialResult:
    """Run a matrix product and a cuDNN recurrence, forwards and backwards, on each GPU, in a child process.

    TensorFlow cannot release a GPU once it has started on it, and some failures end the process. The child's log also
    tells why no GPU is found: TensorFlow reads its log level when it is loaded, and this process logs little.

    Args:
        timeout: Seconds after which a child that is still running counts as failed.

    Raises:
        OSError: No process can be started.
    """
    # -P: import nothing from the working directory.
    command, environment = [sys.executable, "-P", "-c", SCRIPT], os.environ | {"TF_CPP_MIN_LOG_LEVEL": "0"}
    ended = ""
    try:
        done = subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout, check=False
        )
        output, log = done.stdout, done.stderr
        if code := done.returncode:
            ended = "the trial ended with " + (f"signal {-code}" if code < 0 else f"exit code {code}")
    except subprocess.TimeoutExpired as error:
        output, log = error.stdout or b"", error.stderr or b""
        ended = f"the trial took more than {timeout:.0f} seconds"
    lines = [line for line in output.decode(errors="replace").splitlines() if line.startswith(RESULT_PREFIX)]
    return TrialResult(
        dict(json.loads(line.removeprefix(RESULT_PREFIX)) for line in lines), log.decode(errors="replace"), ended
    )


def explain_failure(error: str, log: str) -> tuple[str, str]:
    """The cause of a failure and its remedy, from a GPU's error ("" if there was none) and TensorFlow's log."""
    for pattern, cause, remedy in CAUSES:
        if re.search(pattern, f"{error}\n{log}"):
            missing = ", ".join(dict.fromkeys(MISSING_LIBRARY.findall(log))) if remedy == INSTALL_HINT else ""
            return f"{cause} ({missing})" if missing else cause, remedy
    told = _telling_line(log)
    cause = "; ".join(part for part in (_shortened(error), told if told not in error else "") if part)
    return cause or "TensorFlow gives no reason", UNKNOWN_HINT


def _telling_line(log: str) -> str:
    """The last error or warning of a log, or else its last line."""
    lines = [line for line in log.splitlines() if line.strip()]
    serious = [line for line in lines if (level := LOG_PREFIX.match(line)) and level[1] in "WEF"]
    return _shortened(LOG_PREFIX.sub("", (serious or lines or [""])[-1]))


def _shortened(text: str, most: int = 200) -> str:
    line = text.strip().partition("\n")[0].rstrip(".")
    return line if len(line) <= most else f"{line[:most]}..."


def is_gpu_hidden() -> bool:
    """Whether CUDA_VISIBLE_DEVICES hides all GPUs."""
    value = os.environ.get(VISIBLE_DEVICES)
    return value is not None and (value.strip().startswith("-") or value.strip().lower() in HIDING_VALUES)


def load_cached_trial(names: Sequence[str], seconds: float = math.inf) -> str | None:
    """The cached result for these GPUs, TensorFlow, driver and CUDA_VISIBLE_DEVICES; None if missing or too old."""
    with suppress(OSError, RuntimeError):  # the latter if the home directory is unknown
        path = _record(names)
        if time.time() - path.stat().st_mtime < seconds:
            return path.read_text(encoding="utf-8")
    return None


def cache_trial(names: Sequence[str], found: str) -> None:
    """Cache the result for these GPUs, so that later processes need no trial; ignored if the cache is not writable."""
    with suppress(OSError, RuntimeError):
        path = _record(names)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(found, encoding="utf-8")


def diagnose_missing_gpu() -> tuple[str, str]:
    """The cause and the remedy if TensorFlow finds no GPU although there is a driver; determined once a day."""
    if (log := load_cached_trial([], CACHE_SECONDS)) is not None:
        return explain_failure("", log)
    try:
        trial = run_trial()
    except OSError:
        return explain_failure("", "")
    if trial.log and not trial.exit_reason:
        cache_trial([], trial.log)
    return explain_failure("", trial.log)


def _record(names: Sequence[str]) -> Path:
    """The file with the result of a trial in the user's cache, named by a hash of everything the result depends on."""
    tensorflow = driver = ""
    with suppress(OSError):
        driver = DRIVER_FILE.read_text(encoding="utf-8", errors="replace")
    with suppress(PackageNotFoundError):  # a build with another name
        tensorflow = version("tensorflow")
    facts = [tensorflow, driver, list(names), *map(os.environ.get, (VISIBLE_DEVICES, "LD_LIBRARY_PATH")), SCRIPT]
    digest = hashlib.sha256(json.dumps(facts).encode()).hexdigest()
    cache = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if not cache.is_absolute():  # the XDG specification requires an absolute path
        cache = Path("~/.cache").expanduser()
    return cache / "seq2seq" / f"gpu-trial-{digest[:16]}"
