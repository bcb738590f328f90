"""`seq2seq challenge`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Column, Table

from seq2seq.cli.arguments import AsJson
from seq2seq.cli.console import import_tensorflow, progress_bar, warn, write_json
from seq2seq.cli.options import load_recipe_and_options, with_search_options
from seq2seq.cli.plot import check_plot
from seq2seq.config import TranslationConfig
from seq2seq.model_directory.pretrained import find_model

if TYPE_CHECKING:
    from seq2seq.analysis.challenge.sets import ChallengeReport


@with_search_options(
    *("n_best", "sample", "temperature", "top_k", "top_p", "seed", "ensemble_weights", "ensemble_average"),
    *("distinct", "confidence"),
)
def challenge(
    model: Annotated[
        Path,
        typer.Argument(
            parser=find_model,
            metavar="MODEL",
            help="A model directory, or the name of a pretrained model; English to German.",
        ),
    ],
    items: Annotated[int, typer.Option(help="Number of sentences per phenomenon and per distance.", min=1)] = 100,
    seed: Annotated[int, typer.Option(help="Random seed for drawing sentences.")] = 1,
    lexicon: Annotated[
        str | None,
        typer.Option(help="Vocabulary of the sentences: full or basic. Default: that of the model's training corpus."),
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="File for a plot of both tables: .png, .svg or .pdf.")
    ] = None,
    as_json: AsJson = False,
    *,
    search: dict[str, Any],
) -> None:
    """Evaluate a model on challenge sets: accuracy per grammatical phenomenon and per distance between words.

    The sentences are drawn from the test split of the phrasebook. Only the words that a phenomenon determines are
    scored. The distance is the number of words between such a word and the word that determines its form.
    """
    if plot is not None:
        check_plot(plot, "--plot")  # an error now, not after translation
    from seq2seq.analysis.challenge.sets import check_languages, plot_report, training_lexicon
    from seq2seq.analysis.challenge.sets import evaluate_challenge_sets as run

    search = search | {"confidence": False}  # a report does not show that of a recipe
    recipe, options = load_recipe_and_options(model, TranslationConfig, search)
    check_languages(recipe)
    import_tensorflow()
    from seq2seq.inference.translator import Translator

    translator = Translator.load(model, on_warning=warn)
    with progress_bar("translating challenge sets", None) as advance:
        report = run(translator, items, seed, lexicon or training_lexicon(recipe), options, on_progress=advance)
    if as_json:
        write_json(report.as_dict())
    else:
        print_accuracies(report)
    if plot is not None:
        plot_report(report, plot)


def print_accuracies(report: "ChallengeReport") -> None:
    """Print accuracies in per cent with 95% intervals, as two tables."""
    for title, accuracies in (
        ("phenomenon", report.by_phenomenon),
        ("words between, long distance", report.by_distance),
    ):
        numbers = [Column(name, justify="right") for name in ("correct", "of", "accuracy")]
        table = Table(title, *numbers, "95% interval", box=None, pad_edge=False)
        for accuracy in accuracies:
            interval = " - ".join(f"{100 * limit:.1f}" for limit in accuracy.interval)
            counts = f"{accuracy.correct:,}", f"{accuracy.total:,}"
            table.add_row(accuracy.name, *counts, f"{100 * accuracy.value:.1f}%", interval)
        Console().print(table)
