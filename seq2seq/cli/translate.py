"""`seq2seq translate`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from seq2seq.config.precision import Precision
from seq2seq.inference.output import Format

if TYPE_CHECKING:
    from seq2seq.bulk.job import Job
    from seq2seq.config import SearchOptions
    from seq2seq.inference.translator import Translator

# Behind `--` stands what is for the engine.
CONTEXT = {"allow_extra_args": True}
BULK = "Past one machine"


def flag(meaning: str, panel: str = "Search", **more: Any) -> Any:
    """An option named like its key in a recipe's `search` section; the model's recipe holds the default."""
    return typer.Option(help=meaning, rich_help_panel=panel, **more)


def translate(
    context: typer.Context,
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
    language_model: Annotated[
        str | None,
        flag("A language model that has a say in each token; greedy and beam search.", metavar="DIR"),
    ] = None,
    language_model_weight: Annotated[float | None, flag("Of its log-probabilities; 0.2 by default.")] = None,
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
        int | None,
        flag(
            "Padded source tokens times hypotheses at once; by default as suits the device.", "Long lines and batches"
        ),
    ] = None,
    precision: Annotated[
        Precision,
        flag(
            "All but float32 are for speed on a GPU, and a translation can then depend on its batch.",
            "Long lines and batches",
        ),
    ] = "float32",
    shard: Annotated[
        str | None,
        flag("Part I of N of the input, resumed where it is; the last to end joins all.", BULK, metavar="I/N"),
    ] = None,
    engine: Annotated[
        Literal["local", "apache-beam"],
        flag("This process, or Apache Beam, with its pipeline options behind `--`.", BULK),
    ] = "local",
) -> None:
    """Translate text. Line N of the output answers line N of the input; a blank line stays blank.

    What is not given here is as the model's recipe has it.
    """
    from seq2seq.cli.console import warn
    from seq2seq.cli.options import search_options
    from seq2seq.cli.startup import load_tensorflow
    from seq2seq.cli.text_files import check_output
    from seq2seq.errors import ConfigError

    several = n_best is not None and n_best > 1
    if output_format == "text" and several:
        raise ConfigError(
            f"--format text has one translation a line, and --n-best is {n_best}. Use --format tsv or jsonl."
        )
    if context.args and engine == "local":
        raise typer.BadParameter(f"found {' '.join(context.args)!r} behind MODEL, which is for --engine apache-beam")
    files = _files(input_file, output_file, shard, engine)
    if files is not None:
        check_output(files[1], reads=files[0])
    load_tensorflow()
    from seq2seq.inference.translator import Translator

    translator = Translator.load(model, precision, notice=warn)
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
        language_model=language_model,
        language_model_weight=language_model_weight,
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
    output_format = output_format or ("tsv" if several else "text")
    if files is None:
        _translate_stream(translator, input_file, output_file, options, output_format)
        return
    from seq2seq.bulk.job import Job

    job = Job(model, *files, options, output_format, precision)
    if shard is not None:
        _translate_shard(translator, job, shard)
    else:
        _translate_on_apache_beam(job, context.args)


def _files(source: Path | None, target: Path | None, shard: str | None, engine: str) -> tuple[Path, Path] | None:
    """The two files that `--shard` and `--engine apache-beam` need; None where neither is asked for."""
    from seq2seq.bulk.manifest import Shard
    from seq2seq.errors import ConfigError, CorpusError

    if shard is None and engine == "local":
        return None
    if shard is not None:
        Shard.parse(shard)
        if engine != "local":
            raise ConfigError(
                f"--shard {shard} and --engine {engine}: the engine divides the work. Use one of the two."
            )
    if source is None or target is None:
        given = f"--engine {engine}" if shard is None else f"--shard {shard}"
        missing = "--input" if source is None else "--output"
        raise ConfigError(f"{given} reads a file and writes one: give {missing}, which is not there.")
    if not source.is_file():
        raise CorpusError(f"{source}: expected a file, which is read more than once, and found none.")
    return source, target


def _translate_stream(
    translator: "Translator", source: Path | None, target: Path | None, options: "SearchOptions", output_format: Format
) -> None:
    from seq2seq.cli.console import progress_bar, warn
    from seq2seq.cli.text_files import lenient_lines, open_input, open_output
    from seq2seq.inference.output import answers

    name = str(source or "stdin")
    with (
        open_input(source) as read,
        open_output(target, reads=source) as written,
        progress_bar(f"translating {name}", None) as advance,
    ):
        lines = lenient_lines(read, name)
        for rows in answers(translator, lines, options, output_format, name=name, warn=warn, progress=advance):
            written.writelines(f"{row}\n" for row in rows)


def _translate_shard(translator: "Translator", job: "Job", text: str) -> None:
    from seq2seq.bulk.manifest import Shard
    from seq2seq.bulk.shards import translate_shard
    from seq2seq.cli.console import progress_bar, say, warn

    shard = Shard.parse(text)
    with progress_bar(f"translating shard {shard} of {job.source}", None) as advance:
        report = translate_shard(translator, job, shard, warn=warn, progress=advance)
    lines, new = report.lines, len(report.lines) - report.before
    where = f"lines {lines.start:,} to {lines.stop - 1:,}" if lines else "no lines, fewer chunks than shards"
    done = "nothing was left to do" if lines and not new else f"{new:,} translated now, {report.before:,} before"
    say(f"shard {shard}: {where}: {done}")
    say(f"{job.target}: joined" if report.joined else f"{report.complete} of {shard.count} shards are complete")


def _translate_on_apache_beam(job: "Job", pipeline_options: list[str]) -> None:
    from seq2seq.bulk.apache_beam import translate_on_apache_beam
    from seq2seq.cli.console import say

    say(f"{job.target}: {translate_on_apache_beam(job, pipeline_options):,} lines")
