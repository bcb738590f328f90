"""`seq2seq shortlist`."""

from pathlib import Path
from typing import Annotated

import typer


def shortlist(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A model directory.")],
    source: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Source text; by default what the model was trained on.")
    ] = None,
    target: Annotated[Path | None, typer.Option(metavar="FILE", help="Its translation, line by line.")] = None,
) -> None:
    """Learn which target tokens each source token is likely to need, for faster decoding with --shortlist N.

    The candidates are learnt by IBM model 1 and stored in the model directory.
    """
    from seq2seq.cli.console import stderr
    from seq2seq.config import CorpusConfig, FilterConfig, TranslationConfig
    from seq2seq.corpora import open_corpus
    from seq2seq.inference.shortlist import SHORTLIST_FILE, learn_shortlist, save_shortlist
    from seq2seq.model_directory.directory import check_directory, load_recipe, load_tokenizers

    if (source is None) != (target is None):
        raise typer.BadParameter("give both --source and --target, or neither")
    check_directory(model)
    config = load_recipe(model, TranslationConfig)
    filters = config.data.filters if config.data else FilterConfig()
    spec = config.corpora.train if source is None else CorpusConfig(source=str(source), target=str(target))
    tokenizers = load_tokenizers(model)
    with stderr.status("learning the shortlist"):
        found = learn_shortlist(map(open_corpus, spec.parts()), tokenizers, filters)
    save_shortlist(model, found, tokenizers)
    typer.echo(f"{model / SHORTLIST_FILE}: use it with seq2seq translate {model} --shortlist 20")
