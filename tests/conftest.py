"""Shared fixtures. Models are tiny: unequal sizes, random weights, built once a module."""

import gc
import importlib
import os
import re
import signal
import sys
from collections.abc import Callable, Iterator

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")  # a worker a core: more threads only wait for each other

import numpy as np
import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Hide GPUs unless `-m gpu` asks for them: exact equality is promised on a CPU, and workers would share one.

    And be interrupted by SIGINT, whoever started the tests.
    """
    if not asks_for_gpu(config.getoption("markexpr")):
        os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in a background job of a shell, and tests send it
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    """Collect garbage less often, which otherwise takes a tenth of the time: graphs are made of many objects."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 10, 4)


@pytest.fixture(autouse=True, scope="module")
def cheap_graphs() -> Iterator[None]:
    """Make graphs in this process without what takes longer than it saves where each is used for seconds.

    That is Grappler, and the record of where in Python each operation was made, which lies deep under pytest. Notebooks
    and programs that tests start have both, as users do.
    """
    tensorflow = sys.modules.get("tensorflow")
    if tensorflow is None:
        yield
        return
    options = tensorflow.config.optimizer
    options.set_experimental_options({"disable_meta_optimizer": True})
    stacks = importlib.import_module("tensorflow.python.util.tf_stack")
    here = stacks.extract_stack()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stacks, "extract_stack", lambda stacklevel=1: here)
        yield
    options.set_experimental_options({"disable_meta_optimizer": False})


def asks_for_gpu(expression: str) -> bool:
    """Whether what stands behind `-m` selects tests for their mark gpu."""

    def selects(gpu: bool, others: bool) -> bool:
        name = re.compile(r"\b(?!and\b|or\b|not\b)\w+")
        return bool(eval(name.sub(lambda mark: str(gpu if mark[0] == "gpu" else others), expression)))

    return bool(expression) and any(selects(True, others) and not selects(False, others) for others in (True, False))


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("gpu") is None:
        return
    from seq2seq.devices.device import runs_on_gpu, set_up_device

    if not asks_for_gpu(item.config.getoption("markexpr")):
        pytest.skip("GPUs are hidden: run it with pytest -m gpu")
    set_up_device()  # lets memory grow, before TensorFlow starts
    if not runs_on_gpu():
        pytest.skip("needs a GPU, and TensorFlow finds none")


@pytest.fixture
def hide(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Hide an installed package, as if it were not there."""

    def hide(package: str) -> None:
        for name in [package, *(name for name in sys.modules if name.startswith(f"{package}."))]:
            monkeypatch.setitem(sys.modules, name, None)

    return hide


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


@pytest.fixture(scope="session")
def searches():
    """See `tests/searches.py`."""
    from seq2seq.inference import searcher
    from tests.searches import SharedSearches

    return SharedSearches(searcher.trace_search)


@pytest.fixture(scope="module")
def shared_searches(searches):
    """Models of one description share the graphs of searches, for modules that ask for it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("seq2seq.inference.searcher.trace_search", searches.trace_search)
        yield


def randomize(layer, seed: int = 3, scale: float = 0.4) -> None:
    """Give every weight random values, biases too, so that swapped gates and lost biases show."""
    generator = np.random.default_rng(seed)
    for weight in layer.weights:
        weight.assign(generator.normal(0.0, scale, weight.shape).astype("float32"))
