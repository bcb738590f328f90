"""Plot of the learning curve of a run."""

from collections.abc import Mapping, Sequence
from os import PathLike, fspath
from typing import Any

from seq2seq.errors import EvaluationError
from seq2seq.extras import require_extra
from seq2seq.model_directory.directory import CONFIG, read_history, read_metadata
from seq2seq.model_directory.pretrained import find_model

with require_extra("analysis", needed_by=__name__):
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

Curve = list[tuple[float, float]]  # pairs of x and y


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

    def curve(key: str) -> Curve:
        return [(entry["update"], entry[key]) for entry in history if entry.get(key) is not None]

    best = next((entry["update"] for entry in reversed(history) if entry["best"]), None)
    return "update", {"train": curve("train_nll"), "validation": curve("valid_loss")}, curve("bleu"), best


def _draw(axes: Axes, curves: Mapping[str, Curve], unit: str, label: str, best: float | None) -> None:
    for name, curve in curves.items():
        if curve:
            axes.plot(*zip(*curve, strict=True), marker="o", markersize=3, label=name)
    if best is not None:
        axes.axvline(best, color="grey", linestyle=":", label="best")
    axes.set(xlabel=unit, ylabel=label, ylim=(0, None))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.grid(alpha=0.3)
