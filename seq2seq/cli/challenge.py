"""`seq2seq challenge`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Column, Table

from seq2seq.cli.console import progress_bar, warn
from seq2seq.cli.options import search_options, with_search_options
from seq2seq.cli.startup import load_tensorflow
from seq2seq.cli.text_files import check_output
from seq2seq.extras import requires_extra

if TYPE_CHECKING:
    from seq2seq.analysis.challenge.sets import Accuracy


@with_search_options("n_best", "sample", "temperature", "top_k", "top_p", "seed")
def challenge(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A model directory, English to German.")],
    items: Annotated[int, typer.Option(help="Sentences per phenomenon and per distance.", min=1)] = 100,
    seed: Annotated[int, typer.Option(help="Seed of the sentences.")] = 1,
    lexicon: Annotated[
        str | None,
        typer.Option(help="Words of the sentences: full or basic; by default what the model was trained with."),
    ] = None,
    plot: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw both tables: .png, .svg or .pdf.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
    *,
    search: dict[str, Any],
) -> None:
    """Test what a model has learnt: accuracy per grammatical phenomenon, and per distance between dependent words.

    The sentences are drawn from the test split of the phrasebook. A translation is judged by the words that the
    phenomenon determines.
    """
    if plot is not None:
        check_output(plot)
        with requires_extra("analysis", needed_by="A plot"):  # before the translating that the plot comes after
            import matplotlib  # noqa: F401
    load_tensorflow()
    from seq2seq.analysis.challenge.sets import evaluate_challenge_sets as run
    from seq2seq.analysis.challenge.sets import plot_report, training_lexicon
    from seq2seq.inference.translator import Translator
    from seq2seq.model_directory.directory import load_model_config

    translator = Translator.load(model, warn=warn)
    options = search_options(translator.options, search)
    with progress_bar("translating challenge sets", None) as advance:
        report = run(
            translator, items, seed, lexicon or training_lexicon(load_model_config(model)), options, on_progress=advance
        )
    if as_json:
        print(json.dumps(report.as_dict(), indent=2, ensure_ascii=False))
    else:
        console = Console()
        console.print(accuracy_table(report.phenomena, "phenomenon"))
        console.print(accuracy_table(report.distances, "words between, long distance"))
    if plot is not None:
        plot_report(report, plot)


def accuracy_table(accuracies: "tuple[Accuracy, ...]", title: str) -> Table:
    """Show accuracies in per cent, with 95% intervals."""
    numbers = [Column(name, justify="right") for name in ("correct", "of", "accuracy")]
    table = Table(title, *numbers, "95% interval", box=None, pad_edge=False)
    for accuracy in accuracies:
        low, high = accuracy.interval
        table.add_row(
            accuracy.name,
            f"{accuracy.correct:,}",
            f"{accuracy.items:,}",
            f"{100 * accuracy.value:.1f}%",
            f"{100 * low:.1f} - {100 * high:.1f}",
        )
    return table
