"""`seq2seq translate`."""

import time
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any, Literal

import typer

from seq2seq.bulk.shard import Shard
from seq2seq.cli.arguments import ComputePrecision, InputFile, Model, OutputFile, Quiet
from seq2seq.cli.console import (
    InputLines,
    import_tensorflow,
    print_stderr,
    progress_bar,
    warn,
)
from seq2seq.cli.options import load_recipe_and_options, with_search_options
from seq2seq.cli.texts import check_texts, split_models, texts_or_input
from seq2seq.config import TranslationConfig
from seq2seq.errors import ConfigError, CorpusError
from seq2seq.inference.output import (
    ACCEPTED_KINDS,
    ONE_ROW_FORMATS,
    InputFormat,
    OutputFormat,
    translate_to_rows,
)
from seq2seq.inference.summary import TranslationSummary, low_log_prob
from seq2seq.plurals import pluralize
from seq2seq.storage.files import STDIN, STDOUT, is_stream, place_name, resolve_file
from seq2seq.storage.streams import check_inputs, check_output, open_output

if TYPE_CHECKING:
    from seq2seq.bulk.chunks import Job
    from seq2seq.config import SearchOptions
    from seq2seq.inference.requests import Request
    from seq2seq.inference.translator import Translator

BULK_PANEL = "Bulk translation"
CONSTRAINTS_PANEL = "Constraints"
PROMPTS: dict[InputFormat, str] = {
    "text": "Type a sentence and press Enter",
    "jsonl": 'Type an object such as {"text": "The dog sleeps.", "prefix": "Der"} and press Enter',
}


@with_search_options()
def translate(
    model: Model,
    texts: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SENTENCE",
            help="Sentences to translate, instead of --input; models before them form an ensemble with MODEL. With "
            "--engine apache-beam: pipeline options after `--`.",
            show_default=False,
        ),
    ] = None,
    input_file: InputFile = None,
    output_file: OutputFile = None,
    input_format: Annotated[
        InputFormat,
        typer.Option(
            metavar="FORMAT",
            help='text, or jsonl: one object per line, {"text": ..., "prefix": ..., "include": [...], "exclude": '
            '[...], "terms": {...}}, where all but the text may be left out.',
        ),
    ] = "text",
    output_format: Annotated[
        OutputFormat | None,
        typer.Option(
            "--format",
            help="text: one translation per line; tsv: line<TAB>score<TAB>text, one row per translation; "
            "jsonl: one object per line, with tokens, scores, attention and word alignment; "
            "docs/files-and-formats.md lists its fields; aligned: translation ||| word alignment such as 0-0 1-2. "
            "Default: text, or tsv if --n-best is above 1.",
        ),
    ] = None,
    quiet: Quiet = False,
    prefix: Annotated[
        str,
        typer.Option(
            metavar="TEXT",
            help="Beginning of every translation. Its last word may be incomplete; a space at the end completes it.",
            rich_help_panel=CONSTRAINTS_PANEL,
        ),
    ] = "",
    include: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PHRASE",
            help="Phrase that every translation must contain, possibly with variants, Haus|Häuser; may be repeated.",
            rich_help_panel=CONSTRAINTS_PANEL,
        ),
    ] = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PHRASE",
            help="Phrase that no translation may contain; may be repeated.",
            rich_help_panel=CONSTRAINTS_PANEL,
        ),
    ] = None,
    *,
    search: dict[str, Any],
    precision: ComputePrecision = "float32",
    shard: Annotated[
        str | None,
        typer.Option(
            help="Translate part I of N. An interrupted part resumes; the last part to finish merges the output.",
            rich_help_panel=BULK_PANEL,
            metavar="I/N",
        ),
    ] = None,
    engine: Annotated[
        Literal["local", "apache-beam"],
        typer.Option(
            help="Where to run: in this process, or on Apache Beam, whose pipeline options follow `--`.",
            rich_help_panel=BULK_PANEL,
        ),
    ] = "local",
) -> None:
    """Translate sentences given as arguments, or the lines of a file or stdin.

    Examples: seq2seq translate phrasebook-en-de 'The dog sleeps.'

    seq2seq translate runs/pairs -i test.en -o test.hyp.de

    Line N of the output is the translation of line N of the input; a blank line stays blank. At a terminal, each line
    is translated as it is entered. A line may contain several sentences.

    A summary on stderr reports lines with several sentences, characters unknown to the model, the speed, and lines to
    check: those with such characters, with a low score, with source text that received hardly any attention, or with a
    translation that repeats itself.

    The score is the sum of the token log-probabilities, normalised by length according to --length-penalty. It is at
    most 0; higher is better. Long translations score lower than short ones unless --length-penalty is average. A blank
    line has no score.

    Several models with the same tokenizers are an ensemble: their predictions are averaged at each step.

    A search option that is not given has the value from the recipe of the (first) model. "Recipe default" is the
    value that a recipe has unless it sets the key, except for --n-best, which is always 1 unless given.
    """
    start = time.perf_counter()
    n_best = search.get("n_best", 1)
    several = n_best > 1
    if output_format in ONE_ROW_FORMATS and several:
        raise ConfigError(
            f"--format {output_format} has one translation per line, but --n-best is {n_best}. Use --format tsv or "
            "jsonl."
        )
    output_format = output_format or ("tsv" if several else "text")
    if search.get("confidence") and output_format != "jsonl":
        raise ConfigError(f"--confidence: is not part of --format {output_format}. Use --format jsonl.")
    others, texts = split_models(texts)
    models = [model, *others]
    if engine == "local":
        check_texts(texts, input_file)
    files = _files(input_file, output_file, shard, engine)
    if files is not None and (prefix or include or exclude):
        raise ConfigError(
            "--prefix, --include and --exclude are not for bulk translation: state them in each line of the input, "
            "with --input-format jsonl."
        )
    source, target = files or (input_file or STDIN, output_file or STDOUT)
    inputs = [] if texts and files is None else [source]
    check_inputs(inputs)
    check_output(target, inputs=inputs)
    from seq2seq.model_directory.directory import read_metadata

    if output_format != "jsonl":
        search = search | {"confidence": False}  # of a recipe: other formats do not show it
    _, options = load_recipe_and_options(model, TranslationConfig, search, others)
    # An ensemble was not validated, and gives human translations other probabilities than its models.
    scores = {} if others else read_metadata(model)["scores"]
    import_tensorflow()
    from seq2seq.inference.requests import Request
    from seq2seq.inference.translator import Translator

    translator = Translator.load(models, precision, on_warning=warn)
    translator.check(options)
    asks = prefix or include or exclude
    common = Request("", prefix, include or (), exclude or ()) if asks else None
    if output_format == "aligned" and not translator.step_sources.uses_attention:
        raise ConfigError(
            f"--format aligned: {model} was made with 'decoder.attention: none' and cannot align. Translate with "
            "--format text, then use seq2seq align --ibm1."
        )
    if files is None:
        summary = TranslationSummary(
            low_log_prob(scores, options), translator.source_lines.usual_sentences, options.no_repeat_ngram_size
        )
        loading = time.perf_counter() - start
        with (
            texts_or_input(texts, source, PROMPTS[input_format], ACCEPTED_KINDS[input_format]) as lines,
            open_output(target, inputs=inputs) as written,
        ):
            _translate_lines(translator, lines, written, options, output_format, summary, quiet, input_format, common)
        if not quiet:
            print_stderr(summary.describe(loading))
        return
    from seq2seq.bulk.chunks import Job

    job = Job(tuple(models), *files, options, output_format, precision, input_format)
    if shard is not None:
        _translate_shard(translator, job, Shard.parse(shard), quiet)
        return
    from seq2seq.bulk.apache_beam import translate_on_apache_beam

    print_stderr(f"{job.output}: {pluralize(translate_on_apache_beam(job, texts or []), 'line')}")


def _translate_lines(
    translator: "Translator",
    lines: InputLines,
    written: IO[str],
    options: "SearchOptions",
    output_format: OutputFormat,
    summary: TranslationSummary,
    quiet: bool,
    input_format: InputFormat,
    common: "Request | None",
) -> None:
    """Translate lines as they arrive."""
    from seq2seq.inference.requests import read_request
    from seq2seq.inference.translator import CHUNK_SENTENCES

    done = 0
    read = partial(read_request, name=lines.name, input_format=input_format, common=common)
    hidden = quiet or lines.typed or written.isatty()  # a bar and lines of text would overwrite each other
    with progress_bar(f"translating {lines.name}", None, hidden=hidden) as advance:
        for chunk in lines.chunks(CHUNK_SENTENCES, read):
            start = time.perf_counter()
            for rows in translate_to_rows(
                translator,
                chunk,
                options,
                output_format,
                name=lines.name,
                first=done + 1,
                on_warning=warn,
                on_progress=lambda count, before=done: advance(before + count),  # type: ignore[misc]
                on_translated=summary.add,
            ):
                written.writelines(f"{row}\n" for row in rows)
            written.flush()
            done += len(chunk)
            summary.seconds += time.perf_counter() - start


def _files(source: Path | None, target: Path | None, shard: str | None, engine: str) -> tuple[Path, Path] | None:
    """The input and output files that `--shard` and `--engine apache-beam` require; None if neither is used.

    Raises:
        ConfigError: A file is not given, or both options are.
        CorpusError: The input cannot be read again, or the output is not a file that can be written in parts.
    """
    if shard is None and engine == "local":
        return None
    if shard is not None:
        Shard.parse(shard)
        if engine != "local":
            raise ConfigError(
                f"--shard {shard} and --engine {engine}: the engine divides the work by itself. Use one of the two."
            )
    if source is None or target is None:
        given = f"--engine {engine}" if shard is None else f"--shard {shard}"
        missing = "--input" if source is None else "--output"
        raise ConfigError(f"{given} needs an input file and an output file: {missing} is missing.")
    if is_stream(target):
        raise CorpusError(
            f"{place_name(target)}: expected a file, since the output is written in parts, found a pipe or device."
        )
    return resolve_file(str(source)), target


def _translate_shard(translator: "Translator", job: "Job", shard: Shard, quiet: bool) -> None:
    from seq2seq.bulk.shards import translate_shard

    with progress_bar(f"translating shard {shard} of {job.source}", None, hidden=quiet) as advance:
        report = translate_shard(translator, job, shard, on_warning=warn, on_progress=advance)
    lines, new = report.lines, len(report.lines) - report.resumed_lines
    where = (
        f"lines {lines.start:,} to {lines.stop - 1:,}"
        if lines
        else "no lines, since there are fewer chunks than shards"
    )
    done = "already translated" if lines and not new else f"{new:,} translated now, {report.resumed_lines:,} before"
    print_stderr(f"shard {shard}: {where}: {done}")
    print_stderr(
        f"{job.output}: merged"
        if report.joined
        else f"complete: {report.complete_shards} of {pluralize(shard.count, 'shard')}"
    )
