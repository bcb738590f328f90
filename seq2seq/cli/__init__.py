"""The command line: thin Typer commands, which import TensorFlow as late as possible."""

import errno
import os
import sys
import warnings
from collections.abc import Sequence
from contextlib import suppress
from inspect import getdoc
from typing import Annotated, Any, NoReturn, TextIO

import typer
from typer.core import TyperCommand, TyperGroup, TyperOption

from seq2seq import __version__
from seq2seq.cli import data, tokenizer
from seq2seq.cli.align import align
from seq2seq.cli.challenge import challenge
from seq2seq.cli.compare import compare
from seq2seq.cli.console import report_interruption, show_anything, show_own_warnings
from seq2seq.cli.derived_models import average, calibrate, quantize, shortlist
from seq2seq.cli.evaluate import evaluate
from seq2seq.cli.export import export
from seq2seq.cli.inspect import inspect
from seq2seq.cli.language_models import generate, perplexity
from seq2seq.cli.plot import plot
from seq2seq.cli.quickstart import quickstart
from seq2seq.cli.score import score
from seq2seq.cli.sweep import sweep
from seq2seq.cli.train import train
from seq2seq.cli.translate import translate
from seq2seq.errors import Seq2SeqError
from seq2seq.storage.streams import replace_closed_streams


class _PlainFlags:
    """Help without a type for flags, which take no value."""

    def get_params(self, ctx: Any) -> list[Any]:
        parameters = super().get_params(ctx)  # type: ignore[misc]
        for parameter in parameters:
            if isinstance(parameter, TyperOption) and parameter.is_flag:
                parameter.metavar = ""
        return parameters


class _Command(_PlainFlags, TyperCommand):
    """A command."""


class _Group(_PlainFlags, TyperGroup):
    """A group of commands."""


class _Commands(_Group):
    """A group that reports wrong arguments without pydantic's prefix, and an interruption in one line."""

    def invoke(self, ctx: Any) -> Any:
        try:
            with report_interruption():
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
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def seq2seq(
    version: Annotated[
        bool,
        typer.Option("--version", "-V", callback=_print_version, is_eager=True, help="Print the version and exit."),
    ] = False,
) -> None:
    """Recurrent translation with attention: train, translate, evaluate."""


for verb in (train, translate, evaluate, score, generate, perplexity):
    app.command(verb.__name__)(verb)
for verb in (sweep, compare, plot):
    app.command(verb.__name__)(verb)
for verb in (average, inspect, export, align, challenge, calibrate, quantize, shortlist, quickstart):
    app.command(verb.__name__)(verb)
app.add_typer(tokenizer.app, name="tokenizer", cls=_Group)
app.add_typer(data.app, name="data", cls=_Group)

for commands in (app, tokenizer.app, data.app):
    for command in commands.registered_commands:
        command.cls = _Command
        # Typer would keep the line breaks within all but the first paragraph of a docstring.
        paragraphs = (getdoc(command.callback) or "").split("\n\n")
        command.help = "\n\n".join(paragraph.replace("\n", " ") for paragraph in paragraphs)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command; user errors are printed to stderr and end the process with exit code 1."""
    replace_closed_streams()
    show_anything()
    try:
        with warnings.catch_warnings():
            show_own_warnings()
            try:
                app(args=None if arguments is None else list(arguments))
            except SystemExit:
                sys.stdout.flush()
                _let_go_of(sys.stderr)
                raise
    except Seq2SeqError as error:
        _let_go_of(sys.stdout)
        _fail(str(error))
    except OSError as error:
        place = error.filename or ("stdout: cannot be written" if _let_go_of(sys.stdout) else "input or output")
        if error.errno == errno.EPIPE:  # the reader closed the pipe
            sys.exit(1)
        if "temporary directory" in str(error):
            _fail(f"temporary files: {error.strerror}. Set TMPDIR to a writable folder.")
        _fail(f"{place}: {error.strerror or error}.")


def _fail(message: str) -> NoReturn:
    with suppress(OSError):
        print(f"error: {message}", file=sys.stderr)
    _let_go_of(sys.stderr)
    sys.exit(1)


def _let_go_of(stream: TextIO) -> bool:
    """Flush a stream; return whether that fails. If so, discard the rest, or Python would report it again at exit."""
    try:
        stream.flush()
    except OSError:
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        return True
    return False
