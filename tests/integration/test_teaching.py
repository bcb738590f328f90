"""The notebooks and the example run as they stand, at toy size."""

import ast
import asyncio
import os
import re
import runpy
import sys
from pathlib import Path

import nbformat
import pytest
from jupyter_client import AsyncKernelManager
from nbclient import NotebookClient

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
EXAMPLE = ROOT / "examples" / "train.py"

TOY = (
    "data.train.pairs=300",
    "data.valid.pairs=20",
    "data.test.pairs=20",
    "tokenizer.vocabulary_size=200",
    "embeddings.size=8",
    "encoder.units=8",
    "decoder.units=8",
    "training.updates=3",
    "validation.compute_bleu=false",
    "validation.metric=loss",
    "search.beam_size=2",
    "search.max_length_factor=0.5",
)

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
    notebook.cells.insert(0, nbformat.v4.new_code_cell("%reset -f"))
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


def test_example_trains_scores_and_translates(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [str(EXAMPLE), "here", *TOY])
    runpy.run_path(str(EXAMPLE), run_name="__main__")
    printed = capsys.readouterr().out
    assert re.search(r"^BLEU \d+\.\d \[\d+\.\d, \d+\.\d\] on \d+ test sentences$", printed, re.MULTILINE)
    assert re.search(r"^nrefs:1\|.*\|version:[\d.]+$", printed, re.MULTILINE)
    for label in ("source", "reference", "hypothesis"):
        assert len(re.findall(rf"^{label} ", printed, re.MULTILINE)) == 5, label
    assert "\ngreedy " in printed
    assert (tmp_path / "here" / "model.safetensors").is_file()
    config = (tmp_path / "here" / "config.yaml").read_text(encoding="utf-8")
    assert "updates: 3" in config  # the override arrived


def test_example_is_short_and_uses_public_names_alone():
    import seq2seq

    text = EXAMPLE.read_text(encoding="utf-8")
    assert len(text.splitlines()) < 40
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            modules = [str(node.module)]
            if node.module == "seq2seq":
                assert {alias.name for alias in node.names} <= set(seq2seq.__all__)
        else:
            continue
        for module in modules:
            known = module in ("seq2seq", "rich") or module.startswith("rich.")
            assert known or module.partition(".")[0] in sys.stdlib_module_names, module
