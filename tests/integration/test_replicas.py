"""Many replicas learn what one learns: on two devices of a process, and in two processes."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
import yaml

from seq2seq.data.batching import plan_batches
from seq2seq.data.encoded import EncodedCorpus
from seq2seq.model_directory import LAST
from seq2seq.model_directory.history import read_history
from seq2seq.storage.arrays import load_arrays
from seq2seq.training import train
from tests.toy import toy_config, toy_values, write_corpus

ROOT = Path(__file__).parents[2]
HANGS = 600  # seconds
STILL = {name: {**toy_values(Path())[name], "dropout": 0.0} for name in ("embeddings", "encoder", "decoder")}
QUICK = {"optimizer": "sgd", "learning_rate": 0.2, "momentum": 0.5, "epochs": None}
SGD = {**STILL, "training": {**QUICK, "updates": 6}, "validation": {"compute_bleu": True}}
GATHERED = {**STILL, "training": {**QUICK, "accumulation_steps": 3, "updates": 3}}
# Adam makes whole steps of what rounding leaves; its first moment after one update is a tenth of the gradient.
ADAM = {**STILL, "training": {"optimizer": "adam", "epochs": None, "updates": 1}}
RUNS = {"sgd": SGD, "gathered": GATHERED, "adam": ADAM}
# Every token but EOS and BOS is cut, so that the second pass does not depend on random numbers, but differs.
CONSISTENT = {**STILL, "training": {**SGD["training"], "consistency": {"type": "simcut", "cut_rate": 0.999999}}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A corpus, and what one replica learns from it."""
    folder = tmp_path_factory.mktemp("replicas")
    write_corpus(folder, train=100, valid=11)
    for name, sections in (RUNS | {"simcut": CONSISTENT}).items():
        train(toy_config(folder, **sections), folder / f"{name}-1")
    return folder


def on(distribution: str, sections: dict) -> dict:
    return {**sections, "training": {**sections["training"], "distribution": distribution}}


def program(folder: Path, runs: list, devices: int, **environment: str) -> subprocess.Popen:
    arguments = [str(folder), json.dumps(runs), str(devices)]
    return start("-m", "tests.integration.replicas_program", *arguments, **environment)


def start(*arguments: str, **environment: str) -> subprocess.Popen:
    variables = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **environment}
    pipe = subprocess.PIPE
    return subprocess.Popen([sys.executable, *arguments], cwd=ROOT, env=variables, stdout=pipe, stderr=pipe, text=True)


def addresses() -> list[str]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    found = [f"127.0.0.1:{opened.getsockname()[1]}" for opened in sockets]
    for opened in sockets:
        opened.close()
    return found


def succeed(*processes: subprocess.Popen) -> list[str]:
    """What they print."""
    outputs = [process.communicate(timeout=900) for process in processes]
    assert not any(process.returncode for process in processes), outputs
    return [output for output, _ in outputs]


def assert_same_learning(folder: Path, suffix: str, names: Iterable[str]) -> None:
    for name in names:
        (one, about), (many, other) = (load_arrays(folder / f"{name}{end}" / LAST) for end in ("-1", suffix))
        assert about["run_state"]["total_batches"] == other["run_state"]["total_batches"] > 0
        for variable, value in one.items():
            if name != "adam" or "momentum" in variable:
                np.testing.assert_allclose(many[variable], value, atol=1e-5, rtol=1e-5, err_msg=f"{name} {variable}")
    moved = [np.abs(array).max() for variable, array in one.items() if "momentum" in variable]
    assert min(moved) > 0, "all variables have a gradient"


def test_shares_of_a_batch_have_unequal_tokens(folder):
    """What the comparisons below need in order to see a wrong normalization."""
    corpus = EncodedCorpus(folder / "sgd-1" / "encoded" / "train")
    lengths = corpus.source.lengths, corpus.target.lengths
    plan = plan_batches(*lengths, max_tokens=200, shuffle_buffer=40, seed=1, epoch=1)
    shares = [[lengths[1][plan.batch(i)[replica::2]].sum() for replica in range(2)] for i in range(len(plan))]
    assert sum(a != b for a, b in shares) > len(shares) / 2


def test_two_devices_learn_what_one_learns(folder):
    """And each drops other numbers."""
    runs = [[f"{name}-2", on("mirrored", sections)] for name, sections in RUNS.items()]
    (printed,) = succeed(program(folder, runs, devices=2))
    assert_same_learning(folder, "-2", RUNS)
    found = json.loads(printed)
    one, other = found["masks"]
    assert 20 < sum(a == b for a, b in zip(one, other, strict=True)) < 80


def test_two_devices_learn_from_two_passes_what_one_learns(folder):
    """In a process of its own: TensorFlow takes the collective operations of two models of a process for the same."""
    succeed(program(folder, [["simcut-2", on("mirrored", CONSISTENT)]], devices=2))
    assert_same_learning(folder, "-2", ["simcut"])
    one, many = (read_history(folder / name) for name in ("simcut-1", "simcut-2"))
    for key in ("train_loss", "train_consistency"):
        np.testing.assert_allclose([e[key] for e in many], [e[key] for e in one], rtol=1e-5, err_msg=key)
    assert one[-1]["train_consistency"] > 0.001


def test_an_update_adds_up_twice_its_counts_and_its_gradients(tmp_path):
    """Where Keras cannot be stopped from adding up what has been, thrice, and the update is the same."""
    (printed,) = succeed(program(tmp_path, [], devices=2))
    found = json.loads(printed)
    (collectives, biases), (more, others) = found["updates"]
    assert (collectives, more) == (2, 3)
    np.testing.assert_allclose(others, biases, rtol=1e-6)
    assert np.ptp(biases) > 0.01


def test_two_processes_learn_what_one_learns(folder):
    """And share validation: BLEU and loss are those of the whole corpus."""
    workers = addresses()
    cluster = {"cluster": {"worker": workers}}
    names = ("sgd", "adam")
    runs = [[f"{name}-w", on("multi_worker", RUNS[name])] for name in names]
    tasks = [json.dumps({**cluster, "task": {"type": "worker", "index": index}}) for index in range(2)]
    succeed(*(program(folder, runs, devices=1, TF_CONFIG=task) for task in tasks))
    assert_same_learning(folder, "-w", names)
    one, many = (read_history(folder / name) for name in ("sgd-1", "sgd-w"))
    for key in ("update", "valid_loss", "train_loss", "bleu"):
        np.testing.assert_allclose([e[key] for e in many], [e[key] for e in one], rtol=1e-5, err_msg=key)


@pytest.mark.slow
def test_a_lost_worker_ends_the_others_and_the_run_goes_on(folder):
    """With two workers again after a stop, with one after a loss."""
    recipe = folder / "recipe.yaml"
    values = {
        **toy_values(folder),
        **SGD,
        "validation": {"compute_bleu": False, "metric": "loss", "interval_updates": 4},
    }
    values["training"] = {**QUICK, "updates": 48, "checkpoint_minutes": 0.01}
    recipe.write_text(yaml.safe_dump(values), encoding="utf-8")
    output = folder / "lost"

    def both() -> list[subprocess.Popen]:
        flags = ["--output", str(output), "--workers", ",".join(addresses())]
        command = ["-m", "seq2seq", "train", str(recipe), *flags]
        return [start(*command, "--worker-index", str(index)) for index in range(2)]

    def wait_for_validations(number: int) -> None:
        until = time.monotonic() + HANGS
        while len(read_history(output)) < number:
            assert time.monotonic() < until, [process.communicate(timeout=5) for process in chief_and_other]
            time.sleep(0.05)

    chief_and_other = both()
    wait_for_validations(1)
    chief_and_other[1].send_signal(signal.SIGTERM)  # one is asked, both stop and the chief saves
    for process in chief_and_other:
        printed, errors = process.communicate(timeout=HANGS)
        assert process.returncode == 130, errors
        assert "interrupted, saved at update" in printed
    stopped = len(read_history(output))

    chief_and_other = both()
    wait_for_validations(stopped + 1)
    chief_and_other[1].kill()
    _, errors = chief_and_other[0].communicate(timeout=HANGS)
    assert chief_and_other[0].returncode == 1
    assert "error: worker 0 of 2 lost another worker" in errors
    assert "Traceback" not in errors
    chief_and_other[1].communicate()

    def config(output_name):
        return toy_config(folder, **{key: values[key] for key in ("training", "validation", *STILL)})

    train(config("whole"), folder / "whole")
    report = train(config("lost"), output)
    assert report.end
    assert [entry["update"] for entry in report.history] == [e["update"] for e in read_history(folder / "whole")]
    whole, resumed = (load_arrays(directory / LAST)[0] for directory in (folder / "whole", output))
    for name, value in whole.items():
        np.testing.assert_allclose(resumed[name], value, atol=2e-5, rtol=1e-4, err_msg=name)
