"""What notebooks say is what their code computes at full size: at least one claim per notebook."""

import os
import re
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
        cell: Id of the code cell after which it holds.
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
    Claim("zh/00-rnn-from-scratch", "40 项中最近的 21 项几乎就构成了整个梯度，所缺不到百分之零点五", "near", TERMS),
    Claim(
        "01-first-translator",
        "Mostly the frequent ones stay whole, but not all",
        "whole",
        "whole > 1 - len(split) / len(words) and words[split[0]] > 1000",
    ),
    Claim(
        "01-first-translator",
        "with a large one most of the waste vanishes",
        "waste",
        "waste < plan(train_ids, 1000, 32).padding_ratio() / 2",
    ),
    Claim(
        "02-inside-attention",
        "Two heads choose *bought*",
        "hand",
        "[translation.source_tokens[s] for s in by_hand.argmax(axis=1)] == ['.', '.', '▁bought', '▁bought']",
    ),
    Claim(
        "02-inside-attention",
        "*verkaufte* has a probability of 0.003",
        "forced",
        "given.target_tokens[-3] == 'verkaufte' and round(float(np.exp(given.log_probs[-3])), 3) == 0.003",
    ),
    Claim(
        "03-gradients-through-time",
        "where the derivative has grown, the way round made it grow",
        "forget-direct",
        "rows['bias 4, gate 0.98']['whole derivative'] > 1 > rows['bias 4, gate 0.98']['forget gates alone']",
    ),
    Claim(
        "04-family",
        "In 21 of the 45 cases the larger rate is the better one",
        "c29",
        "len(gain) == 45 and (gain > 0).sum() == 21 and (gain == 0).sum() == 14",
    ),
    Claim(
        "05-five-shapes",
        "In the training sentences a third word *that* occurs in passives only, 33 times",
        "c05",
        "[kind for kind, english, _ in train if english.split()[2:3] == ['that']] == ['passive'] * 33",
    ),
    Claim(
        "06-error-analysis",
        "BLEU is between 91 and 96 in all buckets",
        "by-length",
        "by_length.query('metric == \"BLEU\"')['score'].between(91, 96).all()",
    ),
    Claim(
        "06-error-analysis",
        "verbs on one side, nouns, adjectives and names on the other",
        "pca",
        "len({points.iloc[:, 0].groupby(kinds).mean()[name] > 0 for name in ('noun', 'adjective', 'name')}) == 1"
        " and points.iloc[:, 0].groupby(kinds).mean()[['verb', 'noun']].prod() < 0",
    ),
    Claim(
        "07-search",
        "at step 5, the decoder prefers *n* (0.70) to *m* (0.24)",
        "greedy",
        "choices.query('step == 5 and rank < 2')['probability'].round(2).tolist() == [0.70, 0.24]",
    ),
    Claim(
        "07-search",
        "The hypothesis with *von* (*vo*, *n*) leads at steps 5 and 6",
        "tree",
        "tree.query('rank == 0 and 4 <= step <= 7')['token'].tolist() == ['▁vo', 'n', '▁den', '▁eingeladen']",
    ),
    Claim(
        "07-search",
        "Up to $\\alpha = 1$ *vom Jungen* wins; with $\\alpha = 2$ *von dem Jungen* does",
        "penalty",
        "[int(np.argmax(scores)) for scores in by_alpha.values()][:4] == [0, 0, 0, 1]",
    ),
    Claim(
        "08-gates",
        "After 3,000 steps it is about 20, where tanh is flat",
        "carousel-code",
        "STREAM == 3000 and 19 < size[1.0][-1] < 21 and slope[1.0][-1] < 0.1 < slope[0.99][-1] and size[0.9][-1] < 1",
    ),
]
NAMES = list(dict.fromkeys(claim.notebook for claim in CLAIMS))


@pytest.mark.parametrize("name", NAMES)
def test_claims(name, monkeypatch):
    monkeypatch.delenv("SEQ2SEQ_TOY", raising=False)
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")  # so that a notebook that sets it changes nothing for later tests
    monkeypatch.setattr(os, "dup2", lambda *_: None)  # by which notebooks hide TensorFlow's log
    monkeypatch.setattr(plt, "show", lambda: plt.close("all"))
    claims = [claim for claim in CLAIMS if claim.notebook == name]
    notebook = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=nbformat.NO_CONVERT)
    texts = [" ".join(cell.source.split()) for cell in notebook.cells if cell.cell_type == "markdown"]
    for claim in claims:
        assert any(claim.sentence in text for text in texts), f"change what is tested, too: {claim.sentence}"
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    last = max([cell.id for cell in code].index(claim.cell) for claim in claims)
    defined: dict = {"display": lambda *_: None}
    with plt.rc_context(), np.printoptions(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # no Chinese font is installed
        for cell in code[: last + 1]:
            exec(compile(re.sub(r"(?m)^%.*$", "", cell.source), cell.id, "exec"), defined)
            for claim in claims:
                if claim.cell == cell.id:
                    assert eval(claim.holds, defined), claim.sentence
