"""Which device is chosen, what a GPU is tried with, and what is said of one that cannot be used; all GPUs are fakes."""

import json
import os
import warnings
from typing import NamedTuple

import pytest
import tensorflow as tf

from seq2seq import gpu_trial
from seq2seq.cli.common import load_tensorflow
from seq2seq.device import Device, DeviceWarning, find_device, use_precision
from seq2seq.errors import ConfigError
from seq2seq.gpu_trial import Trial, explain, run_trial
from seq2seq.precision import best_precision
from seq2seq.training import memory

DRIVER = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.95.05"
NO_LIBRARIES = """\
I0000 00:00:1795946159.368534    4675 dso_loader.cc:70] Could not load dynamic library 'libcudnn.so.9'; dlerror: ...
W0000 00:00:1795946159.368534    4675 gpu_device.cc:2432] Cannot dlopen some GPU libraries. Please make sure ...
Skipping registering GPU devices...
"""
NO_CODE = "INTERNAL: no kernel image is available for execution on the device"
NO_TRIAL = Trial({}, "", "")


class GPU(NamedTuple):
    name: str


class Machine:
    """GPUs of some compute capabilities, and what is done with them, in order."""

    def __init__(self, monkeypatch, tmp_path):
        self.patch, self.driver, self.cache = monkeypatch, tmp_path / "driver", tmp_path / "cache"
        self.gpus, self.visible, self.capabilities, self.done = [], [], {}, []
        self.started = False
        self.trial = NO_TRIAL
        monkeypatch.setattr(gpu_trial, "DRIVER", self.driver)
        monkeypatch.setenv("XDG_CACHE_HOME", str(self.cache))
        monkeypatch.delenv(gpu_trial.VISIBLE, raising=False)
        monkeypatch.setattr(gpu_trial, "run_trial", self.run_trial)
        config, experimental = tf.config, tf.config.experimental
        monkeypatch.setattr(config, "list_physical_devices", self.physical)
        monkeypatch.setattr(config, "get_visible_devices", lambda kind: self.visible)
        monkeypatch.setattr(config, "set_visible_devices", self.show)
        monkeypatch.setattr(experimental, "set_memory_growth", lambda gpu, on: self.done.append(("grows", gpu.name)))
        monkeypatch.setattr(experimental, "get_device_details", lambda gpu: self.capabilities[gpu])

    def install(self, *capabilities):
        self.gpus = [GPU(f"/physical_device:GPU:{number}") for number in range(len(capabilities))]
        details = [{"device_name": f"Fake {c[0]}.{c[1]}", "compute_capability": c} for c in capabilities]
        self.capabilities = dict(zip(self.gpus, details, strict=True))
        self.visible = list(self.gpus)
        self.trial = Trial({gpu.name: "" for gpu in self.gpus}, "")
        self.driver.write_text(DRIVER, encoding="utf-8")

    def physical(self, kind):
        return self.gpus if kind == "GPU" else []

    def show(self, gpus, kind):
        if self.started:
            raise RuntimeError("Visible devices cannot be modified after being initialized")
        self.visible = gpus
        self.done.append(("visible", [gpu.name for gpu in gpus]))

    def run_trial(self):
        self.done.append("trial")
        if isinstance(self.trial, Exception):
            raise self.trial
        return self.trial

    def fails(self, number, error, log="", ended=""):
        errors = {gpu.name: "" for gpu in self.gpus} | {self.gpus[number].name: error}
        self.trial = Trial(errors, log, ended)

    @property
    def tried(self):
        return self.done.count("trial")


@pytest.fixture
def machine(monkeypatch, tmp_path):
    find_device.cache_clear()
    yield Machine(monkeypatch, tmp_path)
    find_device.cache_clear()


def look():
    """What another process would find, and the warnings it would give."""
    find_device.cache_clear()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        device = find_device()
    assert all(warning.category is DeviceWarning for warning in caught)
    return device, [str(warning.message) for warning in caught]


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
    use_precision(precision)
    assert enabled() is on


@pytest.mark.parametrize(
    ("capabilities", "found"), [((), "found the CPU"), (((7, 5),), "found a GPU (Fake 7.5) of compute capability 7.5")]
)
def test_tf32_is_refused_where_there_is_none(machine, switch, capabilities, found):
    if capabilities:
        machine.install(*capabilities)
    before = enabled()
    with pytest.raises(ConfigError) as error:
        use_precision("tf32")
    assert "precision tf32 needs a GPU of compute capability 8.0 or later" in str(error.value)
    assert found in str(error.value)
    assert "Use float32" in str(error.value)
    assert enabled() is before


# --- a GPU that is there and cannot be used


@pytest.mark.parametrize(
    ("log", "cause", "remedy"),
    [
        (NO_LIBRARIES, "CUDA libraries are missing (libcudnn.so.9)", "pip install -c constraints.txt '.[gpu]'"),
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
            "finds no GPU: failed call to cuInit: CUDA_ERROR_MADE_UP: found nothing. See",
            "nvidia-smi",
        ),
        ("one line\nand the last", "finds no GPU: and the last. See", "nvidia-smi"),
        ("", "finds no GPU: TensorFlow does not say why. See", "nvidia-smi"),
    ],
)
def test_a_driver_without_a_gpu_is_a_warning_with_reason_and_remedy(machine, log, cause, remedy):
    machine.driver.write_text(DRIVER, encoding="utf-8")
    machine.trial = Trial({}, log)
    device, (message,) = look()
    assert device == Device("CPU", "float32", False)
    assert message.startswith("the device is the CPU: there is an NVIDIA driver")
    for part in (cause, remedy, "set CUDA_VISIBLE_DEVICES=-1"):
        assert part in message


@pytest.mark.parametrize("hidden", ["", "-1", " -1"])
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
    peak = memory.peak_memory()
    assert peak is not None
    assert peak > 2**20, "of this process"
    assert not machine.done


def test_peak_memory_is_the_gpus_where_one_is_used(monkeypatch):
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: [GPU("/device:GPU:0")])
    monkeypatch.setattr(tf.config.experimental, "get_memory_info", lambda name: {"peak": 17, "name": name})
    assert memory.peak_memory() == 17


def test_without_a_driver_nothing_is_tried(machine):
    assert look() == (Device("CPU", "float32", False), [])
    assert not machine.tried
    assert not machine.cache.exists()


def test_python_users_are_warned_once_a_process(machine):
    machine.driver.write_text(DRIVER, encoding="utf-8")
    machine.trial = Trial({}, NO_LIBRARIES)
    with pytest.warns(DeviceWarning, match="CUDA libraries are missing"):
        find_device()
    find_device()
    assert machine.tried == 1


def test_the_command_line_prints_the_warning_and_not_what_tensorflow_wrote(machine, capfd):
    machine.driver.write_text(DRIVER, encoding="utf-8")
    machine.trial = Trial({}, NO_LIBRARIES)
    machine.patch.setattr(tf.config, "get_visible_devices", lambda kind: os.write(2, b"E0000 noise\n") and [])
    load_tensorflow()
    written = capfd.readouterr().err
    assert written.startswith("warning: the device is the CPU: ")
    assert written.count("\n") == 1
    assert "noise" not in written


def test_the_command_line_is_silent_where_nothing_is_wrong(machine, capfd):
    load_tensorflow()
    assert capfd.readouterr().err == ""


# --- the trial


def test_a_gpu_that_computes_is_used_remembered_and_grows(machine):
    machine.install((8, 0), (8, 6))
    assert look()[0].is_gpu
    assert machine.done == ["trial", ("grows", machine.gpus[0].name), ("grows", machine.gpus[1].name)]
    (record,) = (machine.cache / "seq2seq").iterdir()
    assert record.read_text(encoding="utf-8") == "Fake 8.0\nFake 8.6\n"
    assert look()[0].is_gpu
    assert machine.tried == 1


@pytest.mark.parametrize("change", ["driver", "visible", "gpu", "tensorflow"])
def test_a_success_is_not_taken_for_that_of_another_machine(machine, monkeypatch, change):
    machine.install((8, 0))
    look()
    if change == "driver":
        machine.driver.write_text(f"{DRIVER}.1", encoding="utf-8")
    elif change == "visible":
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    elif change == "gpu":
        machine.install((8, 6))
    else:
        monkeypatch.setattr(gpu_trial, "version", lambda package: "2.21.1")
    look()
    assert machine.tried == 2


def test_a_cache_that_cannot_be_written_is_no_error(machine):
    machine.install((8, 0))
    machine.cache.write_text("a file where a folder should be", encoding="utf-8")
    assert look() == look() == (Device("GPU (Fake 8.0)", "mixed_bfloat16", True, (8, 0)), [])
    assert machine.tried == 2


def test_a_user_without_a_home_is_no_error(machine, monkeypatch):
    def homeless(path):
        raise RuntimeError("Could not determine home directory.")

    machine.install((8, 0))
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(gpu_trial.Path, "expanduser", homeless)
    assert look()[0].is_gpu
    assert machine.tried == 1


def test_a_gpu_that_fails_is_left_for_the_cpu_and_never_remembered(machine):
    machine.install((12, 0))
    machine.fails(0, NO_CODE)
    device, (message,) = look()
    assert device == Device("CPU", "float32", False)
    assert message.startswith("GPU 0 (Fake 12.0) fails and is not used, and the device is the CPU: ")
    assert "no machine code for the GPU. Choose another GPU with CUDA_VISIBLE_DEVICES" in message
    assert machine.done == ["trial", ("visible", [])]
    machine.install((12, 0))
    assert look()[0].is_gpu, "what failed once is tried again"


def test_of_several_gpus_those_that_compute_are_used(machine):
    machine.install((12, 0), (8, 0), (12, 0))
    machine.fails(0, NO_CODE)
    device, (message,) = look()
    assert device.name == "GPU (Fake 8.0)"
    assert message.startswith("GPU 0 (Fake 12.0) fails and is not used: ")
    left = [gpu.name for gpu in machine.gpus[1:]]
    assert machine.done == ["trial", ("visible", left), *(("grows", name) for name in left)]
    assert not machine.cache.exists()


@pytest.mark.parametrize(
    ("ended", "log", "said"),
    [
        ("the trial ended with signal 6", "F0000 00:00:1 7 x.cc:1] Check failed: sky", "signal 6; Check failed: sky"),
        ("the trial took more than 180 seconds", "", "the trial took more than 180 seconds"),
    ],
)
def test_a_trial_that_dies_or_hangs_is_a_failure(machine, ended, log, said):
    machine.install((12, 0))
    machine.trial = Trial({}, log, ended)
    device, (message,) = look()
    assert not device.is_gpu
    assert said in message


def test_a_gpu_whose_memory_is_taken_is_used_and_not_remembered(machine):
    machine.install((8, 0))
    machine.fails(0, "InternalError: CUDA_ERROR_OUT_OF_MEMORY: out of memory")
    device, messages = look()
    assert (device.is_gpu, messages) == (True, [])
    assert not machine.cache.exists()


def test_where_no_process_can_be_started_nothing_is_known(machine):
    machine.install((8, 0))
    machine.trial = OSError("no more processes")
    assert look()[0].is_gpu
    assert not machine.cache.exists()


def test_a_failing_gpu_cannot_be_hidden_once_tensorflow_has_started(machine):
    machine.install((12, 0))
    machine.fails(0, NO_CODE)
    machine.started = True
    device, (message,) = look()
    assert device.is_gpu
    assert "fails and cannot be hidden any more, since TensorFlow has started: " in message


# --- the child process


def child(monkeypatch, script, **arguments):
    monkeypatch.setattr(gpu_trial, "SCRIPT", script)
    return run_trial(**arguments)


def test_what_a_child_prints_and_writes_is_read(monkeypatch):
    line = json.dumps(["/physical_device:GPU:0", NO_CODE])
    script = "import os\nos.write(2, b'level ' + os.environ['TF_CPP_MIN_LOG_LEVEL'].encode())\nprint('noise')\n"
    trial = child(monkeypatch, f"{script}print({gpu_trial.MARK!r}, {line!r})")
    assert trial == Trial({"/physical_device:GPU:0": NO_CODE}, "level 0", "")
    assert trial.failure("/physical_device:GPU:0") == NO_CODE
    assert trial.failure("/physical_device:GPU:1") == "the trial did not find it"
    assert not trial.passed


@pytest.mark.parametrize(
    ("end", "said"),
    [("os._exit(3)", "exit code 3"), ("os.abort()", "signal 6"), ("time.sleep(60)", "took more than 2 seconds")],
)
def test_a_child_that_does_not_end_well_keeps_what_it_found(monkeypatch, end, said):
    line = json.dumps(["/physical_device:GPU:0", ""])
    script = f"import os, time\nprint({gpu_trial.MARK!r}, {line!r}, flush=True)\nos.write(2, b'last words')\n{end}"
    trial = child(monkeypatch, script, timeout=2.0)
    assert trial.errors == {"/physical_device:GPU:0": ""}
    assert said in trial.ended
    assert trial.log == "last words"
    assert not trial.passed
    assert said in trial.failure("/physical_device:GPU:1")


def test_the_real_script_runs_where_there_is_no_gpu(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    trial = run_trial()
    assert (trial.errors, trial.ended) == ({}, "")
    assert trial.log, "with level 0 TensorFlow always has something to say"


def test_an_error_and_the_log_are_both_told_once():
    log = "E0000 00:00:1 7 a.cc:1] cuDNN says no."
    assert explain("InternalError: bad", log)[0] == "InternalError: bad; cuDNN says no"
    assert explain("InternalError: cuDNN says no", log)[0] == "InternalError: cuDNN says no"
    assert len(explain("x" * 900, "")[0]) < 300
