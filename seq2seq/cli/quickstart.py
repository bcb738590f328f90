"""`seq2seq quickstart`."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from seq2seq.cli.arguments import Overrides
from seq2seq.cli.challenge import print_accuracies
from seq2seq.cli.console import EXIT_INTERRUPTED, import_tensorflow, print_stdout, progress_bar, warn
from seq2seq.cli.evaluate import print_report
from seq2seq.cli.next_steps import program
from seq2seq.config import load_config
from seq2seq.corpora import open_corpus
from seq2seq.plurals import pluralize

SHOWN_TRANSLATIONS = 10
CHALLENGE_ITEMS = 25  # sentences per phenomenon
MAX_MAP_WORDS = 8  # words of the sentence whose attention is shown


def quickstart(
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Model directory.")] = Path(
        "runs/quickstart"
    ),
    overrides: Overrides = None,
) -> None:
    """Train a small English-German translator on the embedded corpus, evaluate it, and show examples."""
    config = load_config("quickstart", overrides or [])
    import_tensorflow()
    from seq2seq.analysis.attention_text import render_attention
    from seq2seq.analysis.challenge.sets import evaluate_challenge_sets, training_lexicon
    from seq2seq.evaluation.metrics import evaluate
    from seq2seq.inference.translator import Translator
    from seq2seq.training import train

    console = Console()
    if not train(config, output, console=console).end:
        raise typer.Exit(EXIT_INTERRUPTED)
    test = config.corpora.test
    assert test is not None
    pairs = [(pair.source, pair.target) for pair in open_corpus(test)]
    translator = Translator.load(output, on_warning=warn)
    with progress_bar("translating the test sentences", len(pairs)) as advance:
        report = evaluate(translator, pairs, on_progress=advance)
    console.print(f"\n[bold]{pluralize(len(pairs), 'test sentence')}, not seen in training[/bold]")
    print_report(report)
    rows = [(*pair, done.text) for pair, done in zip(pairs, report.translations, strict=True)]
    exact = sum(translation == reference for _, reference, translation in rows)
    console.print(
        f"{exact:,} of {pluralize(len(pairs), 'translation')} ({exact / len(pairs):.1%}) match the reference exactly"
    )
    columns = "English", "German, translated", "German, reference"
    table = Table(*columns, title="\nSample translations", title_justify="left")
    for source, reference, translation in rows[:SHOWN_TRANSLATIONS]:
        table.add_row(*map(escape, (source, translation, "the same" if translation == reference else reference)))
    console.print(table)
    with progress_bar("translating challenge sets", None) as advance:
        found = evaluate_challenge_sets(
            translator, CHALLENGE_ITEMS, lexicon=training_lexicon(config), on_progress=advance
        )
    console.print("\n[bold]Challenge sets[/bold]: accuracy on the words that each grammatical phenomenon determines")
    print_accuracies(found)
    console.print("\n[bold]Attention[/bold] of each German token to the English tokens")
    short = min((source for source, _ in pairs), key=lambda source: abs(len(source.split()) - MAX_MAP_WORDS))
    console.print(render_attention(translator.translate([short])[0]), markup=False, highlight=False)
    command = program()
    console.print("\n[bold]Next steps[/bold]")
    print_stdout(
        f"translate a sentence of your own:  {command} translate {output} 'The teacher buys a book.'\n"
        f"see all settings of this run:      cat {output}/config.yaml\n"
        f"train on your own sentence pairs:  {command} train pairs.tsv --minutes 30\n"
        f"real data, a Python example and a notebook: see README.md, examples/ and notebooks/"
    )
