"""Pretrained models, which ship with the package and are used by name, e.g. `phrasebook-en-de`."""

import os
from pathlib import Path
from shlex import quote

from seq2seq.errors import ModelDirectoryError
from seq2seq.storage.files import expand_path

PRETRAINED = Path(__file__).parents[1] / "pretrained"


def pretrained_names() -> list[str]:
    """Names of the pretrained models."""
    return sorted(file.parent.name for file in PRETRAINED.glob("*/metadata.json"))


def find_model(path: str | Path) -> Path:
    """The directory of a model: `path` itself, or that of the pretrained model with this name.

    A local file or folder of the same name takes precedence.
    """
    if str(path) in pretrained_names() and not os.path.lexists(path):
        return PRETRAINED / path
    return Path(path)


def find_other_model(path: str) -> Path:
    """The directory of a model that a recipe or an option names: `find_model`, after `expand_path`.

    Raises:
        CorpusError: An environment variable in the path is not set.
    """
    return find_model(expand_path(path))


def short_name(folder: Path) -> str:
    """The shortest name of a model directory that `find_model` accepts."""
    name = folder.name
    return name if folder == PRETRAINED / name and find_model(name) == folder else str(folder)


def refuse_pretrained(folder: Path) -> None:
    """Reject a pretrained model as a directory to write to.

    Raises:
        ModelDirectoryError: `folder` is a pretrained model, or inside one.
    """
    # Links lead there, too, and the package may be installed behind one. `Path.resolve` fails at a link to itself.
    if Path(os.path.realpath(PRETRAINED)) in Path(os.path.realpath(folder)).parents:
        name = short_name(folder)
        raise ModelDirectoryError(
            f"{name}: is a pretrained model, which cannot be changed. Copy it with `seq2seq export {quote(name)} "
            "my-model`, and give my-model instead."
        )
