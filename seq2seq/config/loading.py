"""Read recipes from YAML, validate them, derive the recipes of their parts, and write them back."""

from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from seq2seq.arguments import check_arguments
from seq2seq.config.objective import TeachersConfig
from seq2seq.config.overrides import apply_overrides, flatten
from seq2seq.config.problems import explain_problems, shown
from seq2seq.config.recipe import MAX_SEED, TASK_CONFIGS, Config, TranslationConfig
from seq2seq.config.search import EXTERNAL_OPTIONS
from seq2seq.config.yaml_text import fit_types, read_yaml
from seq2seq.errors import ConfigError, suggest_similar
from seq2seq.storage.files import is_stream, missing, place_name

# Between the seeds of two stages, or of the teachers of two runs; far apart, since runs often have the seeds 1, 2, 3.
SEED_STEP = 1_000_000

# Search options with which teachers do not translate the training text; those of the student are left out.
NOT_FOR_TEACHERS = {"n_best", *EXTERNAL_OPTIONS} - {"decision", "candidates", "distinct", "ensemble_average"}


@check_arguments()
def load_config(path: str | Path, overrides: Sequence[str] | Mapping[str, Any] = ()) -> Config:
    """Read a recipe for training and apply overrides.

    Args:
        path: A YAML file, or the bare name of a recipe that ships with the package. Types are those of YAML 1.2;
            where text is expected, `no`, `007` and `2024-01-01` are text, with and without quotes.
        overrides: `section.key=value` strings; the value is YAML. A number is an index into a list, counted from 0:
            `data.train.mixture.0.weight=2`. A corpus of a different kind, e.g. `data.train.tsv=FILE`, replaces the
            recipe's. Or a dict such as `{"training.epochs": 5}`, whose values may also be paths and sections.

    Raises:
        ConfigError: The file is missing or not YAML, a key is unknown, a value is not accepted, or there is no `data`.
    """
    file = Path(path)
    if file.is_file() and not is_stream(file):
        text = file.read_bytes()  # YAML finds the encoding, and its error names the byte
    elif str(path) in recipe_names():
        text = (resources.files("seq2seq") / "recipes" / f"{path}.yaml").read_bytes()
    else:
        raise ConfigError(_explain_missing(file))
    config = parse_config_text(text, str(path), overrides)
    if config.data is None:
        raise ConfigError(f"{path}: 'data' is missing.")
    return config


def parse_config_text(text: bytes, origin: str, overrides: Sequence[str] | Mapping[str, Any] = ()) -> Config:
    """Parse a recipe from bytes, like `load_config`; `data` may be missing. Errors call the recipe `origin`."""
    values = read_yaml(text, f"{origin}: not valid YAML")
    if isinstance(values, dict):
        apply_overrides(values, overrides)
    return validate_config(values, origin)


def recipe_names() -> list[str]:
    """Names of the recipes that ship with the package."""
    folder = resources.files("seq2seq") / "recipes"
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def _explain_missing(path: Path) -> str:
    names, own = recipe_names(), path / "config.yaml"
    if path.is_dir():
        remedy = f"Its recipe is {own}." if own.is_file() else f"Give a file in it, e.g. {path / 'pairs.tsv'}."
        return f"{path}: expected a recipe or a file of sentence pairs, found a folder. {remedy}"
    if is_stream(path):
        return (
            f"{place_name(path)}: expected a file, found a pipe or device, which cannot be read again. Save its text "
            "as a file first."
        )
    return (
        f"{missing(path)[:-1]}, and no packaged recipe of that name.{suggest_similar(str(path), names)} Packaged "
        f"recipes: {', '.join(names)}. To train on sentence pairs, give their file: seq2seq train pairs.tsv."
    )


def validate_config(values: Any, origin: str) -> Config:
    """Validate plain values against the schema of their task.

    Raises:
        ConfigError: A value is not accepted. The message has one line per problem, which names `origin` and the key.
    """
    values = fit_types(values, Any)
    if not isinstance(values, dict):
        found = "nothing" if values is None else shown(values)
        raise ConfigError(f"{origin}: expected sections with keys, found {found}.")
    task = fit_types(values.get("task", next(iter(TASK_CONFIGS))), str)
    recipe = TASK_CONFIGS.get(task) if isinstance(task, str) else None
    if recipe is None:  # without a task, the other keys cannot be checked
        raise ConfigError(
            f"{origin}: 'task': found {shown(task)}. Input should be {' or '.join(map(repr, TASK_CONFIGS))}."
        )
    if isinstance(stages := values.get("stages"), list):  # which have the keys of a recipe
        values = values | {"stages": [fit_types(stage, recipe) for stage in stages]}
    if isinstance(teachers := values.get("teachers"), dict) and "changes" in teachers:
        values = values | {"teachers": teachers | {"changes": fit_types(teachers["changes"], recipe)}}
    try:
        config: Config = recipe.model_validate(fit_types(values, recipe))
    except ValidationError as error:
        raise ConfigError(explain_problems(error, origin, recipe, TASK_CONFIGS)) from None
    _check_stages([stage_recipe(config, number, origin=f"{origin}: ") for number in range(len(config.stages))], origin)
    if isinstance(config, TranslationConfig) and config.teachers.count:
        teacher_recipe(config, 1, origin=f"{origin}: ")
    return config


def _check_stages(stages: Sequence[Config], origin: str) -> None:
    """Check that no stage trains on text on which a later one validates.

    Raises:
        ConfigError: A stage may do so.
    """
    for number, stage in enumerate(stages):
        for before, earlier in enumerate(stages[:number]):
            if stage.data and earlier.data and not stage.data.holds_out_within(earlier.data):
                name = stage.data.valid.name(stage.sides)
                raise ConfigError(
                    f"{origin}: stages.{number}: 'data.valid', {name}, may have sentences that stages.{before} trains "
                    "on: a number of pairs depends on the text, and a higher fraction holds out more. For all stages, "
                    "set one fraction, --set data.valid='{fraction: 0.02}', or a file: --set data.valid.tsv=FILE."
                )


def override_config(config: Config, overrides: Sequence[str] | Mapping[str, Any], origin: str = "recipe") -> Config:
    """The recipe with some keys overridden, as by `--set`, and checked; errors call it `origin`."""
    return parse_config_text(dump_config(config).encode(), origin, overrides)


def stage_recipe(config: Config, number: int, before: Path | None = None, origin: str = "") -> Config:
    """The recipe of a stage: that of the whole run, with the keys of the stage.

    Unless the stage has a `seed` of its own, it draws other random numbers than the stages before: the first stage has
    the seed of the recipe, and each later one a seed that is higher by `SEED_STEP`.

    Args:
        config: The whole recipe.
        number: Index of the stage, from 0.
        before: Model directory of the stage before, from which it takes weights and, unless the recipe names other
            tokenizers, tokenizers.
        origin: Beginning of errors.

    Raises:
        ConfigError: A key of the stage is not accepted.
    """
    label = f"{origin}stages.{number}"
    keys = _dotted_keys(config.stages[number], label)
    for key in keys:
        same = key.split(".")[0] in ("task", "stages", "teachers", "tokenizer") and not key.startswith(
            "tokenizer.sampling"
        )
        if same or key == "training.warm_start":
            raise ConfigError(
                f"{label}: '{key}' is the same in all stages, which share tokenizers and pass on their weights. Set it "
                "at the top of the recipe."
            )
    keys.setdefault("seed", (config.seed + number * SEED_STEP) % MAX_SEED)
    if before is not None:
        keys["training.warm_start"] = str(before)
        if config.tokenizer.are_trained:
            keys["tokenizer.from_model"] = str(before)
    return _override_part(config.model_copy(update={"stages": ()}), keys, label)


def teacher_recipe(config: TranslationConfig, number: int, origin: str = "") -> TranslationConfig:
    """The recipe of a teacher: that of the run, with the keys that `teachers.changes` changes, and a seed of its own.

    The teachers of a run with seed 1 have the seeds 1, 2 and so on; with each higher seed, they are higher by
    `SEED_STEP`.

    Args:
        config: The recipe of the run.
        number: Number of the teacher, from 1.
        origin: Beginning of errors.

    Raises:
        ConfigError: A key of the changes is not accepted.
    """
    label = f"{origin}teachers.changes"
    keys = _dotted_keys(config.teachers.changes, label)
    for key in keys:
        if key.split(".")[0] in ("task", "seed", "data", "stages", "teachers"):
            raise ConfigError(
                f"{label}: '{key}' cannot be changed: teachers learn the same task from the same text, each with a "
                "seed of its own. Leave it out."
            )
    for name in NOT_FOR_TEACHERS:
        if f"search.{name}" in keys:
            raise ConfigError(
                f"{label}: 'search.{name}' cannot be changed: teachers translate together, and without files that are "
                "made from a model. Leave it out, or translate with `seq2seq data diversify`."
            )
    alone = config.model_copy(update={"teachers": TeachersConfig(), "search": config.search.without(NOT_FOR_TEACHERS)})
    recipe = _override_part(alone, keys | {"seed": ((config.seed - 1) * SEED_STEP + number) % MAX_SEED}, label)
    assert isinstance(recipe, TranslationConfig)
    return recipe


def _override_part(config: Config, keys: Mapping[str, Any], label: str) -> Config:
    """The recipe of a part of a run, with errors that begin with its `label`."""
    try:
        part = override_config(config, keys, label)
    except ConfigError as error:
        text = str(error)
        raise ConfigError(text if text.startswith(label) else f"{label}: {text}") from None
    if part.training.distribution == "multi_worker":
        raise ConfigError(
            f"{label}: 'training.distribution' cannot be multi_worker: the parts of a run are trained on "
            "one machine. Leave it out, or train each part as a run of its own."
        )
    return part


def _dotted_keys(changes: Mapping[str, Any], label: str, prefix: str = "") -> dict[str, Any]:
    """The values of nested sections by dotted names."""
    keys: dict[str, Any] = {}
    for name, value in changes.items():
        if not isinstance(name, str):
            raise ConfigError(f"{label}: '{prefix}{shown(name)}' is no key of a recipe, which is text.")
        if isinstance(value, Mapping) and not value:
            raise ConfigError(f"{label}: '{prefix}{name}' is empty. Give it keys, or leave it out.")
        inner = isinstance(value, Mapping)
        keys |= _dotted_keys(value, label, f"{prefix}{name}.") if inner else {f"{prefix}{name}": value}
    return keys


def dump_config(config: Config) -> str:
    """The complete, resolved recipe as YAML; `parse_config_text` restores an equal recipe from it."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def changed_keys(old: Config, new: Config) -> list[str]:
    """Dotted names of the keys that differ, in the order of the schema."""
    before, after = flatten(old.model_dump()), flatten(new.model_dump())
    # A section that is null on one side (data.test) has keys only on the other.
    return [key for key in after | before if before.get(key) != after.get(key)]
