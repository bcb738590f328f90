"""`seq2seq export`."""

from pathlib import Path
from typing import Annotated

import typer
from rich.filesize import decimal

from seq2seq.cli.arguments import Model
from seq2seq.cli.console import print_stdout, warn
from seq2seq.export import ExportFormat
from seq2seq.model_directory import WeightsDtype
from seq2seq.plurals import pluralize
from seq2seq.text.display_width import max_width, pad


def export(
    model: Model,
    output: Annotated[Path, typer.Argument(metavar="DIR", help="Directory of the copy: new or empty.")],
    export_format: Annotated[
        ExportFormat, typer.Option("--format", help="Format of the copy; directory: a model directory.")
    ] = "directory",
    dtype: Annotated[
        WeightsDtype | None,
        typer.Option(help="Type of the stored weights; float16 halves the file size. Default: as stored in MODEL."),
    ] = None,
    model_only: Annotated[
        bool, typer.Option("--model-only", help="Leave out the shortlist and the 8-bit decoder.")
    ] = False,
    licence: Annotated[
        str | None, typer.Option(metavar="ID", help="Licence of the copy, for the model card, e.g. cc-by-4.0.")
    ] = None,
    evaluation: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Output of seq2seq evaluate --json, for the model card; repeatable."),
    ] = None,
) -> None:
    """Copy a model without checkpoints and corpora, and write a model card.

    The copy can be moved and shared, and all commands can use it. Paths from this machine are reduced to file names.
    """
    from seq2seq.export.export import export_model

    export_model(
        model,
        output,
        export_format=export_format,
        dtype=dtype,
        model_only=model_only,
        licence=licence,
        evaluations=evaluation or (),
        on_warning=warn,
    )
    files = sorted(file for file in output.iterdir() if file.is_file())
    width = max_width(file.name for file in files)
    size = decimal(sum(file.stat().st_size for file in files))
    rows = [f"  {pad(file.name, width)}  {decimal(file.stat().st_size)}" for file in files]
    print_stdout("\n".join([f"{output}: {pluralize(len(files), 'file')}, {size}", *rows]))
