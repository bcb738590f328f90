"""Training in a real notebook: its progress is one output that changes, and figures show without pyplot."""

import os
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from rich.console import Console

from seq2seq.training import notebook_display
from seq2seq.training.display import make_display
from seq2seq.training.notebook_display import NotebookDisplay

ROOT = Path(__file__).parents[2]
CELLS = [
    """
from seq2seq import plot_history, train_pairs
from tests.integration.test_train_pairs import PAIRS, TINY, VALID
""",
    "trained = train_pairs(PAIRS, valid=VALID, overrides=TINY)",
    "trained.translate(['the dog sees the tree'])[0]",
    "plot_history(trained)",
]


def test_a_run_is_one_output_and_what_it_made_is_shown(tmp_path):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell.strip()) for cell in CELLS])
    client = NotebookClient(notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(ROOT)}})
    client.execute(env={**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": str(ROOT)})
    _, run, translation, figure = ([out for out in cell.outputs if "data" in out] for cell in notebook.cells)
    assert len(run) == 2, "the plan, and all the rest"
    assert "planned:" in run[0].data["text/html"]
    shown = run[1].data["text/html"]
    assert shown.index("parameters") < shown.index("<svg") < shown.rindex("perplexity") < shown.index("finished: ")
    assert "<progress" not in shown, "which is over"
    assert ":hover" in translation[0].data["text/html"]
    assert "image/png" in figure[0].data


class Handle:
    """What `display` of IPython returns; keeps what was shown last."""

    def update(self, html):
        self.html = html.data


@pytest.fixture
def shown(monkeypatch):
    handle = Handle()
    monkeypatch.setattr(notebook_display, "display", lambda html, display_id: handle)
    monkeypatch.setattr(notebook_display, "REFRESH_SECONDS", -1.0)
    return handle


def test_progress_is_a_line_that_goes(shown):
    display = NotebookDisplay()
    display.print("device: <CPU>")
    with display.progress_bar("reading", "pairs", 10) as advance:
        advance(4)
        assert '<progress value="4" max="10"' in shown.html
        assert "reading: 4 pairs" in shown.html
    assert "<progress" not in shown.html
    with display.epoch_progress(2, 30, 0) as advance:
        advance(3, {"update": 33, "planned_updates": 90, "loss": 2.5, "tokens_per_second": 1000.0, "eta": 61})
        assert "epoch 2  batch 3/30  update 33 of 90  loss 2.500  1,000 tokens/s  ETA 1:01" in shown.html
    with display.spinner("compiling"):
        assert "compiling ..." in shown.html
    assert "compiling" not in shown.html
    assert "device: &lt;CPU&gt;" in shown.html


def test_a_terminal_is_shown_what_a_pipe_is_not(monkeypatch):
    for is_terminal in (True, False):
        monkeypatch.setattr("sys.stderr.isatty", lambda answer=is_terminal: answer, raising=False)
        assert make_display(None).console.quiet != is_terminal
        assert make_display(Console(quiet=True)).console.quiet
