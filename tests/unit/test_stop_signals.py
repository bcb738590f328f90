"""Which signals end a run with a checkpoint."""

import os
import signal
from threading import Event

import pytest

from seq2seq.training.run import _stop_on_signals

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="Windows has no SIGHUP")


@pytest.mark.parametrize("name", ["SIGHUP", "SIGINT", "SIGTERM"])
def test_a_signal_asks_the_run_to_stop(name):
    asked, said = Event(), []
    before = signal.getsignal(getattr(signal, name))
    with _stop_on_signals(asked, said.append):
        os.kill(os.getpid(), getattr(signal, name))
        assert asked.is_set()
    assert said
    assert signal.getsignal(getattr(signal, name)) == before


def test_a_run_under_nohup_outlives_its_terminal():
    asked, before = Event(), signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with _stop_on_signals(asked, print):
            os.kill(os.getpid(), signal.SIGHUP)
        assert not asked.is_set()
    finally:
        signal.signal(signal.SIGHUP, before)
