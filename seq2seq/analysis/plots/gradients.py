"""Gradients through time: how much is left over how many steps, by which directions, and what a cut takes away."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

SMALLEST = 1e-12  # drawn in place of anything below it, 0 too, on a logarithmic axis


def sensitivity_over_distance(tables: Mapping[str, pd.DataFrame], norm: str = "spectral") -> Figure:
    """Draw the norm of the last state's derivative by the one d steps before it, one line a name.

    Args:
        tables: By name, of `seq2seq.analysis.gradients.sensitivity`; over sequences the geometric mean is taken.
        norm: `spectral` or `frobenius`.
    """
    figure, axes = _single()
    for name, table in tables.items():
        logs = np.log(table[norm].clip(lower=SMALLEST)).groupby(table["distance"]).mean()
        axes.semilogy(logs.index, np.exp(logs), label=name)
    axes.axhline(1.0, color="grey", linewidth=0.8, linestyle=":")
    axes.set(xlabel="distance d (steps)", ylabel=f"{norm} norm of the derivative\nof state T by state T - d")
    axes.legend()
    return figure


def loss_gradients_over_time(gradients: Mapping[str, np.ndarray]) -> Figure:
    """Draw how long the loss's gradient by the state after each step is, one line a name.

    Args:
        gradients: By name an array (B, T + 1, U) of `seq2seq.analysis.gradients.loss_gradients`; over sequences the
            geometric mean is taken.
    """
    figure, axes = _single()
    for name, gradient in gradients.items():
        norms = np.linalg.norm(gradient, axis=-1).clip(SMALLEST)
        axes.semilogy(np.exp(np.log(norms).mean(0)), label=name)
    axes.set(xlabel="step k", ylabel="norm of the loss's derivative by state k")
    axes.legend()
    return figure


def singular_values_over_time(values: Mapping[str, np.ndarray], sequence: int = 0) -> Figure:
    """Draw all singular values of each step's Jacobian in one sequence, one panel a name.

    Args:
        values: By name an array (B, T, S) of `seq2seq.analysis.gradients.singular_values`.
        sequence: Which of the B.
    """
    figure = Figure(figsize=(3.2 * len(values) + 0.8, 3.5), layout="constrained")
    panels = figure.subplots(1, len(values), sharey=True, squeeze=False)[0]
    for axes, (name, array) in zip(panels, values.items(), strict=True):
        steps = np.arange(1, array.shape[1] + 1)
        axes.semilogy(steps, array[sequence].clip(1e-6), color="C0", alpha=0.35, linewidth=0.8)
        axes.semilogy(steps, array[sequence, :, 0], color="C1", label="largest")
        axes.axhline(1.0, color="grey", linewidth=0.8, linestyle=":")
        axes.set(title=name, xlabel="step")
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("singular values of the step's Jacobian")
    panels[0].legend()
    return figure


def truncation_over_chunk(tables: Mapping[str, pd.DataFrame], weight: str = "all") -> Figure:
    """Draw direction and length of a cut gradient against the full one over the steps that it is traced back.

    Args:
        tables: By name, of `seq2seq.analysis.gradients.truncation`.
        weight: One of the tables' weights, or `all`.
    """
    figure = Figure(figsize=(9, 3.5), layout="constrained")
    panels = figure.subplots(1, 2)
    for name, table in tables.items():
        rows = table[table["weight"] == weight]
        for axes, column in zip(panels, ("cosine", "norm_ratio"), strict=True):
            axes.plot(rows["chunk"], rows[column], marker="o", label=name)
    labels = ("cosine of the angle to the full gradient", "length / length of the full gradient")
    for axes, label in zip(panels, labels, strict=True):
        axes.set_xscale("log", base=2)
        axes.set(xlabel="steps traced back", ylabel=label)
        axes.grid(alpha=0.3)
    panels[0].legend()
    return figure


def gradient_norms(norms: Mapping[str, Sequence[float] | np.ndarray], limit: float | None = None) -> Figure:
    """Draw the length of the gradient of each update of a training, one line a name, and where it is clipped."""
    figure, axes = _single()
    for name, values in norms.items():
        axes.semilogy(np.arange(1, len(values) + 1), values, linewidth=0.9, label=name)
    if limit is not None:
        axes.axhline(limit, color="black", linewidth=0.8, linestyle="--", label="clipped above")
    axes.set(xlabel="update", ylabel="norm of the gradient before clipping")
    axes.legend()
    return figure


def _single() -> tuple[Figure, Any]:
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    axes.grid(alpha=0.3)
    return figure, axes
