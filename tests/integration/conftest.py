"""Whole runs make many graphs and use each for seconds: rewriting them would take longer than it saves."""

import sys

import pytest

from tests.toy import write_corpus


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


@pytest.fixture(scope="session")
def pool():
    """See `tests/pool.py`."""
    from tests.pool import Pool

    return Pool()


@pytest.fixture(scope="module")
def shared_graphs(pool, shared_searches):
    """Runs of this module with the same graphs share a model and its searches, for modules that ask for it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("seq2seq.training.run.make_compiled_model", pool.make_model)
        yield


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """A folder with the toy corpus."""
    folder = tmp_path_factory.mktemp("corpus")
    write_corpus(folder)
    return folder
