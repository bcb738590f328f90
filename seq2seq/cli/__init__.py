"""The command line: thin Typer commands, one file per verb. Nothing here imports TensorFlow before it must."""

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from inspect import getdoc

import typer

from seq2seq.cli import (
    average,
    challenge,
    data,
    evaluate,
    generate,
    inspect,
    perplexity,
    quantize,
    quickstart,
    shortlist,
    tokenizer,
    train,
    translate,
)
from seq2seq.errors import Seq2SeqError

app = typer.Typer(
    name="seq2seq",
    help="Recurrent translation with attention: train, translate, evaluate.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.command("train")(train.train)
app.command("translate", context_settings=translate.CONTEXT_SETTINGS)(translate.translate)
app.command("evaluate")(evaluate.evaluate)
app.command("generate")(generate.generate)
app.command("perplexity")(perplexity.perplexity)
app.command("average")(average.average)
app.command("inspect")(inspect.inspect)
app.command("challenge")(challenge.challenge)
app.command("quantize")(quantize.quantize)
app.command("shortlist")(shortlist.shortlist)
app.command("quickstart")(quickstart.quickstart)
app.add_typer(tokenizer.app, name="tokenizer")
app.add_typer(data.app, name="data")

for commands in (app, tokenizer.app, data.app):
    for command in commands.registered_commands:
        # Typer would keep a docstring's line breaks within its later paragraphs.
        paragraphs = (getdoc(command.callback) or "").split("\n\n")
        command.help = "\n\n".join(paragraph.replace("\n", " ") for paragraph in paragraphs)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command; errors of the user are printed to stderr and exit with 1."""
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
