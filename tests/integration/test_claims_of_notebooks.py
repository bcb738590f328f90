"""What notebooks say is what their code computes at full size: one claim per notebook."""

import warnings
from pathlib import Path
from typing import NamedTuple

import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pytest

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


class Claim(NamedTuple):
    """A sentence of a notebook's text, and what makes it true.

    Attributes:
        notebook: Path below `notebooks/`, without its suffix.
        sentence: Part of the text of a cell.
        cell: Id of the last code cell to run.
        holds: Python expression of what the cells up to this one have defined.
    """

    notebook: str
    sentence: str
    cell: str
    holds: str


TERMS = "STEPS == 40 and missing[1.0][20] < 0.005 and norms[1.0][10] < norms[1.0][0] / 10"
CLAIMS = [
    Claim(
        "00-rnn-from-scratch",
        "the nearest 21 of 40 terms make up the gradient but for less than half a per cent",
        "near",
        TERMS,
    ),
    Claim("zh/00-rnn-from-scratch", "40 项中最近的 21 项已经构成了几乎全部梯度，所缺不到百分之零点五", "near", TERMS),
    Claim(
        "03-gradients-through-time",
        "where the derivative has grown, the way round made it grow",
        "forget-direct",
        "rows['bias 4, gate 0.98']['whole derivative'] > 1 > rows['bias 4, gate 0.98']['forget gates alone']",
    ),
    Claim(
        "04-family",
        "In 35 of the 45 cases the larger rate is the better one",
        "c29",
        "len(remembered) == 45 and (remembered['learning_rate'] == 0.01).sum() == 35",
    ),
    Claim(
        "05-five-shapes",
        "The last piece alone brings the perplexity from 600 to less than 10",
        "c13",
        "V == 600 and found['one to one'] < 10",
    ),
]


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.notebook)
def test_claim(claim, monkeypatch):
    monkeypatch.delenv("SEQ2SEQ_TOY", raising=False)
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")  # so that a notebook that sets it changes nothing for later tests
    notebook = nbformat.read(NOTEBOOKS / f"{claim.notebook}.ipynb", as_version=nbformat.NO_CONVERT)
    texts = [" ".join(cell.source.split()) for cell in notebook.cells if cell.cell_type == "markdown"]
    assert [text for text in texts if claim.sentence in text], "the sentence was changed: change what is tested, too"
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    last = [cell.id for cell in code].index(claim.cell)
    defined: dict = {}
    monkeypatch.setattr(plt, "show", lambda: plt.close("all"))
    with plt.rc_context(), np.printoptions(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # no Chinese font is installed
        for cell in code[: last + 1]:
            exec(compile(cell.source, cell.id, "exec"), defined)
    assert eval(claim.holds, defined), claim.sentence
