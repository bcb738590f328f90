"""Fixtures of several unit tests."""

import pytest

from seq2seq.devices.device import find_device
from tests.fake_gpus import Machine


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """See `tests.fake_gpus`; the device is looked for anew."""
    find_device.cache_clear()
    yield Machine(monkeypatch, tmp_path)
    find_device.cache_clear()
