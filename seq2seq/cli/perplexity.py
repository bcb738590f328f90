"""`seq2seq perplexity`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from seq2seq.config.precision import Precision


def perplexity(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="The directory of a language model.")],
    input_file: Annotated[
        Path | None,
        typer.Option("--input", "-i", metavar="FILE", help="One sentence per line; stdin by default."),
    ] = None,
    precision: Annotated[
        Precision, typer.Option(help="All but float32 are for speed on a GPU, see seq2seq translate.")
    ] = "float32",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Measure how well a language model predicts text: perplexity per token and per word, bits per character.

    The last two can be compared between models with different tokenizers. Blank lines are skipped.
    """
    from seq2seq.cli.console import progress_bar, warn
    from seq2seq.cli.startup import load_tensorflow
    from seq2seq.cli.text_files import open_input
    from seq2seq.corpora.readers import decode_lines

    load_tensorflow()
    from seq2seq.inference.text_generator import TextGenerator

    generator = TextGenerator.load(model, precision, warn=warn)
    name = str(input_file or "stdin")
    with open_input(input_file) as handle:
        lines = list(decode_lines(handle, name, warn))
    with progress_bar(f"measuring {name}", len(lines)) as advance:
        report = generator.perplexity(lines, on_progress=advance)
    if as_json:
        print(json.dumps(report.as_dict(), indent=2))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, show_header=False)
    for title, value in (
        ("perplexity per token", f"{report.per_token:.2f}"),
        ("perplexity per word", f"{report.per_word:.2f}"),
        ("bits per character", f"{report.bits_per_character:.3f}"),
    ):
        table.add_row(title, value)
    console = Console()
    console.print(table)
    console.print(
        f"{report.sentences:,} sentences of {report.tokens:,} tokens ({report.unknown_tokens:,} unknown), "
        f"{report.words:,} words, {report.characters:,} characters, sentence ends included",
        highlight=False,
        soft_wrap=True,
    )
