"""`seq2seq train`."""

from pathlib import Path
from shlex import quote
from typing import Annotated

import typer

INTERRUPTED = 130


def train(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="A YAML file, or the name of a packaged recipe.")],
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change a key, as training.epochs=5."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="DIR", help="Model directory; runs/RECIPE, or that of a config.yaml."),
    ] = None,
    dump_config: Annotated[bool, typer.Option("--dump-config", help="Print the complete recipe and stop.")] = False,
) -> None:
    """Train a model, or go on with an interrupted training in the same directory.

    Ctrl-C saves; the same command then goes on as if nothing had happened (exit code 130).
    """
    from seq2seq.config import dump_config as dump
    from seq2seq.config import load_config

    config = load_config(recipe, overrides or [])
    if dump_config:
        print(dump(config), end="")
        return
    file = Path(recipe)
    output = output or (file.parent if file.name == "config.yaml" else Path("runs") / file.stem)

    from rich.console import Console

    from seq2seq.cli.common import load_tensorflow

    load_tensorflow()
    from seq2seq.training import train as run

    console = Console()
    report = run(config, output, console=console)
    if not report.finished:
        raise typer.Exit(INTERRUPTED)
    console.print(
        f"best {config.validation.metric} on validation: {report.best:.4g}\n"
        f"translate: seq2seq translate {quote(str(output))} -i FILE\n"
        f"evaluate:  seq2seq evaluate {quote(str(output))} --source FILE --reference FILE",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )
