"""`seq2seq evaluate`."""

import json
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from seq2seq.evaluation import EvaluationReport


def evaluate(
    model: Annotated[Path | None, typer.Argument(metavar="[MODEL]", help="A model directory.")] = None,
    source: Annotated[Path | None, typer.Option(metavar="FILE", help="Sentences for the model to translate.")] = None,
    reference: Annotated[Path | None, typer.Option(metavar="FILE", help="Their human translations.")] = None,
    hypotheses: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Score these translations instead of a model's.")
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE", help="Keep translations.")] = None,
    beam_size: Annotated[int | None, typer.Option(help="Hypotheses kept at each step; 1 is greedy.")] = None,
    length_penalty: Annotated[
        str | None, typer.Option(help="GNMT's alpha, 0 for none, or 'average'.", metavar="FLOAT|average")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Score translations with sacreBLEU: BLEU and chrF2, signatures, 95% bootstrap intervals, speed.

    Give a MODEL with --source and --reference, or --hypotheses with --reference.
    """
    if reference is None or (model is None) == (hypotheses is None) or (model is None) != (source is None):
        raise typer.BadParameter("give MODEL --source FILE --reference FILE, or --hypotheses FILE --reference FILE")
    if model is None and output is not None:
        raise typer.BadParameter("--output keeps a model's translations, and there is no MODEL")
    from seq2seq.corpora import read_lines
    from seq2seq.corpora.pairs import find_file

    references = list(read_lines(find_file(str(reference))))
    if model is None:
        from seq2seq.evaluation import EvaluationReport, score_texts

        report = EvaluationReport(
            len(references), score_texts(list(read_lines(find_file(str(hypotheses)))), references)
        )
    else:
        report = _evaluate_model(model, Path(str(source)), references, output, beam_size, length_penalty)
    if as_json:
        print(json.dumps(report.as_dict(), indent=2, ensure_ascii=False))
    else:
        print_report(report)


def _evaluate_model(
    model: Path,
    source: Path,
    references: list[str],
    output: Path | None,
    beam_size: int | None,
    length_penalty: str | None,
) -> "EvaluationReport":
    from seq2seq.cli.common import load_tensorflow, open_output, progress_bar, search_options
    from seq2seq.corpora import read_lines
    from seq2seq.corpora.pairs import find_file
    from seq2seq.errors import EvaluationError

    sources = list(read_lines(find_file(str(source))))
    if len(sources) != len(references):
        raise EvaluationError(
            f"{source} has {len(sources)} lines and the reference {len(references)}. Line N must answer line N."
        )
    with open_output(output, reads=source) if output else nullcontext() as handle:
        load_tensorflow()
        from seq2seq.evaluation import evaluate as run
        from seq2seq.translator import Translator

        translator = Translator.load(model)
        options = search_options(translator.options, beam_size=beam_size, length_penalty=length_penalty)
        with progress_bar("translating", len(sources)) as advance:
            report = run(translator, list(zip(sources, references, strict=True)), options, progress=advance)
        if handle:
            handle.writelines(f"{translation.text}\n" for translation in report.translations)
    return report


def print_report(report: "EvaluationReport") -> None:
    """Show an evaluation as a table."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for title in ("metric", "score", "95% interval"):
        table.add_column(title, justify="right" if title == "score" else "left")
    for score in report.scores:
        interval = "" if score.low is None else f"{score.low:.2f} - {score.high:.2f}"
        table.add_row(score.name, f"{score.score:.2f}", interval)
    console = Console()
    console.print(table)
    for score in report.scores:
        console.print(f"{score.name} signature: {score.signature}", highlight=False, soft_wrap=True)
    if report.seconds is not None:
        console.print(
            f"{report.sentences:,} sentences in {report.seconds:.1f} s: {report.sentences_per_second:.1f} sentences/s, "
            f"{report.tokens_per_second:,.0f} tokens/s",
            highlight=False,
        )
