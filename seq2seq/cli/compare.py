"""`seq2seq compare`."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from seq2seq.cli.aligned import read_aligned
from seq2seq.cli.arguments import AsJson, Reference
from seq2seq.cli.console import input_place, output_place, print_stdout, progress_bar, write_json
from seq2seq.corpora import read_lines
from seq2seq.errors import ConfigError
from seq2seq.evaluation import BOOTSTRAP_SAMPLES, RANDOMIZATION_TRIALS
from seq2seq.evaluation.tokenizers import BLEU_TOKENIZERS, BleuTokenizer
from seq2seq.plurals import pluralize
from seq2seq.storage.files import place_name
from seq2seq.storage.streams import check_inputs, check_output

if TYPE_CHECKING:
    from seq2seq.evaluation.breakdowns import Breakdown
    from seq2seq.evaluation.comparison_report import ComparisonReport

SHOWN = 3  # wins and losses of a system on the terminal; --json and --html have more


class NamedPath(NamedTuple):
    """A system's file; the name is "" if the file is to name the system."""

    name: str
    path: Path


def named_path(text: str) -> NamedPath:
    """Convert `NAME=FILE` or `FILE`; a file whose name contains `=` takes precedence."""
    name, sign, file = text.partition("=")
    if not sign or Path(text).exists():
        return NamedPath("", input_place(text))
    return NamedPath(name, input_place(file))


def compare(
    systems: Annotated[
        list[NamedPath],
        typer.Argument(
            parser=named_path,
            metavar="SYSTEM...",
            help="Translations of one test set by two or more systems, the baseline first: FILE or NAME=FILE.",
        ),
    ],
    reference: Reference,
    source: Annotated[
        Path | None,
        typer.Option(
            parser=input_place,
            metavar="FILE",
            help="Source text, for scores by source length and counts of copied words.",
        ),
    ] = None,
    train: Annotated[
        Path | None,
        typer.Option(
            parser=input_place,
            metavar="FILE",
            help="Training text in the target language, for recall by word frequency and scores by unknown words.",
        ),
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option(
            "--html", parser=output_place, metavar="FILE", help="File for an HTML page with plots and examples."
        ),
    ] = None,
    as_json: AsJson = False,
    target_language: Annotated[
        str | None, typer.Option(metavar="LANGUAGE", help="Language of the references, e.g. zh or th.")
    ] = None,
    bleu_tokenizer: Annotated[
        BleuTokenizer | None,
        typer.Option(
            metavar="NAME",
            help=f"Tokenizer for BLEU and words: {', '.join(BLEU_TOKENIZERS)}. Default: by --target-language.",
        ),
    ] = None,
    paired_bs_n: Annotated[
        int, typer.Option(metavar="N", help="Number of samples of paired bootstrap resampling.", min=1)
    ] = BOOTSTRAP_SAMPLES,
    paired_ar_n: Annotated[
        int,
        typer.Option(metavar="N", help="Number of trials of approximate randomization; 0 omits this test.", min=0),
    ] = RANDOMIZATION_TRIALS,
    examples: Annotated[
        int,
        typer.Option(metavar="N", help="Maximum number of wins, and of losses, per system, the largest ones.", min=0),
    ] = 10,
) -> None:
    """Compare several systems on one test set: scores, sacreBLEU's paired significance tests, and where they differ.

    BLEU, chrF2, chrF2++ and TER of each system, with 95% intervals, and p-values of the difference from the first
    system, the baseline, equal to those of sacrebleu --paired-bs and --paired-ar. Scores by sentence length, recall of
    words by frequency and position, repetition and omission, and the sentences with the largest differences follow.

    For example: seq2seq compare greedy=a.de beam=b.de --reference test.de --source test.en --html comparison.html
    """
    if len(systems) < 2:
        raise ConfigError(
            f"{place_name(systems[0].path)}: is the only system; give two or more, the baseline first. To score one: "
            f"seq2seq evaluate --hypotheses {place_name(systems[0].path)} --reference {place_name(reference[0])}"
        )
    names = _names(systems)
    files = [*(system.path for system in systems), *reference, *([source] if source else [])]
    inputs = [*files, *([train] if train else [])]
    check_inputs(inputs)
    if html is not None:
        check_output(html, inputs=inputs)
    texts = read_aligned(files)
    translations = dict(zip(names, texts, strict=False))
    references = texts[len(systems) : len(systems) + len(reference)]
    from seq2seq.evaluation.comparison import compare_systems
    from seq2seq.evaluation.scorers import ALL_METRICS

    with progress_bar("testing differences", len(ALL_METRICS)) as advance:
        report = compare_systems(
            translations,
            references,
            sources=texts[-1] if source else None,
            training_lines=read_lines(train) if train else None,
            language=target_language,
            tokenizer=bleu_tokenizer,
            bootstrap_samples=paired_bs_n,
            randomization_trials=paired_ar_n,
            examples=examples,
            on_progress=advance,
        )
    if html is not None:
        report.write_html(html)
    if as_json:
        write_json(report.as_dict())
    else:
        print_comparison(report)


def _names(systems: list[NamedPath]) -> list[str]:
    """Name of each system: the given one, or the file's, with its folder if several files are called the same."""
    names = Counter(system.path.name for system in systems if not system.name)
    found = []
    for name, path in systems:
        found.append(name or (path.name if names[path.name] == 1 else place_name(path)))
    for name, count in Counter(found).items():
        if count > 1:
            raise ConfigError(f"{name}: is the name of {count} systems. Give each its own name: NAME=FILE.")
    return found


def print_comparison(report: "ComparisonReport") -> None:
    """Print a comparison as tables."""
    from seq2seq.evaluation.comparison_report import SCORE_HEADER

    _print_table(SCORE_HEADER, report.score_rows(), left=2)
    if report.note:
        print_stdout(f"note: {report.note}")
    print_stdout(report.tests())
    for signature in report.signatures():
        print_stdout(signature)
    names = [system.name for system in report.systems]
    shown = set()
    for breakdown in report.breakdowns:
        if breakdown.key not in shown:  # of several metrics, the first one
            shown.add(breakdown.key)
            _print_breakdown(breakdown, names)
    print_stdout("\nRepetition and omission")
    _print_table(["", *names], report.problem_rows())
    for system in report.systems[1:]:
        print_stdout(
            f"\n{system.name} and {names[0]}: {pluralize(system.better, 'sentence')} better, {system.worse:,} worse by "
            f"sentence-level chrF2, {report.sentences - system.different:,} identical"
        )
        for title, differences in (("win", system.wins), ("loss", system.losses)):
            for one in differences[:SHOWN]:
                print_stdout(f"{title}, line {one.line:,}: {one.gain:+.1f} points of chrF2")
                given = [] if one.source is None else [("source", one.source)]
                given += [("reference", text) for text in one.references]
                for label, text in [*given, (names[0], one.baseline), (system.name, one.system)]:
                    print_stdout(f"  {label}: {text}")


def _print_breakdown(breakdown: "Breakdown", names: list[str]) -> None:
    rows = []
    for group in breakdown.groups:
        values = [group.values[name] for name in names]
        rows.append((group.name, f"{group.count:,}", *(f"{value.value:.2f}" for value in values)))
    measure = f"{breakdown.measure} (%)" if breakdown.measure == "recall" else breakdown.measure
    print_stdout(f"\n{breakdown.title}: {measure}")
    _print_table([breakdown.property, breakdown.counted, *names], rows)


def _print_table(header: "list[str] | tuple[str, ...]", rows: "list[tuple[str, ...]]", left: int = 1) -> None:
    columns = [
        Column(Text(name), justify="left" if place < left else "right", no_wrap=place >= left)
        for place, name in enumerate(header)
    ]
    table = Table(*columns, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    Console().print(table)
