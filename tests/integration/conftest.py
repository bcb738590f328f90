"""Whole runs make many graphs and use each for seconds: rewriting them would take longer than it saves."""

import sys

import pytest


@pytest.fixture(autouse=True, scope="module")
def graphs_as_traced():
    """Without Grappler in this process; unit tests, notebooks and programs that tests start have it, as users do."""
    tensorflow = sys.modules.get("tensorflow")
    if tensorflow is None:
        yield
        return
    options = tensorflow.config.optimizer
    options.set_experimental_options({"disable_meta_optimizer": True})
    yield
    options.set_experimental_options({"disable_meta_optimizer": False})
