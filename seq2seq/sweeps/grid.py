"""Settings of a sweep: all combinations of the values of some keys."""

import re
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from itertools import product
from typing import NamedTuple

from seq2seq.config import Config, dump_config
from seq2seq.errors import ConfigError

BRACKETS = {"[": "]", "{": "}"}
MAX_NAME = 100  # characters of a folder's name, which file systems limit to 255 bytes


class Setting(NamedTuple):
    """Overrides of the recipe, `section.key=value`; none for the recipe itself."""

    overrides: tuple[str, ...]

    @property
    def label(self) -> str:
        """The setting in words."""
        return ", ".join(self.overrides) or "recipe"

    def run_name(self, seed: int) -> str:
        """The name of the folder of a run: readable, and different for different settings."""
        plain = re.sub(r"[^\w.=+-]+", "_", "-".join(self.overrides) or "recipe")
        if plain != "-".join(self.overrides or ["recipe"]) or len(plain) > MAX_NAME:
            plain = f"{plain[:MAX_NAME]}-{sha256(self.label.encode()).hexdigest()[:6]}"
        return f"{plain}-seed{seed}"


def parse_grid(options: Sequence[str]) -> list[Setting]:
    """All combinations of the values of some keys, those of the last key varying fastest.

    Args:
        options: `key=value,value` for each key; `key,key=value,value` gives two keys the same values. A value is YAML,
            as for `--set`; commas within brackets and quotes belong to it.

    Raises:
        ConfigError: An option is malformed, or a key or value is given twice.
    """
    keys: list[str] = []
    axes: list[list[tuple[str, ...]]] = []
    for option in options:
        names, equals, text = option.partition("=")
        values = _split(text)
        if not equals or not all(names.split(",")) or not all(values):
            raise ConfigError(
                f"--grid {option}: expected section.key=value,value, as in --grid training.learning_rate=1e-3,3e-3. "
                "Quote an empty text as ''."
            )
        for value in values:
            if values.count(value) > 1:
                raise ConfigError(f"--grid {option}: the value {value} is given twice. Give it once.")
        keys += names.split(",")
        axes.append([tuple(f"{name}={value}" for name in names.split(",")) for value in values])
    for key in keys:
        if key == "seed":
            raise ConfigError("--grid seed: give the number of seeds instead, as in --seeds 3.")
        if keys.count(key) > 1:
            raise ConfigError(f"--grid {key}: is given twice. List all of its values in one --grid.")
    return [Setting(tuple(one for axis in chosen for one in axis)) for chosen in product(*axes)]


def check_common_overrides(overrides: Sequence[str], settings: Sequence[Setting]) -> None:
    """Check that overrides of all settings have neither a seed, which each run has of its own, nor a key of the grid.

    Raises:
        ConfigError: One of them does.
    """
    varied = {override.partition("=")[0] for setting in settings for override in setting.overrides}
    for override in overrides:
        key = override.partition("=")[0]
        if key in varied:
            raise ConfigError(f"--set {override}: the key is also in the grid. Give it either in --set or in --grid.")
        if key == "seed":
            raise ConfigError(
                f"--set {override}: a sweep trains every setting with the seeds 1 to N. Give their number instead, as "
                "in --seeds 3."
            )


def refuse_seeds_of_stages(configs: Iterable[Config]) -> None:
    """Refuse recipes whose stages have seeds of their own, since a stage would be the same with every seed of a sweep.

    Raises:
        ConfigError: There is one.
    """
    for config in configs:
        for number, stage in enumerate(config.stages):
            if "seed" in stage:
                raise ConfigError(
                    f"stages.{number}.seed is {stage['seed']}: a sweep trains every setting with the seeds 1 to N, and "
                    "those of later stages follow from them. Remove it."
                )


def check_distinct(configs: Mapping[str, Config]) -> None:
    """Check that no two settings are the same recipe.

    Args:
        configs: Recipe of each setting, by its label.

    Raises:
        ConfigError: Two settings differ only in how they are written, so that one recipe would be trained twice.
    """
    known: dict[str, str] = {}  # labels by recipe
    for label, config in configs.items():
        first = known.setdefault(dump_config(config), label)
        if first != label:
            raise ConfigError(
                f"'{label}' is the same recipe as '{first}', written differently. Give each setting once, as it was "
                "written first."
            )


def _split(text: str) -> list[str]:
    """The values of a list, divided at the commas that are outside brackets and quotes, without outer spaces."""
    values, closing, quote = [""], [], ""
    for character in text:
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        elif character in BRACKETS:
            closing.append(BRACKETS[character])
        elif closing and character == closing[-1]:
            closing.pop()
        elif character == "," and not closing:
            values.append("")
            continue
        values[-1] += character
    return [value.strip() for value in values]
