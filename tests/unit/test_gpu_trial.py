"""How GPUs are tried before they are used, and what is remembered of it; all GPUs are fakes."""

import json

import pytest

from seq2seq.devices import gpu_trial
from seq2seq.devices.device import Device
from seq2seq.devices.gpu_trial import TrialResult, explain_failure, run_trial
from tests.fake_gpus import DRIVER, NO_CODE, look

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
    machine.trial = TrialResult({}, log, ended)
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
    assert "fails and can no longer be hidden, since TensorFlow has started: " in message


# --- the child process


def child(monkeypatch, script, **arguments):
    monkeypatch.setattr(gpu_trial, "SCRIPT", script)
    return run_trial(**arguments)


def test_what_a_child_prints_and_writes_is_read(monkeypatch):
    line = json.dumps(["/physical_device:GPU:0", NO_CODE])
    script = "import os\nos.write(2, b'level ' + os.environ['TF_CPP_MIN_LOG_LEVEL'].encode())\nprint('noise')\n"
    trial = child(monkeypatch, f"{script}print({gpu_trial.RESULT_PREFIX!r}, {line!r})")
    assert trial == TrialResult({"/physical_device:GPU:0": NO_CODE}, "level 0", "")
    assert trial.failure("/physical_device:GPU:0") == NO_CODE
    assert trial.failure("/physical_device:GPU:1") == "the trial did not find it"
    assert not trial.passed


@pytest.mark.parametrize(
    ("end", "timeout", "said"),
    [
        ("os._exit(3)", 600.0, "exit code 3"),
        ("os.abort()", 600.0, "signal 6"),
        ("time.sleep(6000)", 2.0, "took more than 2 seconds"),
    ],
)
def test_a_child_that_does_not_end_well_keeps_what_it_found(monkeypatch, end, timeout, said):
    line = json.dumps(["/physical_device:GPU:0", ""])
    script = (
        f"import os, time\nprint({gpu_trial.RESULT_PREFIX!r}, {line!r}, flush=True)\nos.write(2, b'last words')\n{end}"
    )
    trial = child(monkeypatch, script, timeout=timeout)
    assert trial.errors == {"/physical_device:GPU:0": ""}
    assert said in trial.exit_reason
    assert trial.log == "last words"
    assert not trial.passed
    assert said in trial.failure("/physical_device:GPU:1")


def test_the_real_script_runs_where_there_is_no_gpu(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    trial = run_trial()
    assert (trial.errors, trial.exit_reason) == ({}, "")
    assert trial.log, "with level 0 TensorFlow always has something to say"


def test_an_error_and_the_log_are_both_told_once():
    log = "E0000 00:00:1 7 a.cc:1] cuDNN says no."
    assert explain_failure("InternalError: bad", log)[0] == "InternalError: bad; cuDNN says no"
    assert explain_failure("InternalError: cuDNN says no", log)[0] == "InternalError: cuDNN says no"
    assert len(explain_failure("x" * 900, "")[0]) < 300
