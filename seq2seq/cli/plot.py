"""`seq2seq plot`."""

from pathlib import Path
from typing import Annotated

import typer

from seq2seq.errors import ConfigError
from seq2seq.extras import require_extra
from seq2seq.model_directory.pretrained import find_model
from seq2seq.storage.streams import check_output, open_output

PLOT_FORMATS = (".png", ".svg", ".pdf")


def plot(
    runs: Annotated[
        list[Path],
        typer.Argument(parser=find_model, metavar="DIR...", help="Directories of runs, as seq2seq train makes them."),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="File for the figure: .png, .svg or .pdf.")
    ],
) -> None:
    """Draw the learning curves of one or more runs: losses, BLEU and learning rate over updates, in one figure.

    It reads the validations of each run (history.jsonl); the run may still be training.
    """
    check_plot(output, "--output")
    from seq2seq.analysis.plots.history import plot_runs

    figure = plot_runs(dict(zip(_names(runs), runs, strict=True)))
    with open_output(output) as file:
        figure.savefig(file.buffer, format=output.suffix[1:], dpi=150)


def check_plot(path: Path, option: str) -> None:
    """Check, before anything slow, that a figure can be drawn into a file.

    Raises:
        BadParameter: The name does not end in one of `PLOT_FORMATS`.
        CorpusError: The file cannot be written.
        MissingExtraError: The extra `analysis` is not installed.
    """
    if path.suffix not in PLOT_FORMATS:
        raise typer.BadParameter(f"{option} {path}: expected a name that ends in {', '.join(PLOT_FORMATS)}")
    check_output(path)
    with require_extra("analysis", needed_by="A plot"):
        import matplotlib  # noqa: F401


def _names(runs: list[Path]) -> list[str]:
    """Names of the directories; with their parents if several are called the same."""
    names = [run.name or run.absolute().name for run in runs]
    names = [name if names.count(name) == 1 else str(run) for name, run in zip(names, runs, strict=True)]
    for name, run in zip(names, runs, strict=True):
        if names.count(name) > 1:
            raise ConfigError(f"{run}: given twice. Name each run once.")
    return names
