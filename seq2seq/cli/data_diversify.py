"""`seq2seq data diversify`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from seq2seq.cli.arguments import ComputePrecision, PairsFile, Quiet, SourceFile, TargetFile
from seq2seq.cli.console import import_tensorflow, print_stderr, progress_bar, warn
from seq2seq.cli.options import load_recipe_and_options, with_search_options
from seq2seq.cli.pairs import Pairs
from seq2seq.config import SearchOptions, TranslationConfig
from seq2seq.errors import ConfigError
from seq2seq.model_directory.pretrained import find_model
from seq2seq.plurals import pluralize
from seq2seq.storage.streams import check_inputs

Part = tuple[str, tuple[Path, ...], Literal["source", "target"], SearchOptions]  # the fields of a `Synthesis`


@with_search_options("n_best", "confidence")
def diversify(
    source: SourceFile = None,
    target: TargetFile = None,
    input_file: PairsFile = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Folder for train.tsv and the translations.")
    ] = Path("data/diversified"),
    forward: Annotated[
        list[Path] | None,
        typer.Option(parser=find_model, metavar="MODEL", help="Model that translates the source; repeatable."),
    ] = None,
    backward: Annotated[
        list[Path] | None,
        typer.Option(
            parser=find_model,
            metavar="MODEL",
            help="Model of the opposite direction, which translates the target; repeatable.",
        ),
    ] = None,
    ensemble: Annotated[
        bool,
        typer.Option("--ensemble", help="Translate with all --forward models together, and all --backward models."),
    ] = False,
    synthetic_only: Annotated[bool, typer.Option("--synthetic-only", help="Leave out the original pairs.")] = False,
    quiet: Quiet = False,
    *,
    search: dict[str, Any],
    precision: ComputePrecision = "float32",
) -> None:
    """Translate a training corpus with trained models, and write it together with the translations.

    With --forward and --backward models, this is data diversification (Nguyen et al. 2020): a new model learns from the
    original pairs, the source with translations, and the target with back-translations. With --forward models and
    --synthetic-only, it is sequence-level knowledge distillation (Kim and Rush 2016).

    Each line of DIR/train.tsv is source<TAB>target<TAB>origin<TAB>score, where the origin is original, forward-1,
    backward-1 and so on, and the score is that of the translation, 0 for an original pair. Duplicate pairs and pairs
    with an empty side are left out and counted. Recipes read the file with `columns: [1, 2]`; `score_column: 4` and
    `min_score` leave out poor translations; with --length-penalty average, a score is a mean per token. Validation
    needs a corpus of its own, whose pairs are not in the corpus that is translated.

    After an interruption, the same command resumes. Translations are kept in DIR/parts, so that a further model can be
    added; the folder can be deleted.
    """
    if not forward and not backward:
        raise ConfigError("data diversify: found no model. Give --forward MODEL, --backward MODEL or both.")
    pairs = Pairs(source, target, input_file)
    pairs.check()
    check_inputs(pairs.files)
    planned = _plan(forward or [], backward or [], ensemble, search)
    import_tensorflow()
    from seq2seq.bulk.diversification import TABLE, Synthesis, copy_sides, translate_side, write_table

    work = [Synthesis(*part) for part in planned]
    with pairs.chunks() as chunks:
        count = copy_sides(chunks, output, pairs.name)
    files = {}
    for part in work:
        with progress_bar(f"translating {part.origin}", count, hidden=quiet) as advance:
            files[part.origin] = part.side, translate_side(part, output, precision, warn, advance)
    reports = write_table(output, files, originals=not synthetic_only)
    if quiet:
        return
    named = {part.origin: f"{part.origin} ({', '.join(map(str, part.models))})" for part in work}
    for origin, report in reports.items():
        print_stderr(f"{named.get(origin, origin)}: kept {report.describe('pair')}")
    total = sum(report.kept for report in reports.values())
    print_stderr(f"{output / TABLE}: {pluralize(total, 'pair')}")
    print_stderr(f"in a recipe: data.train: {{tsv: {output / TABLE}, columns: [1, 2]}}")
    print_stderr(
        "validate on a corpus of its own (data.valid): pairs held out of this table would be translations, too"
    )


def _plan(forward: Sequence[Path], backward: Sequence[Path], ensemble: bool, search: dict[str, Any]) -> list[Part]:
    """The translations to make; recipes and options are read, so wrong ones are errors before TensorFlow is loaded.

    Raises:
        ConfigError: An option is not accepted; or a model translates in another direction than the first one.
        ModelDirectoryError: A directory does not have a translation model.
    """
    work: list[Part] = []
    known: tuple[Path, tuple[str | None, ...]] | None = None
    for name, models in (("forward", forward), ("backward", backward)):
        groups = [tuple(models)] if ensemble and models else [(model,) for model in models]
        for number, group in enumerate(groups, start=1):
            _, options = load_recipe_and_options(group[0], TranslationConfig, search, group[1:])
            for model in group:
                recipe, _ = load_recipe_and_options(model, TranslationConfig, {})
                languages = recipe.languages if name == "forward" else recipe.languages[::-1]
                if None in languages:
                    continue
                if known is not None and languages != known[1]:
                    raise ConfigError(
                        f"--{name} {model}: translates from {recipe.languages[0]} to {recipe.languages[1]}, which does "
                        f"not fit {known[0]}: all --forward models translate the source, and all --backward models "
                        "translate in the opposite direction."
                    )
                known = known or (model, languages)
            work.append((f"{name}-{number}", group, "source" if name == "forward" else "target", options))
    return work
