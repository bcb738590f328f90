"""Plots of learning curves, of one run or of several."""

from collections.abc import Mapping, Sequence
from math import isfinite
from os import PathLike, fspath
from typing import Any

from seq2seq.analysis.plots.style import line_style
from seq2seq.arguments import NotEmpty, check_arguments
from seq2seq.errors import EvaluationError
from seq2seq.extras import require_extra
from seq2seq.model_directory.directory import CONFIG, read_metadata
from seq2seq.model_directory.history import read_history
from seq2seq.model_directory.pretrained import find_model

with require_extra("analysis", needed_by=__name__):
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D
    from matplotlib.ticker import MaxNLocator

    from seq2seq.analysis.plots.figure import Figure

Curve = list[tuple[float, float]]  # pairs of x and y
PANELS = {  # key of a validation, and its label
    "train_nll": "training loss (nats per token)",
    "valid_loss": "validation loss (nats per token)",
    "bleu": "BLEU on validation (%)",
    "learning_rate": "learning rate",
}
MAX_MARKERS = 12  # of a curve
RING: dict[str, Any] = {"marker": "o", "markersize": 11, "markerfacecolor": "none", "color": "0.3"}


def plot_history(run: Any) -> Figure:
    """Draw losses, and BLEU if it was measured, over updates or, for Keras's `fit`, over epochs.

    Args:
        run: Result of `train` or `fit`, a translator from `train_pairs`, a model directory, or the history of one of
            these: a list of validations, or a dict of lists by name.

    Raises:
        EvaluationError: `run` is something else, or nothing was measured yet; a saved or exported copy has no history.
        ModelDirectoryError: There is no such directory, or its history is damaged.
    """
    unit, losses, bleu, best = _curves(_history(run))
    if not any(losses.values()):
        raise EvaluationError(
            "nothing to draw: no validation was recorded. A saved or exported model has no history: pass the directory "
            "of its run."
        )
    figure = Figure(figsize=(11 if bleu else 6, 3.6), layout="constrained")
    panels: list[Axes] = list(figure.subplots(1, 2 if bleu else 1, squeeze=False)[0])
    _draw(panels[0], losses, unit, "loss (nats per token)", best)
    panels[0].legend()
    if bleu:
        _draw(panels[1], {"BLEU": bleu}, unit, "BLEU on validation", best)
    return figure


@check_arguments(runs="Pass {'name': run, ...}.")
def plot_runs(runs: NotEmpty[Mapping[str, Any]]) -> Figure:
    """Draw the losses, BLEU and learning rate of several runs over updates, each in a panel with a curve per run.

    Curves differ in colour, marker and line style; a ring marks the best validation of each run. Quantities that no run
    has recorded have no panel.

    Args:
        runs: Runs by name: model directories, histories, or anything else with updates that `plot_history` accepts.

    Raises:
        EvaluationError: A run is something else, has no validations, or was trained with `fit`, which counts epochs.
        ModelDirectoryError: A directory does not exist, or its history is damaged.
    """
    histories: dict[str, Sequence[Mapping[str, Any]]] = {}
    for name, run in runs.items():
        histories[name] = _history(run)
        unit, losses, *_ = _curves(histories[name])
        if unit != "update":
            raise EvaluationError(f"plot_runs: '{name}' was trained with fit, which counts epochs. Use plot_history.")
        if not any(losses.values()):
            raise EvaluationError(
                f"'{name}': nothing to draw: no validation was recorded. A saved or exported model has no history: "
                "give the directory of its run."
            )
    shown = [key for key in PANELS if any(_points(history, key) for history in histories.values())]
    rows = (len(shown) + 1) // 2
    figure = Figure(figsize=(10, 3.4 * rows + 0.35 * len(runs)), layout="constrained")
    grid = list(figure.subplots(rows, 2, squeeze=False).flat)
    for spare in grid[len(shown) :]:
        spare.remove()
    for key, axes in zip(shown, grid, strict=False):
        for number, history in enumerate(histories.values()):
            _draw_run(axes, history, key, number)
        axes.set(xlabel="update", ylabel=PANELS[key])
        _mark_updates(axes)
    lines = [Line2D([], [], **line_style(number), label=name) for number, name in enumerate(runs)]
    if "valid_loss" in shown:
        lines.append(Line2D([], [], linestyle="", label="best validation", **RING))
    figure.legend(handles=lines, loc="outside lower left", frameon=False)
    return figure


def _draw_run(axes: Axes, history: Sequence[Mapping[str, Any]], key: str, number: int) -> None:
    points = _points(history, key)
    if not points:
        return
    axes.plot(*zip(*points, strict=True), markevery=_markers_apart(points), **line_style(number))
    best = [entry["update"] for entry in history if entry["best"]]
    if best and key in ("valid_loss", "bleu"):
        axes.plot(*zip(*[point for point in points if point[0] == best[-1]], strict=True), **RING)


def _markers_apart(points: Curve) -> int:
    """Number of points from one marker to the next."""
    return -(-len(points) // MAX_MARKERS)


def _points(history: Sequence[Mapping[str, Any]], key: str) -> Curve:
    """Updates and values of a quantity, without those that are not known or not finite."""
    found = [(entry["update"], entry.get(key)) for entry in history]
    return [(update, value) for update, value in found if value is not None and isfinite(value)]


def _history(run: Any) -> Any:
    if isinstance(run, (str, PathLike)):
        folder = find_model(fspath(run))
        if not (folder / CONFIG).exists():
            read_metadata(folder)  # raises with what is missing
        return read_history(folder)
    report = getattr(run, "report", run)  # of a translator
    return getattr(report, "history", report)


def _curves(history: Any) -> tuple[str, dict[str, Curve], Curve, float | None]:
    """The unit of x, losses by corpus, BLEU, and the x of the best validation."""
    if isinstance(history, Mapping) and "nll" in history:
        losses = {"train": history["nll"], "validation": history.get("val_nll", [])}
        return "epoch", {name: list(enumerate(values, start=1)) for name, values in losses.items()}, [], None
    is_run = isinstance(history, Sequence) and not isinstance(history, str)
    if not (is_run and all(isinstance(entry, Mapping) and "update" in entry for entry in history)):
        raise EvaluationError(
            "plot_history: expected the result of train, train_pairs or fit, or the directory of a run, found "
            f"{type(history).__name__}."
        )

    best = next((entry["update"] for entry in reversed(history) if entry["best"]), None)
    return (
        "update",
        {"train": _points(history, "train_nll"), "validation": _points(history, "valid_loss")},
        _points(history, "bleu"),
        best,
    )


def _draw(axes: Axes, curves: Mapping[str, Curve], unit: str, label: str, best: float | None) -> None:
    for number, (name, curve) in enumerate(curves.items()):
        if curve:
            axes.plot(*zip(*curve, strict=True), label=name, markevery=_markers_apart(curve), **line_style(number))
    if best is not None:
        axes.axvline(best, color="grey", linestyle=":", label="best")
    axes.set(xlabel=unit, ylabel=label, ylim=(0, None))
    _mark_updates(axes)


def _mark_updates(axes: Axes) -> None:
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.grid(alpha=0.3)
