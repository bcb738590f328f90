"""The arguments of `seq2seq train`: a recipe, or sentence pairs for which a recipe is planned."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import typer

from seq2seq.cli.console import import_tensorflow, input_place, stderr
from seq2seq.config import Config, TranslationConfig, load_config, recipe_names
from seq2seq.corpora.compression import without_suffix
from seq2seq.model_directory import STAGES, TEACHERS, recorded_in
from seq2seq.plurals import pluralize
from seq2seq.storage.files import is_stream, resolve_file

RECIPE_SUFFIXES = (".yaml", ".yml")


class Scores(NamedTuple):
    """The minimum score of a pair, and the number or name of the column with the scores."""

    minimum: float | None = None
    column: str | None = None


def is_recipe(name: str) -> bool:
    """Whether an argument is a recipe: it ends in .yaml, or is the name of a packaged recipe and not of a file."""
    return name.endswith(RECIPE_SUFFIXES) or (name in recipe_names() and not Path(name).is_file())


def load_or_plan(
    inputs: Sequence[str],
    overrides: Sequence[str],
    minutes: float | None,
    languages: str | None,
    columns: str | None,
    scores: Scores,
    output: Path | None,
    say: Callable[[str], None],
) -> tuple[Config, Path]:
    """The given recipe, or one planned for the given files, and the model directory, by default named after the input.

    Raises:
        ConfigError, CorpusError: See `load_config`, `detect_pairs` and `survey_corpus`.
    """
    for place in map(input_place, inputs):
        if is_stream(place):
            resolve_file(str(place))  # raises
    first = inputs[0]
    if len(inputs) == 1 and (is_recipe(first) or not Path(first).is_file()):
        for option, value in (
            ("--languages", languages),
            ("--columns", columns),
            ("--min-score", scores.minimum),
            ("--score-column", scores.column),
        ):
            if value is not None:
                raise typer.BadParameter(f"{option} {value} is for a file of sentence pairs, but {first} is a recipe")
        in_time = [] if minutes is None else [f"training.minutes={minutes:g}"]
        folder = recorded_in(Path(first)) or Path("runs") / Path(first).stem
        return load_config(first, [*in_time, *overrides]), output or folder
    if name := next(filter(is_recipe, inputs), None):
        raise typer.BadParameter(f"expected a recipe or files of sentence pairs, found both: {name} is a recipe")
    output = output or Path("runs") / run_name(inputs)
    recipe = _plan(inputs, overrides, minutes, languages, columns, scores, say)
    name = STAGES if recipe.stages else TEACHERS if recipe.teachers.count else "config"
    file = output / f"{name}.yaml"
    if not file.exists():  # else it is that of the run there, which may differ
        say(f"complete recipe: {file} (written when training starts); to train a variant, edit a copy")
    return recipe, output


def run_name(files: Sequence[str]) -> str:
    """The name of a run, derived from its files: `train` for train.tsv.gz, and for train.en and train.de."""
    names = [Path(without_suffix(file)).stem for file in files]
    return "-".join(dict.fromkeys(names))


def _plan(
    files: Sequence[str],
    overrides: Sequence[str],
    minutes: float | None,
    languages: str | None,
    columns: str | None,
    scores: Scores,
    say: Callable[[str], None],
) -> TranslationConfig:
    """Plan the recipe for files of pairs, and report what was found and chosen."""
    pair = None if columns is None else _two_columns(columns)
    from seq2seq.config.languages import language_pair
    from seq2seq.corpora.survey import detect_pairs

    found = detect_pairs(
        files,
        pair,
        None if languages is None else language_pair(languages),
        scores.minimum,
        None if scores.column is None else _number_or_name(scores.column),
    )
    say(found.description)
    import_tensorflow()  # needed by the package `training`
    from seq2seq.training.planning import describe_recipe, plan_training

    with stderr.status("surveying the text"):
        recipe, survey = plan_training(found, minutes, overrides=overrides)
    left_out = f" (left out: {survey.dropped})" if survey.dropped else ""
    valid = recipe.corpora.valid.name().replace("from data.train", "from them")
    say(
        f"{pluralize(survey.pairs, 'pair')} of {survey.source_characters:,} and {survey.target_characters:,} characters"
        f"{left_out}; validation: {valid}"
    )
    say(f"planned: {describe_recipe(recipe)}")
    return recipe


def _two_columns(text: str) -> list[int | str]:
    columns = text.split(",")
    if len(columns) != 2 or not all(columns):
        raise typer.BadParameter(f"--columns: expected two numbers, e.g. 1,2, or names in the header, found {text!r}")
    return [_number_or_name(column) for column in columns]


def _number_or_name(column: str) -> int | str:
    return int(column) if column.isdecimal() else column
