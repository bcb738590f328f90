"""Which device is chosen, in which precision, and what is said of a GPU that cannot be used; all GPUs are fakes."""

import os
import time

import pytest
import tensorflow as tf

from seq2seq.cli.console import import_tensorflow
from seq2seq.config.precision import best_precision
from seq2seq.devices import gpu_trial
from seq2seq.devices.device import Device, DeviceWarning, set_tf32, set_up_device
from seq2seq.devices.gpu_trial import TrialResult
from seq2seq.errors import ConfigError
from seq2seq.extras import how_to_install
from seq2seq.training import setup
from tests.fake_gpus import DRIVER, GPU, NO_LIBRARIES, look

# --- which precision suits which GPU


@pytest.mark.parametrize(
    ("capability", "precision"),
    [
        ((6, 1), "float32"),
        ((7, 0), "mixed_float16"),
        ((7, 5), "mixed_float16"),
        ((8, 0), "mixed_bfloat16"),
        ((9, 0), "mixed_bfloat16"),
        ((12, 0), "mixed_bfloat16"),
    ],
)
def test_auto_takes_what_the_tensor_cores_have(machine, capability, precision):
    machine.install(capability)
    name = f"GPU (Fake {capability[0]}.{capability[1]})"
    assert look() == (Device(name, precision, True, capability), [])


def test_auto_is_float32_on_a_cpu_and_on_a_gpu_that_tells_nothing(machine):
    assert look() == (Device("CPU", "float32", False, (0, 0)), [])
    assert best_precision((0, 0)) == "float32"


# --- TF32


def enabled():
    return tf.config.experimental.tensor_float_32_execution_enabled()


@pytest.fixture
def switch():
    before = enabled()
    yield
    tf.config.experimental.enable_tensor_float_32_execution(before)


@pytest.mark.parametrize(
    ("precision", "on"), [("float32", False), ("tf32", True), ("mixed_float16", True), ("mixed_bfloat16", True)]
)
def test_tf32_is_off_for_float32_alone(machine, switch, precision, on):
    machine.install((8, 0))
    tf.config.experimental.enable_tensor_float_32_execution(not on)
    set_tf32(precision)
    assert enabled() is on


@pytest.mark.parametrize(
    ("capabilities", "found"), [((), "found the CPU"), (((7, 5),), "found a GPU (Fake 7.5) of compute capability 7.5")]
)
def test_tf32_is_refused_where_there_is_none(machine, switch, capabilities, found):
    if capabilities:
        machine.install(*capabilities)
    before = enabled()
    with pytest.raises(ConfigError) as error:
        set_tf32("tf32")
    assert "precision tf32 needs a GPU of compute capability 8.0 or later" in str(error.value)
    assert found in str(error.value)
    assert "Use float32" in str(error.value)
    assert enabled() is before


# --- a GPU that is there and cannot be used


@pytest.mark.parametrize(
    ("log", "cause", "remedy"),
    [
        (NO_LIBRARIES, "CUDA libraries are missing (libcudnn.so.9)", how_to_install("gpu")),
        (
            "E0000 00:00:1 7 cuda_platform.cc:52] failed call to cuInit: INTERNAL: CUDA driver version is insufficient",
            "the NVIDIA driver is too old",
            "Update the NVIDIA driver",
        ),
        (
            "E0000 00:00:1 7 cuda_platform.cc:52] failed call to cuInit: INTERNAL: CUDA error: Failed call to cuInit: "
            "UNKNOWN ERROR (303)",
            "libcuda.so.1 cannot be loaded",
            "--gpus all",
        ),
        (
            "E0000 00:00:1 7 cuda_platform.cc:52] failed call to cuInit: CUDA_ERROR_MADE_UP: found nothing.\nI0000 bye",
            "finds no GPU: failed call to cuInit: CUDA_ERROR_MADE_UP: found nothing. Check",
            "nvidia-smi",
        ),
        ("one line\nand the last", "finds no GPU: and the last. Check", "nvidia-smi"),
        ("", "finds no GPU: TensorFlow gives no reason. Check", "nvidia-smi"),
    ],
)
def test_a_driver_without_a_gpu_is_a_warning_with_reason_and_remedy(machine, log, cause, remedy):
    machine.driver.write_text(DRIVER, encoding="utf-8")
    machine.trial = TrialResult({}, log)
    device, (message,) = look()
    assert device == Device("CPU", "float32", False)
    assert message.startswith("the device is the CPU: there is an NVIDIA driver")
    for part in (cause, remedy, "set CUDA_VISIBLE_DEVICES=-1"):
        assert part in message


@pytest.mark.parametrize("hidden", ["", "-1", " -1", "none", "NoDevFiles", "void"])
def test_a_gpu_that_is_hidden_on_purpose_is_no_warning(machine, monkeypatch, hidden):
    machine.driver.write_text(DRIVER, encoding="utf-8")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    assert look() == (Device("CPU", "float32", False), [])
    assert not machine.tried


def test_gpus_hidden_by_tensorflow_are_no_warning_and_not_announced(machine, monkeypatch):
    machine.install((9, 0))
    machine.visible = []
    assert look() == (Device("CPU", "float32", False), [])
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: [])
    monkeypatch.setattr(tf.config.experimental, "get_memory_info", lambda name: pytest.fail("asks the hidden GPU"))
    peak = setup.peak_memory()
    assert peak is not None
    assert peak > 2**20, "of this process"
    assert not machine.done


def test_peak_memory_is_the_gpus_where_one_is_used(monkeypatch):
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: [GPU("/device:GPU:0")])
    monkeypatch.setattr(tf.config.experimental, "get_memory_info", lambda name: {"peak": 17, "name": name})
    assert setup.peak_memory() == 17


def test_without_a_driver_nothing_is_tried(machine):
    assert look() == (Device("CPU", "float32", False), [])
    assert not machine.tried
    assert not machine.cache.exists()


def test_python_users_are_warned_once_a_process(machine):
    machine.driver.write_text(DRIVER, encoding="utf-8")
    machine.trial = TrialResult({}, NO_LIBRARIES)
    with pytest.warns(DeviceWarning, match="CUDA libraries are missing"):
        set_up_device()
    set_up_device()
    assert machine.tried == 1


@pytest.mark.parametrize("visible", ["0", "all", '"0"'])
def test_what_hides_nothing_or_by_mistake_is_warned_of(machine, monkeypatch, visible):
    machine.driver.write_text(DRIVER, encoding="utf-8")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert len(look()[1]) == 1


def test_the_reason_is_found_out_once_a_day_and_the_warning_given_each_time(machine, monkeypatch):
    machine.driver.write_text(DRIVER, encoding="utf-8")
    machine.trial = TrialResult({}, NO_LIBRARIES)
    assert look() == look()
    assert machine.tried == 1
    machine.trial = TrialResult({}, "CUDA_ERROR_NO_DEVICE")
    now = time.time()
    monkeypatch.setattr(gpu_trial.time, "time", lambda: now + 2 * 86_400)
    assert "the driver finds no GPU" in look()[1][0]
    assert machine.tried == 2


def test_a_reason_that_is_not_known_is_not_remembered(machine):
    machine.driver.write_text(DRIVER, encoding="utf-8")
    for trial in (TrialResult({}, ""), TrialResult({}, NO_LIBRARIES, "the trial took more than 180 seconds")):
        machine.trial = trial
        look()
    machine.trial = TrialResult({}, NO_LIBRARIES)
    assert "CUDA libraries are missing" in look()[1][0]
    assert machine.tried == 3


@pytest.mark.parametrize("precision", ["fp16", "auto", None])
def test_a_precision_that_is_none_is_an_error(machine, precision):
    with pytest.raises(ConfigError, match=r"expected one of: float32, tf32, mixed_float16, mixed_bfloat16\."):
        set_tf32(precision)


def test_the_command_line_prints_the_warning_and_not_what_tensorflow_wrote(machine, capfd):
    machine.driver.write_text(DRIVER, encoding="utf-8")
    machine.trial = TrialResult({}, NO_LIBRARIES)
    machine.patch.setattr(tf.config, "get_visible_devices", lambda kind: os.write(2, b"E0000 noise\n") and [])
    import_tensorflow()
    written = capfd.readouterr().err
    assert written.startswith("warning: the device is the CPU: ")
    assert written.count("\n") == 1
    assert "noise" not in written


def test_the_command_line_is_silent_where_nothing_is_wrong(machine, capfd):
    import_tensorflow()
    assert capfd.readouterr().err == ""
