"""What a model directory says of itself: `metadata.json`, and `history.jsonl`, a line a validation; checked if read."""

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from seq2seq.config import Precision
from seq2seq.errors import ModelDirectoryError
from seq2seq.storage.files import atomic_write, regular_file, sha256

FORMAT_VERSION = 1
CONFIG, METADATA, HISTORY = "config.yaml", "metadata.json", "history.jsonl"


class _Facts(BaseModel):
    train: list[dict[str, Any]]
    valid: dict[str, Any]


class _Metadata(BaseModel):
    """What its readers need; it may hold more."""

    format_version: int
    versions: dict[str, str]
    precision: Precision
    scores: dict[str, Any]
    sha256: dict[str, str]
    tokenizers: dict[str, str | None]
    derived: dict[str, dict[str, str]] = {}
    corpus: _Facts | None = None


class _Entry(BaseModel):
    """What the readers of a history need of each validation; it may hold more."""

    epoch: int
    update: int
    valid_loss: float
    bleu: float | None
    best: bool
    seconds: float


def write_metadata(folder: Path, values: Mapping[str, Any]) -> None:
    """Write `metadata.json`."""
    with atomic_write(folder / METADATA) as partial:
        partial.write_text(json.dumps(dict(values), indent=2) + "\n", encoding="utf-8")


def read_metadata(folder: Path) -> dict[str, Any]:
    """Read `metadata.json`.

    Raises:
        ModelDirectoryError: It is missing, damaged, or of a later format version.
    """
    path = folder / METADATA
    if not os.path.lexists(path):
        what = "training has not saved a model there yet" if (folder / CONFIG).exists() else "not a model directory"
        raise ModelDirectoryError(f"{path}: no such file: {what}.")
    try:
        values = json.loads(regular_file(path).read_bytes())
        version = values["format_version"]
        if isinstance(version, int) and version > FORMAT_VERSION:
            raise ModelDirectoryError(
                f"{path}: format version {version}, this seq2seq reads up to {FORMAT_VERSION}. Install a later seq2seq."
            )
        _Metadata.model_validate(values, strict=True)
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ModelDirectoryError(f"{path}: damaged: {_reason(error)}. Restore it from a copy.") from None
    return values


def record_derived(folder: Path, file: str, made_from: Mapping[str, str]) -> None:
    """Enter into `metadata.json` the checksum of a file that was made from the model, and those of what it came from.

    Args:
        folder: Model directory.
        file: Name of the file, which has been written.
        made_from: SHA-256 by file name.
    """
    values = read_metadata(folder)
    entry = {file: sha256(folder / file), **made_from}
    write_metadata(folder, values | {"derived": values.get("derived", {}) | {file: entry}})


def check_derived(folder: Path, file: str, made_from: Mapping[str, str], again: str) -> Path:
    """Verify a file by what `record_derived` entered; return its path.

    Args:
        folder: Model directory.
        file: Name of the file.
        made_from: SHA-256 by file name, as they are now.
        again: What to do otherwise.

    Raises:
        ModelDirectoryError: It is missing, damaged, made from other files or not recorded.
    """
    path = folder / file
    if not os.path.lexists(path):
        raise ModelDirectoryError(f"{path}: no such file. {again}")
    recorded, found = read_metadata(folder).get("derived", {}).get(file, {}), {file: sha256(regular_file(path))}
    if differ := [name for name, digest in {**found, **made_from}.items() if recorded.get(name) != digest]:
        raise ModelDirectoryError(
            f"{path}: damaged, or made from other files: SHA-256 of {' and '.join(differ)} differs from {METADATA}. "
            f"{again}"
        )
    return path


def read_history(folder: Path) -> list[dict[str, Any]]:
    """All validations of a run, in order; [] before the first. A half-written last line does not count.

    Raises:
        ModelDirectoryError: Another line is damaged.
    """
    path, entries = folder / HISTORY, []
    if not os.path.lexists(path):
        return []
    *lines, rest = regular_file(path).read_bytes().split(b"\n")
    for number, line in enumerate(lines, start=1):
        try:
            entries.append(_entry(line))
        except (ValueError, RecursionError) as error:
            raise ModelDirectoryError(
                f"{path}:{number}: damaged: {_reason(error)}. Restore the file from a copy."
            ) from None
    with suppress(ValueError, RecursionError):  # what was being written when the run ended
        entries.append(_entry(rest))
    return entries


def _entry(line: bytes) -> dict[str, Any]:
    entry = json.loads(line)
    _Entry.model_validate(entry, strict=True)
    return entry


def _reason(error: Exception) -> str:
    if isinstance(error, ValidationError):
        problem = error.errors()[0]
        return f"'{'.'.join(map(str, problem['loc']))}': {problem['msg']}"
    return f"no '{error.args[0]}'" if isinstance(error, KeyError) else str(error) or type(error).__name__
