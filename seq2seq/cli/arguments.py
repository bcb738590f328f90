"""Arguments and options that several commands have, each declared once; those for keys of a recipe are in `options`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from seq2seq.cli.console import input_place, output_place
from seq2seq.config.precision import PRECISIONS, Precision
from seq2seq.model_directory.pretrained import find_model


def _input(description: str) -> Any:
    return typer.Option("--input", "-i", parser=input_place, metavar="FILE", help=description)


_MODEL = typer.Argument(
    parser=find_model, metavar="MODEL", help="A model directory, or the name of a pretrained model."
)
_REFERENCE = typer.Option(
    parser=input_place, metavar="FILE", help="Reference translations; repeat for several references."
)

Model = Annotated[Path, _MODEL]
OptionalModel = Annotated[Path | None, _MODEL]
TextArguments = Annotated[
    list[str] | None,
    typer.Argument(metavar="TEXT", help="Text instead of --input, one line per argument.", show_default=False),
]
InputFile = Annotated[Path | None, _input("Text, line by line, compressed or not; default: stdin (-).")]
PairsFile = Annotated[
    Path | None,
    _input("Pairs instead of --source and --target, one source<TAB>target per line; default: stdin (-)."),
]
SourceFile = Annotated[
    Path | None, typer.Option(parser=input_place, metavar="FILE", help="Source text, compressed or not.")
]
TargetFile = Annotated[
    Path | None, typer.Option(parser=input_place, metavar="FILE", help="Translations of --source, line by line.")
]
Reference = Annotated[list[Path], _REFERENCE]
OptionalReference = Annotated[list[Path] | None, _REFERENCE]
OutputFile = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        parser=output_place,
        metavar="FILE",
        help="File for the result, replaced if it exists; default: stdout (-).",
    ),
]
AsJson = Annotated[
    bool, typer.Option("--json", help="Print JSON instead of tables; docs/files-and-formats.md lists its fields.")
]
Quiet = Annotated[
    bool,
    typer.Option("--quiet", "-q", help="Omit the progress bar and the summary on stderr; warnings remain."),
]
ComputePrecision = Annotated[
    Precision,
    typer.Option(
        "--precision",
        metavar="NAME",
        help=f"Precision of computation: {', '.join(PRECISIONS)}. All but float32 are faster on a GPU, but a result "
        "may then depend on its batch.",
        rich_help_panel="Speed",
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Set a key of the recipe, e.g. training.epochs=5; repeatable."),
]
