"""The history of a run, `history.jsonl`: a line of JSON for each validation."""

import json
import math
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from seq2seq.errors import ModelDirectoryError
from seq2seq.model_directory.directory import explain_damage
from seq2seq.storage.files import atomic_write, check_regular_file, wrap_storage_errors

HISTORY = "history.jsonl"


class _Faults(BaseModel):
    total: int
    empty: int
    repeated: int
    looping: int
    copied: int


class _Entry(BaseModel):
    """The keys of a validation that readers of a history need; those with a default are optional."""

    epoch: int
    update: int
    valid_loss: float
    bleu: float | None
    best: bool
    seconds: float
    train_nll: float = math.nan
    skipped_updates: int = 0
    rollbacks: int = 0
    translations: _Faults | None = None
    warnings: list[str] = []
    new_warnings: list[str] = []


def read_history(folder: Path) -> list[dict[str, Any]]:
    """All validations of a run, in order; [] before the first. A half-written last line is ignored.

    Raises:
        ModelDirectoryError: Any other line is damaged.
    """
    path, entries = folder / HISTORY, []
    if not os.path.lexists(path):
        return []
    *lines, rest = check_regular_file(path).read_bytes().split(b"\n")
    for number, line in enumerate(lines, start=1):
        try:
            entries.append(_entry(line))
        except (ValueError, RecursionError) as error:
            raise ModelDirectoryError(
                f"{path}:{number}: damaged: {explain_damage(error)}. Restore the file from a copy."
            ) from None
    with suppress(ValueError, RecursionError):  # half-written when the run ended
        entries.append(_entry(rest))
    return entries


def _entry(line: bytes) -> dict[str, Any]:
    entry = json.loads(line)
    return _Entry.model_validate(entry, strict=True).model_dump() | entry


def append_history(folder: Path, entry: Mapping[str, Any]) -> None:
    """Append a validation to `history.jsonl`."""
    path = folder / HISTORY
    if os.path.lexists(path):
        check_regular_file(path)
    with wrap_storage_errors(path), path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(dict(entry)) + "\n")
        file.flush()
        os.fsync(file.fileno())


def truncate_history(folder: Path, count: int) -> None:
    """Drop all but the first `count` entries: those that a resumed run will write again."""
    kept = read_history(folder)[:count]
    with atomic_write(folder / HISTORY) as partial:
        partial.write_text("".join(json.dumps(entry) + "\n" for entry in kept), encoding="utf-8")
