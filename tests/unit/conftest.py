"""Fixtures of several unit tests."""

import pytest

from seq2seq.devices.device import set_up_device
from tests.fake_gpus import Machine


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """See `tests.fake_gpus`; the device is looked for anew."""
    set_up_device.cache_clear()
    yield Machine(monkeypatch, tmp_path)
    set_up_device.cache_clear()
