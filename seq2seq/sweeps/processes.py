"""Commands of a sweep, each in a process of its own, so that no run can end or slow down another."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from seq2seq.devices.stop_signals import on_stop_signals
from seq2seq.storage.files import wrap_storage_errors

LAST_BYTES = 10_000  # of a log, in which the error is looked for


def run_process(arguments: Sequence[str], log: Path) -> int:
    """Run `seq2seq ARGUMENTS`, append its output to a log, and return its exit code; -N: ended by signal N.

    Ctrl-C, SIGTERM and SIGHUP are passed on to the process as Ctrl-C, which makes it save; this waits for its end.

    Raises:
        KeyboardInterrupt: There was such a signal.
    """
    with wrap_storage_errors(log), log.open("ab") as file, on_stop_signals(_interrupt):
        # A session of its own, so that Ctrl-C reaches it once: a second one would end it without saving.
        process = subprocess.Popen(
            [sys.executable, "-m", "seq2seq", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
        interrupted = False
        while True:
            try:
                code = process.wait()
            except KeyboardInterrupt:
                interrupted = True
                with suppress(OSError):
                    process.send_signal(signal.SIGINT)
            else:
                break
    if interrupted:
        raise KeyboardInterrupt
    return code


def _interrupt() -> None:
    raise KeyboardInterrupt


def explain_exit(code: int, log: Path, begin: int) -> str:
    """Why a command failed: its error, which is in the log after `begin` bytes, or else its exit code."""
    if code < 0:
        name = signal.Signals(-code).name if -code in list(signal.Signals) else f"signal {-code}"
        hint = ", perhaps by the system for want of memory" if name == "SIGKILL" else ""
        return f"ended by {name}{hint}"
    with log.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        file.seek(max(begin, end - LAST_BYTES))
        lines = [line for line in file.read().decode(errors="replace").splitlines() if line.strip()]
    errors = [place for place, line in enumerate(lines) if line.startswith("error: ")]
    text = "\n".join(lines[errors[-1] :]).removeprefix("error: ") if errors else "".join(lines[-1:])
    return text or f"exit code {code}"
