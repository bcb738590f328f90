"""The notebooks run as they stand, at toy size."""

import asyncio
import os
from pathlib import Path

import nbformat
import pytest
from jupyter_client import AsyncKernelManager
from nbclient import NotebookClient

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))

# Runs before each notebook: names of the one before are forgotten, and graphs are used as they are traced.
FIRST_CELL = """
import gc
import tensorflow
tensorflow.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
gc.set_threshold(50_000, 20, 100)
%reset -f
"""

by_name = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def read(path: Path) -> nbformat.NotebookNode:
    return nbformat.read(path, as_version=nbformat.NO_CONVERT)


def test_there_are_notebooks():
    numbers = [int(path.name[:2]) for path in NOTEBOOKS]
    assert len(numbers) >= 7
    assert numbers == sorted(set(numbers))


@pytest.fixture(scope="module")
def kernel():
    """One for all notebooks, which would import TensorFlow for longer than some of them run."""
    manager = AsyncKernelManager(kernel_name="python3")
    yield manager
    if manager.has_kernel:
        asyncio.run(manager.shutdown_kernel(now=True))


@by_name
def test_notebook_runs_from_top_to_bottom(path, kernel, tmp_path_factory):
    notebook = read(path)
    notebook.cells.insert(0, nbformat.v4.new_code_cell(FIRST_CELL.strip()))
    # The time limit is against hangs only: it is far above what any cell takes.
    client = NotebookClient(notebook, timeout=600, km=kernel, resources={"metadata": {"path": str(path.parent)}})
    environment = {**os.environ, "SEQ2SEQ_TOY": "1", "TMPDIR": str(tmp_path_factory.getbasetemp())}
    client.execute(env=environment)  # raises CellExecutionError with the cell and its traceback
    counts = [cell.execution_count for cell in notebook.cells if cell.cell_type == "code"]
    assert counts == list(range(counts[0], counts[0] + len(counts))), "each cell ran once, in order"


@by_name
def test_notebook_is_stored_without_outputs(path):
    notebook = read(path)
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    assert set(notebook.metadata) <= {"kernelspec", "language_info"}
    assert notebook.metadata.kernelspec.name == "python3"
    for cell in notebook.cells:
        assert not cell.metadata, cell.id
        if cell.cell_type == "code":
            assert cell.outputs == [], cell.id
            assert cell.execution_count is None, cell.id
