"""When operations become deterministic, and what that needs on a GPU, which is faked."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import tensorflow as tf

from seq2seq.devices import determinism
from seq2seq.devices.determinism import (
    CUBLAS_WORKSPACE_ENV,
    SCATTER_DETERMINISM_ENV,
    enable_determinism,
    reserve_cublas_workspace,
)
from seq2seq.devices.device import Device
from seq2seq.errors import TrainingError
from seq2seq.training import machine, train
from tests.toy import toy_config

ROOT = Path(__file__).parents[2]
CPU = Device("CPU", "float32", is_gpu=False)
GPU = Device("GPU (some)", "float32", is_gpu=True)
# Imports and finding the device start nothing; the first operation does.
FRESH = """
import os, sys
from tests import no_plots
from seq2seq.devices.determinism import CUBLAS_WORKSPACE_ENV, reserve_cublas_workspace
reserve_cublas_workspace()
assert "tensorflow" not in sys.modules
print(os.environ.pop(CUBLAS_WORKSPACE_ENV))
import seq2seq.training
from seq2seq.devices.device import set_up_device
set_up_device()
reserve_cublas_workspace()
print(os.environ.pop(CUBLAS_WORKSPACE_ENV))
import tensorflow as tf
assert tf.config.threading.get_inter_op_parallelism_threads() == 0
tf.constant(1)
reserve_cublas_workspace()
print(os.environ.get(CUBLAS_WORKSPACE_ENV))
"""


@pytest.fixture
def enabled(monkeypatch):
    """One entry each time that TensorFlow's operations are made deterministic, without that."""
    calls = []
    monkeypatch.setattr(tf.config.experimental, "enable_op_determinism", lambda: calls.append(True))
    for name in (CUBLAS_WORKSPACE_ENV, SCATTER_DETERMINISM_ENV):
        monkeypatch.setenv(name, "")  # so that it is as before afterwards, whoever sets it
        monkeypatch.delenv(name)
    return calls


def test_a_workspace_is_reserved_until_tensorflow_starts():
    environment = {name: value for name, value in os.environ.items() if name != CUBLAS_WORKSPACE_ENV}
    command = [sys.executable, "-c", FRESH]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.split() == [":4096:8", ":4096:8", "None"]


def test_a_workspace_that_somebody_chose_stays(monkeypatch):
    monkeypatch.setattr(determinism, "tensorflow_has_started", lambda: False)
    monkeypatch.setenv(CUBLAS_WORKSPACE_ENV, ":16:8")
    reserve_cublas_workspace()
    assert os.environ[CUBLAS_WORKSPACE_ENV] == ":16:8"


def test_a_cpu_needs_no_workspace(enabled):
    enable_determinism(CPU)
    assert enabled
    assert SCATTER_DETERMINISM_ENV not in os.environ


@pytest.mark.parametrize("value", [":4096:8", ":16:8"])
def test_a_gpu_with_a_workspace_is_made_deterministic(enabled, monkeypatch, value):
    monkeypatch.setenv(CUBLAS_WORKSPACE_ENV, value)
    monkeypatch.delenv(SCATTER_DETERMINISM_ENV, raising=False)
    enable_determinism(GPU)
    assert enabled
    assert os.environ.pop(SCATTER_DETERMINISM_ENV) == "1", "scattering stays on the GPU"


@pytest.mark.parametrize(
    ("value", "message"), [(None, "is not set, and TensorFlow has started"), (":0:0", "is ':0:0'")]
)
def test_a_gpu_without_one_is_refused_with_what_to_set(enabled, monkeypatch, value, message):
    if value is not None:
        monkeypatch.setenv(CUBLAS_WORKSPACE_ENV, value)
    expected = rf"variable CUBLAS_WORKSPACE_CONFIG {message}: on GPU \(some\), .* with CUBLAS_WORKSPACE_CONFIG=:4096:8"
    with pytest.raises(TrainingError, match=expected):
        enable_determinism(GPU)
    assert not enabled


class ReachedError(Exception):
    """Training would begin."""


def begin(config, folder, monkeypatch, device):
    def reached(*arguments):
        raise ReachedError

    monkeypatch.setattr(machine, "set_up_device", lambda: device)
    monkeypatch.setattr(machine, "Replicas", reached)
    with pytest.raises(ReachedError):
        train(config, folder)


@pytest.mark.parametrize(
    ("device", "asked", "expected"),
    [
        (CPU, None, True),
        (CPU, True, True),
        (CPU, False, False),
        (GPU, None, False),
        (GPU, True, True),
        (GPU, False, False),
    ],
)
def test_a_run_is_deterministic_as_the_recipe_or_else_the_device_says(
    tmp_path, monkeypatch, enabled, device, asked, expected
):
    monkeypatch.setattr(determinism, "tensorflow_has_started", lambda: False)
    begin(toy_config(tmp_path, training={"deterministic": asked}), tmp_path, monkeypatch, device)
    assert bool(enabled) == expected
    assert os.environ.pop(CUBLAS_WORKSPACE_ENV, None) == (":4096:8" if asked else None)


def test_a_run_on_a_gpu_that_comes_too_late_is_refused(tmp_path, monkeypatch, enabled):
    tf.constant(1)
    monkeypatch.setattr(machine, "set_up_device", lambda: GPU)
    with pytest.raises(TrainingError, match=f"{CUBLAS_WORKSPACE_ENV} is not set, and TensorFlow has started"):
        train(toy_config(tmp_path, training={"deterministic": True}), tmp_path / "run")
    assert not (tmp_path / "run").exists()
