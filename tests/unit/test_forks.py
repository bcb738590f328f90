"""A process that was forked after TensorFlow had started says so at once."""

import multiprocessing
import os
import signal
import sys

import pytest
import tensorflow as tf

from seq2seq.devices.device import set_tf32, set_up_device
from seq2seq.devices.forks import check_process, tensorflow_has_started
from seq2seq.errors import ForkError
from seq2seq.inference.translator import Translator
from tests.toy import save_random_model, toy_config, toy_tokenizer

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has no forks")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("forks")
    save_random_model(folder / "model", toy_tokenizer(), search={"beam_size": 1, "max_length_extra": 2})
    return folder


@pytest.fixture(scope="module")
def translator(folder):
    return Translator.load(folder / "model")


def in_child(function):
    """The error of a function in a forked process, which is killed if it waits for ever."""
    read, write = os.pipe()
    child = os.fork()
    if not child:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(60)
        said = "no error"
        try:
            function()
        except BaseException as error:
            said = f"{type(error).__name__}: {error}"
        os.write(write, said.encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as handle:
        said = handle.read()
    os.waitpid(child, 0)
    return said or "killed"


def test_a_translator_says_so(translator):
    """Before and after it has translated."""
    for _ in range(2):
        assert in_child(lambda: translator.translate(["the dog"])).startswith("ForkError: process ")
        translator.translate(["the dog"])


def test_so_do_loading_building_and_training(folder, translator):
    from seq2seq import Seq2Seq, train

    for function in (
        lambda: Translator.load(folder / "model"),
        lambda: Seq2Seq(10, 10),
        lambda: train(toy_config(folder), folder / "run"),
        lambda: translator.model.compile("adam"),
        lambda: set_tf32("float32"),
    ):
        said = in_child(function)
        assert said.startswith("ForkError"), said
        assert "multiprocessing.get_context('spawn')" in said


def test_a_grandchild_says_so_too(translator):
    assert in_child(lambda: pytest.fail(in_child(check_process))).startswith("Failed: ForkError")


def test_this_process_goes_on(translator):
    check_process()
    set_up_device()
    assert len(translator.translate(["the dog"])) == 1


def test_a_pool_gets_the_error(translator):
    context = multiprocessing.get_context("fork")
    with context.Pool(1) as pool, pytest.raises(ForkError, match="was forked after TensorFlow had started"):
        pool.apply_async(set_tf32, ("float32",)).get(timeout=600)


def test_what_needs_no_tensorflow_works_in_a_child(translator):
    assert in_child(lambda: translator.tokenizers.source.encode("the dog")) == "no error"


def test_a_fork_before_is_no_error():
    assert tensorflow_has_started() == bool(tf.config.list_logical_devices())
    code = (
        "import os, sys\n"
        "sys.modules.update(sklearn=None, matplotlib=None)  # which Keras would import\n"
        "import tensorflow as tf\n"
        "from seq2seq.devices.device import set_tf32\n"
        "child = os.fork()\n"
        "set_tf32('float32')\n"
        "assert float(tf.reduce_sum(tf.ones([3]))) == 3\n"
        "os._exit(0) if not child else os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))"
    )
    assert os.spawnv(os.P_WAIT, sys.executable, [sys.executable, "-c", code]) == 0
