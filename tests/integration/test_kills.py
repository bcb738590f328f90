"""SIGKILL at random moments of real processes; the same command then ends as if nothing had happened.

One while it writes in CI; all twenty with `pytest -m slow tests/integration/test_kills.py -s`, which prints what each
process was doing.
"""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from random import Random

import pytest
import yaml

from seq2seq.model_directory import LAST
from seq2seq.storage.arrays import load_arrays
from tests.runs import assert_same_run
from tests.toy import toy_values, write_corpus

ROOT = Path(__file__).parents[2]
PAIRS, CHUNK = 4_500, 1_000  # enough of these for several processes to encode them
PROGRAM = f"""
import faulthandler, signal, sys
faulthandler.register(signal.SIGUSR1, file=open(sys.argv[1], "w"))
from tests import no_plots
from seq2seq.cli import main
from seq2seq.corpora import filters
filters.CHUNK_SIZE = {CHUNK}
main(sys.argv[2:])
"""
# What the process is seen doing, by the innermost of these functions on its stack.
DOING = {
    "save_arrays": "writing a checkpoint",
    "_validate": "validating",
    "try_largest_batches": "trying the largest batches",
    "encode_corpus": "encoding",
    "prepare": "preparing the corpus",
    "_epoch": "training",
}
KINDS = ("encoding", "writing", "any")  # of the first kill; a second one is of any kind


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kills")
    write_corpus(folder, train=PAIRS, valid=60)
    values = toy_values(folder)
    values["training"] = {"learning_rate": 0.01, "epochs": None, "updates": 60, "checkpoint_minutes": 0.001}
    values["validation"] = {"metric": "bleu", "interval_updates": 12}
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def whole(recipe):
    """A run that nobody kills, and the seconds that it trained."""
    output = recipe.parent / "whole"
    assert begin(recipe, output).wait(900) == 0
    return output, load_arrays(output / LAST)[1]["run_state"]["seconds"]


def begin(recipe: Path, output: Path, stderr: int = subprocess.DEVNULL) -> subprocess.Popen:
    command = [
        sys.executable,
        "-c",
        PROGRAM,
        str(output.with_suffix(".stack")),
        "train",
        str(recipe),
        "-o",
        str(output),
    ]
    environment = {name: value for name, value in os.environ.items() if name != "TF_NUM_INTRAOP_THREADS"}  # as users do
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=stderr)


def wait_for(process: subprocess.Popen, pattern: str, output: Path, but: int = 0) -> None:
    """Until a file of the run is there, another one than inode `but`, or the process has ended."""
    while process.poll() is None and not [file for file in output.glob(pattern) if inode(file) not in (0, but)]:
        time.sleep(0.0005)


def inode(file: Path) -> int:
    """0 where there is no file."""
    try:
        return file.stat().st_ino
    except FileNotFoundError:
        return 0


def kill(process: subprocess.Popen, output: Path) -> str:
    """SIGKILL; returns what the process was doing."""
    stack = output.with_suffix(".stack")
    if process.poll() is not None:
        return "nothing: it had ended"
    if stack.exists():
        process.send_signal(signal.SIGUSR1)
        time.sleep(0.002)
    process.kill()
    process.wait()
    names = re.findall(r" in (\w+)$", stack.read_text() if stack.exists() else "", re.M)
    return next((DOING[name] for name in names if name in DOING), "starting or ending")


def children(pid: int) -> str:
    """Process ids of the children of a process's first thread; where the system does not tell, its own id."""
    try:
        return Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    except OSError:
        return str(pid)


def survive(seed: int, recipe: Path, whole: tuple[Path, float]) -> str:
    """One run, killed once or twice and resumed."""
    random, kind, (expected, seconds) = Random(seed), KINDS[seed % 3], whole
    output = recipe.parent / f"killed-{seed}"
    seen = []
    for _ in range(random.randint(1, 2)):
        before = inode(output / LAST)
        process = begin(recipe, output)
        if kind == "encoding":
            wait_for(process, "encoded/*.partial", output)
            time.sleep(random.uniform(0, 0.5))
        elif kind == "writing":
            wait_for(process, LAST, output, but=before)
            time.sleep(random.uniform(0.0, 0.8) * seconds)
            wait_for(process, "checkpoints/*.partial", output)
        else:
            wait_for(process, LAST, output, but=before)
            time.sleep(random.uniform(0.0, 0.8) * seconds)
        seen.append(kill(process, output))
        kind = "any"
    process = begin(recipe, output)
    assert process.wait(900) == 0
    assert_same_run(expected, output)
    return " and ".join(seen)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
@pytest.mark.parametrize("seed", [1])
def test_a_killed_run_ends_like_one_that_was_not(seed, recipe, whole):
    print(f"\nkill {seed}: {survive(seed, recipe, whole)}")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows ends a process without a signal")
def test_a_run_that_is_stopped_while_processes_encode_ends_them_and_says_so(recipe):
    output = recipe.parent / "stopped"
    process = begin(recipe, output, stderr=subprocess.PIPE)
    wait_for(process, "encoded/*.partial", output)
    while process.poll() is None and not children(process.pid):
        time.sleep(0.001)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=600)
    assert (process.returncode, errors) == (130, b"interrupted\n")
    assert not list(output.glob("encoded/*.partial"))


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, *range(2, 20)])
def test_more_killed_runs_end_like_one_that_was_not(seed, recipe, whole):
    print(f"\nkill {seed}: {survive(seed, recipe, whole)}")
