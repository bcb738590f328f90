"""`seq2seq translate`."""

from pathlib import Path
from typing import Annotated

import typer


def translate(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A model directory.")],
    input_file: Annotated[
        Path | None,
        typer.Option("--input", "-i", metavar="FILE", help="One sentence a line; stdin by default."),
    ] = None,
    output_file: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="One translation a line; stdout by default."),
    ] = None,
    beam_size: Annotated[int | None, typer.Option(help="Hypotheses kept at each step; 1 is greedy.")] = None,
    length_penalty: Annotated[
        str | None, typer.Option(help="GNMT's alpha, 0 for none, or 'average'.", metavar="FLOAT|average")
    ] = None,
    n_best: Annotated[
        int | None, typer.Option(help="Print so many translations a line, as line<TAB>score<TAB>text.")
    ] = None,
) -> None:
    """Translate text. Line N of the output answers line N of the input; a blank line stays blank."""
    from seq2seq.cli.common import (
        lenient_lines,
        load_tensorflow,
        open_input,
        open_output,
        progress_bar,
        search_options,
    )

    load_tensorflow()
    from seq2seq.translator import Translator

    translator = Translator.load(model)
    options = search_options(translator.options, beam_size=beam_size, length_penalty=length_penalty, n_best=n_best)
    name = str(input_file or "stdin")
    with (
        open_input(input_file) as source,
        open_output(output_file, reads=input_file) as target,
        progress_bar(f"translating {name}", None) as advance,
    ):
        translations = translator.translate_stream(lenient_lines(source, name), options, progress=advance)
        for number, translation in enumerate(translations, start=1):
            if options.n_best == 1:
                target.write(f"{translation.text}\n")
            else:
                for hypothesis in translation.hypotheses:
                    target.write(f"{number}\t{hypothesis.score:.4f}\t{hypothesis.text}\n")
