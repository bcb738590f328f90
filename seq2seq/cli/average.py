"""`seq2seq average`."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from seq2seq.cli.console import write
from seq2seq.cli.startup import load_tensorflow
from seq2seq.cli.train import next_commands


def average(
    model: Annotated[Path, typer.Argument(metavar="DIR", help="A model directory with kept weights.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR2", help="A new model directory.")],
    last: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Average N validations, counted from the last.")
    ] = None,
    best: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Average N validations, counted from the best.")
    ] = None,
) -> None:
    """Average the weights of several validations of a run into a new model.

    Training keeps the weights of training.keep_last and training.keep_best validations for it. What is best is
    decided by validation.metric.
    """
    if (last is None) == (best is None):
        raise typer.BadParameter("give one of --last N and --best N")
    from seq2seq.model_directory.directory import load_model_config

    load_tensorflow()
    from seq2seq.training.averaging import average_checkpoints

    validations = average_checkpoints(model, output, last=last, best=best)
    table = Table("update", "epoch", "valid loss", "BLEU", title="Averaged", title_justify="left", box=None)
    for about in validations:
        bleu = "" if about["bleu"] is None else f"{about['bleu']:.2f}"
        table.add_row(f"{about['update']:,}", str(about["epoch"]), f"{about['loss']:.3f}", bleu)
    Console().print(table)
    write(next_commands(load_model_config(output), output))
