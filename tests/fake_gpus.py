"""A machine with fake GPUs: the devices that TensorFlow would list, and a record of what is done with them."""

import warnings
from typing import NamedTuple

import tensorflow as tf

from seq2seq.devices import gpu_trial
from seq2seq.devices.device import DeviceWarning, set_up_device
from seq2seq.devices.gpu_trial import TrialResult

DRIVER = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.95.05"
NO_LIBRARIES = """\
I0000 00:00:1795946159.368534    4675 dso_loader.cc:70] Could not load dynamic library 'libcudnn.so.9'; dlerror: ...
W0000 00:00:1795946159.368534    4675 gpu_device.cc:2432] Cannot dlopen some GPU libraries. Please make sure ...
Skipping registering GPU devices...
"""
NO_CODE = "INTERNAL: no kernel image is available for execution on the device"
NO_TRIAL = TrialResult({}, "", "")


class GPU(NamedTuple):
    name: str


class Machine:
    """Fake GPUs of some compute capabilities; records what is done with them, in order."""

    def __init__(self, monkeypatch, tmp_path):
        self.patch, self.driver, self.cache = monkeypatch, tmp_path / "driver", tmp_path / "cache"
        self.gpus, self.visible, self.capabilities, self.done = [], [], {}, []
        self.started = False
        self.trial = NO_TRIAL
        monkeypatch.setattr(gpu_trial, "DRIVER_FILE", self.driver)
        monkeypatch.setenv("XDG_CACHE_HOME", str(self.cache))
        monkeypatch.delenv(gpu_trial.VISIBLE_DEVICES, raising=False)
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
        self.trial = TrialResult({gpu.name: "" for gpu in self.gpus}, "")
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
        self.trial = TrialResult(errors, log, ended)

    @property
    def tried(self):
        return self.done.count("trial")


def look():
    """The devices that another process would find, and the warnings that it would issue."""
    set_up_device.cache_clear()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        device = set_up_device()
    assert all(warning.category is DeviceWarning for warning in caught)
    return device, [str(warning.message) for warning in caught]
