"""`seq2seq data filter`."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seq2seq.cli.arguments import ComputePrecision, OutputFile, PairsFile, Quiet, SourceFile, TargetFile
from seq2seq.cli.console import import_tensorflow, print_stderr, progress_bar, warn
from seq2seq.cli.pairs import Pairs
from seq2seq.config import TranslationConfig
from seq2seq.config.precision import Precision
from seq2seq.model_directory.pretrained import find_model
from seq2seq.storage.files import STDOUT
from seq2seq.storage.streams import check_inputs, check_output, open_output

if TYPE_CHECKING:
    from seq2seq.corpora.filters import FilterReport
    from seq2seq.evaluation.model_filters import ModelFilter


def filter_pairs(
    model: Annotated[
        Path,
        typer.Argument(
            parser=find_model, metavar="MODEL", help="A translation model, or a language model of the target."
        ),
    ],
    reverse: Annotated[
        Path | None,
        typer.Argument(
            parser=find_model,
            metavar="REVERSE",
            help="A translation model from target to source.",
            show_default=False,
        ),
    ] = None,
    source: SourceFile = None,
    target: TargetFile = None,
    input_file: PairsFile = None,
    output_file: OutputFile = None,
    keep: Annotated[
        float | None,
        typer.Option(metavar="SHARE", min=0.0, max=1.0, help="Share of the pairs to keep, those with the best scores."),
    ] = None,
    min_score: Annotated[
        float | None, typer.Option(metavar="SCORE", help="Minimum score of the pairs to keep.")
    ] = None,
    quiet: Quiet = False,
    precision: ComputePrecision = "float32",
) -> None:
    """Filter sentence pairs by the probabilities that models give them.

    With MODEL and REVERSE, the score is that of dual conditional cross-entropy filtering (Junczys-Dowmunt 2018), from 0
    to 1: high if both models find the pair likely, and equally so. With MODEL alone, it is the mean log-probability per
    target token: the perplexity of a pair is exp(-score).

    Without --keep and --min-score, all pairs are written with their scores, as source<TAB>target<TAB>score. Pairs
    with an empty side are dropped. With --keep, all pairs are read before the first is written.
    """
    pairs = Pairs(source, target, input_file)
    pairs.check()
    if keep is not None and min_score is not None:
        raise typer.BadParameter("give either --keep or --min-score")
    output = output_file or STDOUT
    check_inputs(pairs.files)
    check_output(output, inputs=pairs.files)
    from seq2seq.corpora.filters import FilterReport

    chosen = _load_filter(model, reverse, precision)
    report = FilterReport()
    with (
        open_output(output, inputs=pairs.files) as written,
        progress_bar(f"scoring {pairs.name}", None, hidden=quiet or written.isatty()) as advance,
        pairs.chunks() as chunks,
    ):
        for row in _rows(chosen, chunks, keep, min_score, report):
            written.write(f"{row}\n")
            advance(report.read)
    if not quiet:
        print_stderr(f"{pairs.name}: kept {report.describe('pair')}")


def _load_filter(model: Path, reverse: Path | None, precision: Precision) -> "ModelFilter":
    from seq2seq.model_directory.directory import load_model_config, load_recipe, read_metadata

    read_metadata(model)  # a wrong folder is an error before TensorFlow is loaded
    load_model_config(model)
    if reverse is not None:
        load_recipe(model, TranslationConfig)
        load_recipe(reverse, TranslationConfig)
    import_tensorflow()
    from seq2seq.evaluation.model_filters import ModelFilter
    from seq2seq.inference.scorer import Scorer

    backward = None if reverse is None else Scorer.load(reverse, precision, on_warning=warn)
    return ModelFilter(Scorer.load(model, precision, on_warning=warn), backward)


def _rows(
    chosen: "ModelFilter",
    chunks: Iterator[Sequence[Any]],
    keep: float | None,
    min_score: float | None,
    report: "FilterReport",
) -> Iterator[str]:
    from seq2seq.evaluation.model_filters import above, best_share, one_column

    scored = chosen.scored(chunks, report)
    if keep is None and min_score is None:
        for pair, score in scored:
            yield "\t".join((*map(one_column, pair), f"{score:.6f}"))
        return
    kept = best_share(scored, keep, report) if keep is not None else above(scored, min_score or 0.0, report)
    for pair in kept:
        yield "\t".join(map(one_column, pair))
