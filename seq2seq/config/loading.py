"""Read recipes from YAML, apply dotted overrides, validate them, and write them back."""

import math
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path, PurePath
from typing import Any, NamedTuple

import yaml
from pydantic import ValidationError

from seq2seq.arguments import check_arguments
from seq2seq.config.corpus import CORPUS_KINDS, SIDES
from seq2seq.config.objective import TeachersConfig
from seq2seq.config.problems import explain_problems, shown
from seq2seq.config.recipe import MAX_SEED, TASK_CONFIGS, Config, TranslationConfig
from seq2seq.config.search import SearchOptions
from seq2seq.config.section import Section
from seq2seq.config.yaml_text import Unquoted, fit_types, load_yaml
from seq2seq.errors import ConfigError, suggest_similar
from seq2seq.storage.files import is_stream, missing, place_name

# Between the seeds of two stages, or of the teachers of two runs; far apart, since runs often have the seeds 1, 2, 3.
SEED_STEP = 1_000_000

# Search options with which teachers do not translate the training text.
NOT_FOR_TEACHERS = (
    "n_best", "shortlist", "int8", "glossary", "confidence", "language_model", "ensemble_weights", "rerank_model",
)  # fmt: skip


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
    values = _read_yaml(text, f"{origin}: not valid YAML")
    if isinstance(values, dict):
        read = _read_overrides(overrides)
        for override in read:
            _drop_other_kinds(values, override)
        for override in read:
            _apply(values, override)
    return validate_config(values, origin)


def override_strings(overrides: Sequence[str] | Mapping[str, Any]) -> list[str]:
    """Overrides as `section.key=value` strings."""
    if not isinstance(overrides, Mapping):
        return list(overrides)
    return [f"{key}={_on_one_line(_plain(key, value))}" for key, value in overrides.items()]


def _on_one_line(value: Any) -> str:
    text = yaml.safe_dump(value, default_flow_style=True, width=math.inf, allow_unicode=True)
    return text.removesuffix("...\n").strip()


def override_values(overrides: Sequence[str] | Mapping[str, Any]) -> dict[str, Any]:
    """Unchecked values of overrides by their dotted names; a section given as a whole is split into its keys."""
    values: dict[str, Any] = {}
    for override in _read_overrides(overrides):
        _apply(values, override)
    return flatten(fit_types(values, TranslationConfig))


def _read_yaml(text: str | bytes, complaint: str) -> Any:
    """Parse YAML with `load_yaml`, with a `ConfigError` that begins with `complaint`."""
    try:
        return load_yaml(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{complaint}: {error}") from None


class _Override(NamedTuple):
    """A dotted key, its new value, and the `label` of both in errors."""

    key: str
    value: Any
    label: str


def _read_overrides(overrides: Sequence[str] | Mapping[str, Any]) -> list[_Override]:
    if isinstance(overrides, Mapping):
        return [_Override(key, _plain(key, value), f"{key}={shown(value)}") for key, value in overrides.items()]
    read = []
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals or not key:
            raise ConfigError(f"--set {override}: expected section.key=value, as in --set training.epochs=5.")
        value = _read_yaml(text, f"--set {override}: the value is not valid YAML")
        read.append(_Override(key, value, f"--set {override}"))
    return read


def _plain(key: str, value: Any) -> Any:
    """A fresh copy of a Python value in the form in which YAML would provide it."""
    if isinstance(value, Section):
        return value.model_dump(mode="json", exclude_unset=True)
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, Unquoted):
        return value.value
    if isinstance(value, Mapping):
        return {name: _plain(key, inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(key, inner) for inner in value]
    if getattr(value, "shape", None) == () and hasattr(value, "item"):  # a NumPy scalar
        value = value.item()
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    raise ConfigError(f"'{key}': found {shown(value)}, expected a value that YAML can represent.")


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
        same = key.split(".")[0] in ("task", "stages", "tokenizer") and not key.startswith("tokenizer.sampling")
        if same or key == "training.warm_start":
            raise ConfigError(
                f"{label}: '{key}' is the same in all stages, which share tokenizers and pass on their weights. Set it "
                "at the top of the recipe."
            )
    keys.setdefault("seed", (config.seed + number * SEED_STEP) % MAX_SEED)
    if before is not None:
        keys["training.warm_start"] = str(before)
        tokenizer = config.tokenizer
        if tokenizer.from_model is None and not any(part.file for part in tokenizer.parts()):
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
    for name in NOT_FOR_TEACHERS:  # those of the student's search are left out
        if f"search.{name}" in keys:
            raise ConfigError(
                f"{label}: 'search.{name}' cannot be changed: teachers translate together, and without files that are "
                "made from a model. Leave it out, or translate with `seq2seq data diversify`."
            )
        keys[f"search.{name}"] = SearchOptions.model_fields[name].default
    alone = config.model_copy(update={"teachers": TeachersConfig()})
    recipe = _override_part(alone, keys | {"seed": ((config.seed - 1) * SEED_STEP + number) % MAX_SEED}, label)
    assert isinstance(recipe, TranslationConfig)
    return recipe


def _override_part(config: Config, keys: Mapping[str, Any], label: str) -> Config:
    """The recipe of a part of a run, with errors that begin with its `label`."""
    try:
        return override_config(config, keys, label)
    except ConfigError as error:
        text = str(error)
        raise ConfigError(text if text.startswith(label) else f"{label}: {text}") from None


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


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten nested sections to values by dotted names; sections in a list are numbered from 0."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, tuple) and any(isinstance(entry, dict) for entry in value):  # a list of sections
            value = {str(place): entry for place, entry in enumerate(value)}  # noqa: PLW2901
        flat |= flatten(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return flat


def _drop_other_kinds(values: dict[str, Any], override: _Override) -> None:
    """Remove the recipe's corpus if an override such as `data.train.tsv=FILE` gives one of a different kind.

    This happens for all overrides before any is applied, so two overrides of different kinds are both kept, which is
    an error.
    """
    *path, name = override.key.split(".")
    kinds = {*SIDES, *CORPUS_KINDS, "fraction", "pairs"}
    if path[:1] != ["data"] or name not in kinds or _is_null(override.value):
        return
    section: Any = values
    for part in path:
        if isinstance(section, list) and part.isdecimal() and int(part) < len(section):
            section = section[int(part)]
        else:
            section = section.get(part) if isinstance(section, dict) else None
    if name == "pairs":  # of the phrasebook, or to hold out
        if isinstance(section, dict):
            section.pop("fraction", None)
        return
    same_kind = SIDES if name in SIDES else (name,)
    if isinstance(section, dict) and all(_is_null(section.get(key)) for key in same_kind):
        for other in section.keys() - {"weight"}:
            del section[other]


def _is_null(value: Any) -> bool:
    return value is None or (isinstance(value, Unquoted) and value.value is None)


def _apply(values: dict[str, Any], override: _Override) -> None:
    *sections, last = override.key.split(".")
    inner: Any = values
    for depth, name in enumerate(sections):
        place = _place(inner, sections[:depth], name, override.label)
        if isinstance(inner, dict) and _is_null(inner.get(name)):
            inner[name] = {}  # a section that the recipe does not have, or has as null
        inner = inner[place]
    inner[_place(inner, sections, last, override.label)] = override.value


def _place(values: Any, path: Sequence[str], name: str, label: str) -> str | int:
    """The key or index that `name` stands for in the section or list at `path`."""
    if isinstance(values, dict):
        return name
    where = ".".join(path)
    if not isinstance(values, list):
        raise ConfigError(f"{label}: '{where}' is a value, not a section.")
    if not name.isdecimal() or int(name) >= len(values):
        raise ConfigError(
            f"{label}: '{where}' is a list of {len(values)}, counted from 0: it has no '{name}'. "
            f"To change its length, set the whole list: --set {where}=[...]."
        )
    return int(name)
