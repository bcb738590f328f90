"""`seq2seq shortlist`."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

CHUNK = 1000  # pairs tokenized at once


def shortlist(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A model directory.")],
    source: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Source text; by default what the model was trained on.")
    ] = None,
    target: Annotated[Path | None, typer.Option(metavar="FILE", help="Its translation, line by line.")] = None,
) -> None:
    """Learn which target tokens each source token can ask for, for faster decoding with --shortlist N.

    What is learnt (IBM model 1) lies in the model directory.
    """
    from seq2seq.cli.console import stderr
    from seq2seq.config import CorpusConfig
    from seq2seq.corpora import open_corpus
    from seq2seq.inference.shortlist import make_shortlist, save_shortlist
    from seq2seq.model_directory.directory import check_directory, check_task, load_config_of, load_tokenizers

    if (source is None) != (target is None):
        raise typer.BadParameter("give both --source and --target, or neither")
    check_directory(model)
    config = load_config_of(model)
    check_task(model, config, "translation")
    spec = config.data.train if source is None else CorpusConfig(source=str(source), target=str(target))
    tokenizers = load_tokenizers(model)

    def pairs() -> Iterator[tuple[list[int], list[int]]]:
        corpus = iter(open_corpus(spec))
        while chunk := list(islice(corpus, CHUNK)):
            yield from zip(
                tokenizers.source.encode_all([pair.source for pair in chunk]),
                tokenizers.target.encode_all([pair.target for pair in chunk]),
                strict=True,
            )

    with stderr.status("learning the shortlist"):
        found = make_shortlist(pairs(), tokenizers.source.vocabulary_size, tokenizers.target.vocabulary_size)
    save_shortlist(model, found, tokenizers)
    typer.echo(f"{model}/shortlist.h5: use it with seq2seq translate {model} --shortlist 20")
