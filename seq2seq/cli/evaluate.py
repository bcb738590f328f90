"""`seq2seq evaluate`."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Column, Table

from seq2seq.cli.aligned import read_aligned
from seq2seq.cli.arguments import AsJson, ComputePrecision, OptionalModel, OptionalReference
from seq2seq.cli.console import (
    import_tensorflow,
    input_place,
    output_place,
    print_stderr,
    print_stdout,
    progress_bar,
    warn,
    write_json,
)
from seq2seq.cli.options import flag, load_recipe_and_options, with_search_options
from seq2seq.cli.texts import split_models
from seq2seq.config import TranslationConfig
from seq2seq.config.precision import Precision
from seq2seq.corpora import open_corpus
from seq2seq.evaluation.tokenizers import BLEU_TOKENIZERS, BleuTokenizer
from seq2seq.inference.summary import UnknownCharacters
from seq2seq.plurals import pluralize
from seq2seq.storage.streams import check_inputs, check_output, open_output

if TYPE_CHECKING:
    from seq2seq.evaluation.metrics import EvaluationReport


@with_search_options("confidence")
def evaluate(
    context: typer.Context,
    model: OptionalModel = None,
    pairs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PAIRS",
            help="Test pairs, instead of --source and --reference: a file of source<TAB>target lines, or two "
            "line-aligned files. Models before them form an ensemble with MODEL.",
            show_default=False,
        ),
    ] = None,
    source: Annotated[
        Path | None,
        typer.Option(parser=input_place, metavar="FILE", help="Text for the model to translate; - is stdin."),
    ] = None,
    reference: OptionalReference = None,
    hypotheses: Annotated[
        Path | None,
        typer.Option(parser=input_place, metavar="FILE", help="Translations to score instead of a model's."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", parser=output_place, metavar="FILE", help="File for the model's translations."),
    ] = None,
    precision: ComputePrecision = "float32",
    target_language: Annotated[
        str | None,
        typer.Option(metavar="LANGUAGE", help="Language of the references, e.g. zh or th. Default: from the recipe."),
    ] = None,
    bleu_tokenizer: Annotated[
        BleuTokenizer | None,
        typer.Option(
            metavar="NAME",
            help=f"Tokenizer for BLEU: {', '.join(BLEU_TOKENIZERS)}. Default: the one for the references' language.",
        ),
    ] = None,
    as_json: AsJson = False,
    *,
    search: dict[str, Any],
) -> None:
    """Score translations with sacreBLEU: BLEU, chrF2 and TER, with signatures and 95% bootstrap confidence intervals.

    Give a MODEL with PAIRS or with --source and --reference, or --hypotheses with --reference. BLEU counts words, which
    some languages (Chinese, Japanese, Thai and others) do not separate with spaces: --target-language selects a
    tokenizer by the language, --bleu-tokenizer by its name.

    With a MODEL, the speed is measured as well, from raw text to raw text. It includes a few seconds for building the
    search graph: to compare options such as --beam-size 1, --shortlist and --int8, use a thousand sentences or more.
    """
    others, pairs = split_models(pairs)
    if pairs and (source or reference or hypotheses):
        raise typer.BadParameter(
            f"found pairs, {' '.join(pairs)}, and files for --source, --reference or --hypotheses: give one of them"
        )
    if not pairs and (not reference or (model is None) == (hypotheses is None) or (model is None) != (source is None)):
        raise typer.BadParameter(
            "give MODEL PAIRS, MODEL --source FILE --reference FILE, or --hypotheses FILE --reference FILE"
        )
    if model is None and output is not None:
        raise typer.BadParameter("--output is for a model's translations, but there is no MODEL")
    source_of_precision = context.get_parameter_source("precision")
    if model is None and source_of_precision is not None and source_of_precision.name == "COMMANDLINE":
        raise typer.BadParameter(f"--precision {precision} is for a model, but there is no MODEL")
    if model is None and search:
        given = ", ".join(flag(key) for key in search)
        raise typer.BadParameter(f"{given}: for translation by a model, but there is no MODEL")
    texts = [*map(input_place, pairs or ()), *filter(None, (source, hypotheses)), *(reference or ())]
    check_inputs(texts)
    if output is not None:
        check_output(output, inputs=texts)
    lines, *references = _read_pairs(pairs) if pairs else read_aligned(texts)
    if model is None:
        from seq2seq.evaluation.metrics import EvaluationReport, score_texts

        scores = score_texts(lines, references, language=target_language, tokenizer=bleu_tokenizer)
        report = EvaluationReport(len(lines), scores)
    else:
        asked = target_language, bleu_tokenizer
        report = _evaluate_models([model, *others], precision, lines, references, asked, search)
        if output is not None:
            with open_output(output) as handle:
                handle.writelines(f"{translation.text}\n" for translation in report.translations)
    if as_json:
        write_json(report.as_dict())
    else:
        print_report(report)


def _evaluate_models(
    models: list[Path],
    precision: Precision,
    sources: list[str],
    references: list[list[str]],
    asked: tuple[str | None, str | None],
    search: dict[str, Any],
) -> "EvaluationReport":
    """Translate and score; `asked` holds the given language and tokenizer."""
    search = search | {"confidence": False}  # a report does not show that of a recipe
    recipe, options = load_recipe_and_options(models[0], TranslationConfig, search, models[1:])
    import_tensorflow()
    from seq2seq.evaluation.metrics import evaluate as run
    from seq2seq.inference.translator import Translator

    translator = Translator.load(models, precision, on_warning=warn)
    language = asked[0] or (recipe.data.target_language if recipe.data else None)
    pairs = list(zip(sources, references[0], strict=True))
    with progress_bar("translating", len(sources)) as advance:
        report = run(
            translator,
            pairs,
            options,
            on_progress=advance,
            extra_references=references[1:],
            language=language,
            tokenizer=asked[1],
        )
    unknown = UnknownCharacters()
    for number, translation in enumerate(report.translations, start=1):
        unknown.add(number, translation.unknown_characters)
    if said := unknown.describe("model"):
        warn(said)
    return report


def _read_pairs(files: Sequence[str]) -> list[list[str]]:
    """Read the sources and references of pairs, in the formats that `seq2seq train` detects."""
    from seq2seq.corpora.survey import detect_pairs

    found = detect_pairs(files)
    print_stderr(found.description)
    pairs = list(open_corpus(found.corpus))
    return [[pair.source for pair in pairs], [pair.target for pair in pairs]]


def print_report(report: "EvaluationReport") -> None:
    """Print an evaluation as a table."""
    table = Table("metric", Column("score", justify="right"), "95% interval", "", box=None, pad_edge=False)
    for score in report.scores:
        interval = "" if score.low is None else f"{score.low:.2f} - {score.high:.2f}"
        table.add_row(score.name, f"{score.score:.2f}", interval, "lower is better" if score.lower_is_better else "")
    Console().print(table)
    if report.note:
        print_stdout(f"note: {report.note}")
    for score in report.scores:
        print_stdout(f"{score.name} signature: {score.signature}")
    if report.seconds is not None:
        print_stdout(
            f"{pluralize(report.sentences, 'sentence')} in {report.seconds:.1f} s: "
            f"{report.sentences_per_second:.1f} sentences/s, {report.tokens_per_second:,.0f} tokens/s"
        )
