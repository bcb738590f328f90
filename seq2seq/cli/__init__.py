"""The command line: thin Typer commands. Nothing here imports TensorFlow before it must."""

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from inspect import getdoc
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from seq2seq import __version__
from seq2seq.cli import data, tokenizer
from seq2seq.cli.challenge import challenge
from seq2seq.cli.derived_models import average, quantize, shortlist
from seq2seq.cli.evaluate import evaluate
from seq2seq.cli.export import export
from seq2seq.cli.inspect import inspect
from seq2seq.cli.language_models import generate, perplexity
from seq2seq.cli.quickstart import quickstart
from seq2seq.cli.train import train
from seq2seq.cli.translate import translate
from seq2seq.errors import Seq2SeqError


class _Commands(TyperGroup):
    """Commands that report wrong arguments without pydantic's prefix."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            error.message = error.message.removeprefix("Value error, ")
            raise


def _print_version(asked: bool) -> None:
    if asked:
        print(f"seq2seq {__version__}")
        raise typer.Exit


app = typer.Typer(
    name="seq2seq",
    cls=_Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


@app.callback()
def seq2seq(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Recurrent translation with attention: train, translate, evaluate."""


for verb in (train, translate, evaluate, generate, perplexity):
    app.command(verb.__name__)(verb)
for verb in (average, inspect, export, challenge, quantize, shortlist, quickstart):
    app.command(verb.__name__)(verb)
app.add_typer(tokenizer.app, name="tokenizer")
app.add_typer(data.app, name="data")

for commands in (app, tokenizer.app, data.app):
    for command in commands.registered_commands:
        # Typer would keep a docstring's line breaks within its later paragraphs.
        paragraphs = (getdoc(command.callback) or "").split("\n\n")
        command.help = "\n\n".join(paragraph.replace("\n", " ") for paragraph in paragraphs)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command; errors of the user are printed to stderr and exit with 1."""
    for stream in ("stdout", "stderr"):
        if getattr(sys, stream) is None:  # closed, and its number free for the next file, which TensorFlow would write
            setattr(sys, stream, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w", encoding="utf-8"))
    try:
        try:
            app(args=None if arguments is None else list(arguments))
        finally:
            sys.stdout.flush()
    except Seq2SeqError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except OSError as error:
        _let_go_of_stdout()
        print(f"error: {error.filename or 'input or output'}: {error.strerror or error}.", file=sys.stderr)
        sys.exit(1)


def _let_go_of_stdout() -> None:
    """What a full disk or a closed pipe did not take, Python would try to write again at its end, and complain."""
    try:
        sys.stdout.flush()
    except OSError:
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
