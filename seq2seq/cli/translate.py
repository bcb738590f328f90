"""`seq2seq translate`."""

import json
from collections.abc import Iterator
from itertools import tee
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    from seq2seq.translation import Translation

Format = Literal["text", "tsv", "jsonl"]
# What would start another column or line.
SEPARATORS = str.maketrans("\t\n\r", "   ")


def flag(meaning: str, panel: str = "Search", **more: Any) -> Any:
    """An option named like its key in a recipe's `search` section; the model's recipe holds the default."""
    return typer.Option(help=meaning, rich_help_panel=panel, **more)


def translate(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A model directory.")],
    input_file: Annotated[
        Path | None,
        typer.Option("--input", "-i", metavar="FILE", help="One sentence a line; stdin by default."),
    ] = None,
    output_file: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Translations; stdout by default."),
    ] = None,
    output_format: Annotated[
        Format | None,
        typer.Option(
            "--format",
            help="text: one translation a line; tsv: line<TAB>score<TAB>text, one row a translation; jsonl: one object "
            "a line, with tokens, scores and attention. Default: text, or tsv where --n-best is above 1.",
        ),
    ] = None,
    beam_size: Annotated[int | None, flag("Hypotheses kept at each step; 1 is greedy.")] = None,
    length_penalty: Annotated[
        str | None, flag("GNMT's alpha, 0 for none, or 'average'.", metavar="FLOAT|average")
    ] = None,
    coverage_penalty: Annotated[float | None, flag("GNMT's beta: how much it costs to skip source text.")] = None,
    n_best: Annotated[int | None, flag("Translations a line; 1 by default.")] = None,
    min_length: Annotated[int | None, flag("Shortest translation, in tokens with </s>.")] = None,
    max_length: Annotated[int | None, flag("Longest translation, in tokens with </s>.")] = None,
    max_length_factor: Annotated[float | None, flag("Longest translation: this times the source's length ...")] = None,
    max_length_extra: Annotated[int | None, flag("... plus this.")] = None,
    unk: Annotated[
        Literal["keep", "suppress", "replace"] | None,
        flag("Unknown tokens: write them, never choose them, or put the source's text that they attend to most."),
    ] = None,
    sample: Annotated[
        bool | None, flag("Draw --n-best translations at random; --beam-size is not used then.", "Sampling")
    ] = None,
    temperature: Annotated[float | None, flag("Logits are divided by it; below 1 is safer.", "Sampling")] = None,
    top_k: Annotated[int | None, flag("Draw among so many likeliest tokens.", "Sampling")] = None,
    top_p: Annotated[
        float | None, flag("Draw among the fewest likeliest that together have this probability.", "Sampling")
    ] = None,
    seed: Annotated[int | None, flag("The same seed draws the same translations of a line.", "Sampling")] = None,
    long_lines: Annotated[
        Literal["split", "cut"] | None,
        flag("A longer line is translated in pieces, or cut off with a warning.", "Long lines and batches"),
    ] = None,
    max_source_tokens: Annotated[
        int | None, flag("Longest line that is translated at once, in tokens with </s>.", "Long lines and batches")
    ] = None,
    shortlist: Annotated[
        int | None,
        flag("Choose among so many candidates of each source token; see seq2seq shortlist.", "Long lines and batches"),
    ] = None,
    int8: Annotated[
        bool | None, flag("Decode with 8-bit integers on the CPU; see seq2seq quantize.", "Long lines and batches")
    ] = None,
    batch_tokens: Annotated[
        int | None, flag("Padded source tokens times hypotheses at once.", "Long lines and batches")
    ] = None,
) -> None:
    """Translate text. Line N of the output answers line N of the input; a blank line stays blank.

    What is not given here is as the model's recipe has it.
    """
    from seq2seq.cli.common import (
        lenient_lines,
        load_tensorflow,
        open_input,
        open_output,
        progress_bar,
        search_options,
    )
    from seq2seq.errors import ConfigError

    several = n_best is not None and n_best > 1
    if output_format == "text" and several:
        raise ConfigError(
            f"--format text has one translation a line, and --n-best is {n_best}. Use --format tsv or jsonl."
        )
    load_tensorflow()
    from seq2seq.translator import Translator

    translator = Translator.load(model)
    options = search_options(
        translator.options,
        beam_size=beam_size,
        length_penalty=length_penalty,
        coverage_penalty=coverage_penalty,
        n_best=n_best,
        min_length=min_length,
        max_length=max_length,
        max_length_factor=max_length_factor,
        max_length_extra=max_length_extra,
        unk=unk,
        sample=sample,
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        seed=seed,
        long_lines=long_lines,
        max_source_tokens=max_source_tokens,
        shortlist=shortlist,
        int8=int8,
        batch_tokens=batch_tokens,
    )
    translator.check(options)
    name = str(input_file or "stdin")
    output_format = output_format or ("tsv" if several else "text")
    attention = output_format == "jsonl" and translator.model.attends
    with (
        open_input(input_file) as source,
        open_output(output_file, reads=input_file) as target,
        progress_bar(f"translating {name}", None) as advance,
    ):
        read, lines = tee(lenient_lines(source, name))  # holds what is read and not answered: one chunk
        translations = translator.translate_stream(read, options, attention=attention, progress=advance)
        for number, (translation, line) in enumerate(zip(translations, lines, strict=True), start=1):
            if translation.cut_tokens:
                _warn_of_cut(f"{name}:{number}", translation, options.max_source_tokens)
            target.writelines(f"{row}\n" for row in _rows(output_format, number, line, translation, attention))


def _rows(output_format: Format, number: int, line: str, translation: "Translation", attention: bool) -> Iterator[str]:
    """The lines of output that answer a line of input."""
    if output_format == "text":
        yield translation.text
    elif output_format == "tsv":
        for hypothesis in translation.hypotheses:
            yield f"{number}\t{hypothesis.score:.4f}\t{hypothesis.text.translate(SEPARATORS)}"
    else:
        values = {"line": number, "source": line, **translation.as_dict(attention)}
        yield json.dumps(values, ensure_ascii=False, allow_nan=False)


def _warn_of_cut(where: str, translation: "Translation", limit: int) -> None:
    from seq2seq.cli.common import errors

    found = len(translation.source_tokens) + translation.cut_tokens
    errors.print(
        f"warning: {where}: found {found} tokens, and the limit is {limit}: the last {translation.cut_tokens} before "
        "</s> are not translated. Raise --max-source-tokens, or use --long-lines split.",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
