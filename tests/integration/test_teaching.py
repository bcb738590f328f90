"""The notebooks run as they stand, at toy size, and the outputs stored in them are those of their code.

What their text says is tested in `test_claims_of_notebooks.py`.
"""

import ast
import asyncio
import os
import re
import runpy
from pathlib import Path

import nbformat
import pytest
from jupyter_client import AsyncKernelManager
from nbclient import NotebookClient

ROOT = Path(__file__).parents[2]
RUN = runpy.run_path(str(ROOT / "notebooks" / "run.py"))
NOTEBOOKS = RUN["NOTEBOOKS"]
CHINESE = [path for path in NOTEBOOKS if path.parent.name == "zh"]

fingerprint = RUN["fingerprint"]

# Runs before each notebook: names of the one before are forgotten, and graphs are used as they are traced.
FIRST_CELL = """
import gc
import tensorflow
from tensorflow.python.util import tf_stack
tensorflow.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
tf_stack.extract_stack = lambda stacklevel=1, here=tf_stack.extract_stack(): here
gc.set_threshold(50_000, 20, 100)
%reset -f
"""


def number(path: Path) -> str:
    return path.relative_to(ROOT / "notebooks").with_suffix("").as_posix()


by_name = pytest.mark.parametrize("path", NOTEBOOKS, ids=number)


def read(path: Path) -> nbformat.NotebookNode:
    return nbformat.read(path, as_version=nbformat.NO_CONVERT)


def test_there_are_notebooks():
    numbers = [int(path.name[:2]) for path in NOTEBOOKS if path not in CHINESE]
    assert len(numbers) >= 8
    assert numbers == sorted(set(numbers))
    assert CHINESE


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
    notebook.cells += [nbformat.v4.new_code_cell(code) for code in solutions(notebook)]
    # The time limit is against hangs only: it is far above what any cell takes.
    client = NotebookClient(notebook, timeout=600, km=kernel, resources={"metadata": {"path": str(path.parent)}})
    environment = {**os.environ, "SEQ2SEQ_TOY": "1", "TMPDIR": str(tmp_path_factory.getbasetemp())}
    client.execute(env=environment)  # raises CellExecutionError with the cell and its traceback
    counts = [cell.execution_count for cell in notebook.cells if cell.cell_type == "code"]
    assert counts == list(range(counts[0], counts[0] + len(counts))), "each cell ran once, in order"


@by_name
def test_stored_outputs_belong_to_the_stored_code(path):
    notebook = read(path)
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    assert notebook.metadata.kernelspec.name == "python3"
    assert notebook.metadata.seq2seq.source_sha256 == fingerprint(notebook), "run `make notebooks-run`"
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    for cell in code:
        assert cell.outputs or not shows_something(cell.source), cell.id
        assert all(output.output_type != "error" and output.get("name") != "stderr" for output in cell.outputs), cell.id
    assert not any(cell.metadata for cell in notebook.cells)


@by_name
def test_a_stored_notebook_is_small_and_tells_nothing_of_its_machine(path):
    assert path.stat().st_size <= 1_000_000
    for cell in read(path).cells:
        for output in cell.get("outputs", []):
            texts = [output.text] if "text" in output else [t for k, t in output.data.items() if k.startswith("text/")]
            for text in texts:
                assert not re.search(r"(^|[\s'\"(=])(/|[A-Z]:\\)\w+[/\\]|<script|https?://| at 0x", text), (
                    cell.id,
                    text,
                )


@pytest.mark.parametrize("path", CHINESE, ids=number)
def test_a_translation_differs_from_its_original_in_texts_only(path):
    translation, original = (
        {cell.id: cell for cell in read(place).cells} for place in (path, ROOT / "notebooks" / path.name)
    )
    assert [name for name in translation if name != "fonts"] == list(original)
    for name, cell in original.items():
        assert translation[name].cell_type == cell.cell_type
        if cell.cell_type == "code":
            assert without_texts(translation[name].source) == without_texts(cell.source), name
        else:
            assert re.search("[\u4e00-\u9fff]", translation[name].source), name
            assert formulas(translation[name].source) == formulas(cell.source), name


def without_texts(source: str) -> str:
    """The syntax of a cell without comments and the contents of strings."""
    tree = ast.parse(re.sub(r"(?m)^%.*$", "", source))
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            node.values = [part for part in node.values if isinstance(part, ast.FormattedValue)]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            node.value = ""
    return ast.dump(tree)


def formulas(text: str) -> list[str]:
    """The displayed formulas of a cell."""
    return re.findall(r"(?s)\$\$(.+?)\$\$", text)


def solutions(notebook: nbformat.NotebookNode) -> list[str]:
    """The code in the solutions of a notebook's exercises."""
    texts = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
    hidden = re.findall(r"(?s)<details.*?</details>", "\n".join(texts))
    return re.findall(r"(?s)^```python\n(.*?)^```", "\n".join(hidden), re.MULTILINE)


def shows_something(source: str) -> bool:
    """Whether a cell prints, displays a figure, or ends with a value."""
    body = ast.parse(re.sub(r"(?m)^%.*$", "", source)).body
    called = [name(node) for statement in body for node in ast.walk(statement) if isinstance(node, ast.Call)]
    ends_with_value = isinstance(body[-1], ast.Expr) and name(body[-1].value) not in {
        "setLevel",
        "set_option",
        "set_printoptions",
    }
    return ends_with_value or not {"print", "display", "show"}.isdisjoint(called)


def name(node: ast.AST) -> str:
    """The name of a function that is called, without its module or object."""
    return ast.unparse(node.func).rpartition(".")[2] if isinstance(node, ast.Call) else ""
