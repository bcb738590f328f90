"""`seq2seq score`."""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from seq2seq.cli.arguments import ComputePrecision, OutputFile, PairsFile, Quiet, SourceFile, TargetFile
from seq2seq.cli.console import import_tensorflow, input_place, progress_bar, warn
from seq2seq.cli.options import check_ensemble_options, flag, section_from_flags, with_search_options
from seq2seq.cli.pairs import Pairs
from seq2seq.config import LanguageModelConfig, SearchOptions, TranslationConfig
from seq2seq.corpora import read_lines
from seq2seq.errors import ConfigError
from seq2seq.inference.output import ESCAPED
from seq2seq.model_directory.pretrained import find_model, find_other_model
from seq2seq.storage.files import STDOUT, place_name
from seq2seq.storage.streams import check_inputs, check_output, open_output

if TYPE_CHECKING:
    from seq2seq.inference.n_best import Entry
    from seq2seq.inference.pair_score import PairScore
    from seq2seq.inference.scorer import Scorer

# Keys of `search` on which a score depends.
KEYS = (
    "length_penalty", "coverage_penalty", "repetition_penalty", "language_model", "language_model_weight",
    "ensemble_weights", "ensemble_average",
)  # fmt: skip
Normalization = Literal["search", "mean", "sum"]
ScoreFormat = Literal["text", "tsv", "jsonl"]
N_BEST_PANEL = "N-best lists"


@with_search_options(*(key for key in SearchOptions.model_fields if key not in KEYS))
def score(
    models: Annotated[
        list[Path],
        typer.Argument(
            parser=find_model,
            metavar="MODEL",
            help="A model directory, or the name of a pretrained model; several form an ensemble.",
        ),
    ],
    source: SourceFile = None,
    target: TargetFile = None,
    input_file: PairsFile = None,
    output_file: OutputFile = None,
    normalize: Annotated[
        Normalization,
        typer.Option(
            metavar="NAME",
            help="search: the score that a search gives; mean: mean log-probability per token; sum: log-probability.",
        ),
    ] = "search",
    output_format: Annotated[
        ScoreFormat,
        typer.Option(
            "--format",
            help="text: one number per line; tsv: source<TAB>target<TAB>score; jsonl: one object per line, with tokens "
            "and their log-probabilities.",
        ),
    ] = "text",
    n_best_list: Annotated[
        Path | None,
        typer.Option(
            "--n-best",
            parser=input_place,
            metavar="FILE",
            help="N-best list of Marian or Moses with translations of --source, to be rescored.",
            rich_help_panel=N_BEST_PANEL,
        ),
    ] = None,
    feature: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Name of the new feature. Default: Seq2Seq.", rich_help_panel=N_BEST_PANEL),
    ] = None,
    weight: Annotated[
        float | None,
        typer.Option(
            help="Weight of the new feature in the total; 0 adds only the feature. Default: 1.",
            rich_help_panel=N_BEST_PANEL,
        ),
    ] = None,
    best: Annotated[
        bool,
        typer.Option(
            "--best", help="Write only the best hypothesis of each source line, as text.", rich_help_panel=N_BEST_PANEL
        ),
    ] = False,
    quiet: Quiet = False,
    *,
    search: dict[str, Any],
    precision: ComputePrecision = "float32",
) -> None:
    """Score given translations, or text with a language model: one number per pair, in order.

    Pairs come from --source and --target, or as source<TAB>target from --input or stdin. A pair is scored as soon as it
    arrives, so the command can be the scorer of another program, e.g. of `mtdata score -c`.

    The score is at most 0; higher is better. By default, it is the score that `seq2seq translate` prints for the same
    translation: the sum of the token log-probabilities, normalised by --length-penalty. A blank side counts as a
    sentence without words; two of them have the score 0.

    With --n-best, the score becomes a feature of each hypothesis of the list, and --weight times the score is added to
    its total; the hypotheses of each source line are sorted by the new total.

    Options default to the values in the recipe of the (first) model.
    """
    pairs = Pairs(source, target, input_file)
    if n_best_list is None:
        pairs.check()
    elif source is None or target is not None or input_file is not None:
        raise typer.BadParameter("--n-best FILE needs --source FILE, without --target and --input")
    given = {"--feature": feature, "--weight": weight, "--best": best or None}
    if n_best_list is None and (wrong := [name for name, value in given.items() if value is not None]):
        raise typer.BadParameter(f"{', '.join(wrong)}: for an n-best list, but there is no --n-best FILE")
    if n_best_list is not None and output_format != "text":
        raise typer.BadParameter(f"--format {output_format}: is for pairs, not for --n-best")
    if feature is not None and (not feature or "=" in feature or "|||" in feature or len(feature.split()) != 1):
        raise typer.BadParameter(f"--feature {feature!r}: expected a name without spaces, = or |||")
    inputs = pairs.files if n_best_list is None else [*pairs.files, n_best_list]
    output = output_file or STDOUT
    check_inputs(inputs)
    check_output(output, inputs=inputs)
    values = _options(models, search)
    import_tensorflow()
    from seq2seq.inference.scorer import Scorer

    scorer = Scorer.load(models, precision, on_warning=warn)
    options = normalized_options(scorer.options, values, normalize)
    scorer.check(options)
    with (
        open_output(output, inputs=inputs) as written,
        progress_bar(f"scoring {place_name(inputs[-1])}", None, hidden=quiet or written.isatty()) as advance,
    ):
        if n_best_list is None:
            with pairs.chunks() as chunks:
                _score_chunks(scorer, options, chunks, written, advance, output_format)
        else:
            assert source is not None
            named = feature or "Seq2Seq", 1.0 if weight is None else weight
            for done, group in enumerate(_rescored(scorer, options, source, n_best_list, *named), start=1):
                rows = group if not best else [group[0].text if group else ""]
                written.writelines(f"{row}\n" for row in rows)
                advance(done)


def _options(models: Sequence[Path], given: dict[str, Any]) -> dict[str, Any]:
    """The given options, after a check of the models' recipes, before TensorFlow is loaded.

    Raises:
        ConfigError: An option is not for a language model, or see `check_ensemble_options`.
        ModelDirectoryError: A model does not exist, or a language model is in an ensemble.
    """
    from seq2seq.model_directory.directory import load_model_config, load_recipe, read_metadata

    read_metadata(models[0])
    check_ensemble_options(models, given)
    if len(models) == 1 and isinstance(load_model_config(models[0]), LanguageModelConfig):
        if wrong := [key for key in given if key not in ("length_penalty", "repetition_penalty")]:
            raise ConfigError(f"{flag(wrong[0])}: is for translation models, but {models[0]} is a language model.")
    else:
        for model in models:
            load_recipe(model, TranslationConfig)
    if (other := given.get("language_model")) is not None:
        load_recipe(find_other_model(other), LanguageModelConfig)
    return given


def normalized_options(base: SearchOptions, given: dict[str, Any], normalize: Normalization) -> SearchOptions:
    """Options of a scorer.

    Raises:
        ConfigError: A value is not accepted, or an option contradicts `normalize`.
    """
    plain: dict[str, dict[str, Any]] = {"mean": {"length_penalty": "average"}, "sum": {"length_penalty": 0.0}}
    if normalize != "search":
        if wrong := [key for key in ("length_penalty", "coverage_penalty", "repetition_penalty") if key in given]:
            raise ConfigError(
                f"{flag(wrong[0])} {given[wrong[0]]}: needs --normalize search, found --normalize {normalize}."
            )
        given = given | plain[normalize] | {"coverage_penalty": 0.0, "repetition_penalty": 1.0}
    return section_from_flags(SearchOptions, base.model_dump() | given)


def _score_chunks(
    scorer: "Scorer",
    options: SearchOptions,
    chunks: Iterator[list[tuple[str, str]]],
    written: Any,
    advance: Callable[[int], None],
    output_format: ScoreFormat,
) -> None:
    done = 0
    for chunk in chunks:
        scores = scorer.score(chunk, options, on_progress=lambda count, before=done: advance(before + count))  # type: ignore[misc]
        for number, (pair, found) in enumerate(zip(chunk, scores, strict=True), start=done + 1):
            written.write(f"{_row(output_format, number, pair, found)}\n")
        written.flush()
        done += len(chunk)


def _row(output_format: ScoreFormat, number: int, pair: tuple[str, str], score: "PairScore") -> str:
    value = f"{score.score:.6f}"
    if output_format == "text":
        return value
    if output_format == "tsv":
        return "\t".join((*(" ".join(side.split("\t")) for side in pair), value))
    values = {"line": number, "source": pair[0], "target": pair[1], **score.as_dict()}
    return json.dumps(values, ensure_ascii=False, allow_nan=False).translate(ESCAPED)


def _rescored(
    scorer: "Scorer", options: SearchOptions, source: Path, n_best_list: Path, feature: str, weight: float
) -> "Iterator[list[Entry]]":
    from seq2seq.inference.n_best import read_n_best, rescore

    entries = read_n_best(read_lines(n_best_list), place_name(n_best_list))
    about: dict[str, Any] = {"feature": feature, "weight": weight, "name": place_name(source)}
    return rescore(entries, read_lines(source), scorer, options, **about)
