"""Fixtures of whole runs."""

import pytest

from tests.toy import write_corpus


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
