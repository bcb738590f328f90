"""`seq2seq data list|get|filter|diversify|phrasebook`."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.filesize import decimal
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column, Table

from seq2seq.cli.console import print_stdout, progress_bar, stderr, write_json
from seq2seq.cli.data_diversify import diversify
from seq2seq.cli.data_filter import filter_pairs
from seq2seq.plurals import pluralize
from seq2seq.storage.streams import open_output

if TYPE_CHECKING:
    from seq2seq.corpora.downloads.corpus import DownloadedCorpus

app = typer.Typer(
    help="List and download public corpora, filter or extend your own by models, or generate a synthetic one.",
    no_args_is_help=True,
)
app.command("filter")(filter_pairs)
app.command("diversify")(diversify)

Catalogue = Annotated[
    Path | None,
    typer.Option(
        "--catalogue",
        metavar="FILE",
        help="Your own catalogue of corpora, in the format described in data/README.md.",
    ),
]
OTHER_CATALOGUES = """
Corpora in other catalogues:
  sacrebleu:SET/PAIR  test sets, e.g. sacrebleu:wmt19/en-de; list: sacrebleu --list
  mtdata:ID           OPUS, WMT and more, e.g. mtdata:OPUS-tatoeba-v20230412-deu-eng; list: mtdata list -l deu-eng -id
"""


@app.command("list")
def list_corpora(
    catalogue: Catalogue = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, with URLs and checksums.")] = False,
) -> None:
    """List the corpora that can be downloaded, with sizes and licences."""
    from seq2seq.corpora.downloads.catalogue import load_catalogue

    entries = load_catalogue(catalogue)
    if as_json:
        write_json({name: entry.model_dump(exclude_none=True) for name, entry in entries.items()})
        return
    columns = [Column("name", no_wrap=True), Column("pair", no_wrap=True)]
    columns += [Column("size", no_wrap=True, justify="right"), Column("checked")]
    columns += [Column("description and licence", overflow="fold")]
    table = Table(*columns, box=None, pad_edge=False)
    for name, entry in entries.items():
        size = entry.size()
        exact = all(file.size for file in entry.files.values())
        checked = sum(file.unchecked_reason is None for file in entry.files.values())
        table.add_row(
            escape(name),
            escape("-".join(entry.languages)),
            "unknown" if size is None else ("" if exact else "about ") + decimal(size),
            {0: "no", len(entry.files): "yes"}.get(checked, f"{checked} of {len(entry.files)}"),
            escape(f"{entry.description}. Licence: {entry.licence}"),
        )
    Console().print(table)
    print_stdout(f"{OTHER_CATALOGUES}\ndownload: seq2seq data get NAME")


@app.command("get")
def get(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of a corpus in `seq2seq data list`.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="DIR", help="Folder for the files; data/NAME by default.")
    ] = None,
    reverse: Annotated[bool, typer.Option("--reverse", help="Swap source and target.")] = False,
    seed: Annotated[int, typer.Option(help="Random seed for splitting a corpus without official splits.")] = 1,
    held_out_fraction: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            min=0.000001,
            max=0.49,
            help="Share of the distinct source sentences for valid, and the same share for test, if the corpus has no "
            "official splits.",
        ),
    ] = None,
    catalogue: Catalogue = None,
) -> None:
    """Download a corpus, verify its checksums, and split it by source sentence if it has no official splits.

    After an interruption, the same command resumes. Existing files are not downloaded again.
    """
    from seq2seq.corpora.downloads.get import get_corpus

    folder = output or Path("data") / re.sub(r"[:/\\]+", "-", name)
    with _transfers() as progress:
        got = get_corpus(
            name,
            folder,
            catalogue=catalogue,
            seed=seed,
            held_out=held_out_fraction,
            reverse=reverse,
            on_progress=progress,
        )
    print_stdout("\n".join(_report(got)))


def _report(got: "DownloadedCorpus") -> Iterator[str]:
    """Yield lines on the downloaded corpus: its files, terms of use, and the next command."""
    source, target = got.languages
    pairs = ", ".join(f"{count:,} {split}" for split, count in got.pairs.items())
    yield f"{got.folder}: {source} to {target}, {pairs}"
    if got.report is not None:
        report = got.report
        dropped = f"{pluralize(report.duplicates, 'exact duplicate')} and {report.malformed:,} malformed"
        yield f"{pluralize(report.read, 'line')} read, dropped {dropped}"
        if report.first_malformed:
            yield f"first malformed line: {report.first_malformed}"
    for name, sha256 in got.unverified_checksums.items():
        yield f"not verified, since no checksum is known: {name}, SHA-256 {sha256}"
    yield f"licence: {got.licence}"
    yield f"cite: {got.citation}"
    yield got.next_command()


@contextmanager
def _transfers() -> Iterator[Any]:
    """Show progress bars if stderr is a terminal; yield the `on_progress` callback for `get_corpus`."""
    from seq2seq.corpora.downloads.corpus import SPLITTING

    columns = TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[amount]}"), TimeRemainingColumn()
    with Progress(*columns, console=stderr, transient=True, disable=not stderr.is_terminal) as bar:
        tasks: dict[str, Any] = {}

        def show(what: str, done: int, total: int | None) -> None:
            if what not in tasks:
                for task in tasks.values():
                    bar.update(task, visible=False)
                tasks[what] = bar.add_task(what, total=total, amount="")
            amount = f"{done:,} lines" if what == SPLITTING else decimal(done)
            if total:
                amount += f" of {decimal(total)}"
            bar.update(tasks[what], completed=done, total=total, amount=amount)

        yield show


@app.command("phrasebook")
def write_phrasebook(
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Folder for the files.")],
    train_pairs: Annotated[int, typer.Option(help="Number of training pairs.", min=1)] = 100_000,
    held_out_pairs: Annotated[int, typer.Option(help="Number of pairs in each other split.", min=1)] = 1000,
    seed: Annotated[int, typer.Option(help="Random seed for drawing pairs.", min=0)] = 1,
    lexicon: Annotated[str, typer.Option(help="Vocabulary: full, or basic with fewer words.")] = "full",
) -> None:
    """Generate English-German sentence pairs from the embedded grammar.

    The files are train.tsv, valid.tsv, test.tsv and compositional.tsv. No source sentence is in two of them, and
    compositional.tsv has known words in forms that occur in no other file. Recipes need no files:
    `data.train={phrasebook: train, pairs: 100000}` draws the same pairs.
    """
    from seq2seq.phrasebook.phrasebook import DEFAULT_PAIRS, generate_pairs

    output.mkdir(parents=True, exist_ok=True)
    for split in DEFAULT_PAIRS:
        number = train_pairs if split == "train" else held_out_pairs
        with progress_bar(split, number) as advance, open_output(output / f"{split}.tsv") as handle:
            for done, (source, target) in enumerate(generate_pairs(split, number, seed, lexicon), start=1):
                handle.write(f"{source}\t{target}\n")
                if done % 1000 == 0:
                    advance(done)
        print_stdout(f"{output / split}.tsv: {pluralize(number, 'pair')}")
