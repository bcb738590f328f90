"""Which signals end a run, and how."""

import io
import os
import signal
from functools import partial
from threading import Event

import pytest
from rich.console import Console

from seq2seq.devices.stop_signals import on_stop_signals
from seq2seq.training.display import Display
from seq2seq.training.run import _end_after_batch, _end_at_once

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="Windows has no SIGHUP")


@pytest.fixture(autouse=True)
def terminal():
    """The tests themselves may run under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("name", ["SIGHUP", "SIGINT", "SIGTERM"])
def test_the_first_signal_asks_the_run_to_stop_and_the_second_one_ends_it(name):
    asked, screen, number = Event(), io.StringIO(), getattr(signal, name)
    before = signal.getsignal(number)
    with on_stop_signals(partial(_end_after_batch, asked, Display(Console(file=screen)))):
        os.kill(os.getpid(), number)
        assert asked.is_set()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
    assert screen.getvalue().count("stopping after this batch") == 1
    assert signal.getsignal(number) == before


@pytest.mark.parametrize("name", ["SIGHUP", "SIGINT", "SIGTERM"])
def test_while_there_is_nothing_to_save_the_first_one_ends_it(name):
    at_once = partial(_end_at_once, Display())
    with on_stop_signals(at_once):
        with on_stop_signals(partial(_end_after_batch, Event(), Display())):
            pass
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), getattr(signal, name))


def test_a_run_under_nohup_outlives_its_terminal():
    asked, before = Event(), signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with on_stop_signals(asked.set):
            os.kill(os.getpid(), signal.SIGHUP)
        assert not asked.is_set()
    finally:
        signal.signal(signal.SIGHUP, before)
