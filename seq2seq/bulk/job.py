"""What a file is translated from and how, and by what one knows that it is still the same."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seq2seq.config import SearchOptions
from seq2seq.config.loading import flatten
from seq2seq.config.precision import Precision
from seq2seq.corpora.readers import count_lines
from seq2seq.errors import BulkError
from seq2seq.inference.output import OutputFormat
from seq2seq.inference.step_factory import external_checksums
from seq2seq.model_directory.directory import checksums
from seq2seq.storage.files import sha256


@dataclass(frozen=True)
class Job:
    """A file to translate, by which model, how, and where to; `precision` is the one that the model is loaded in."""

    model: Path
    source: Path
    target: Path
    options: SearchOptions
    output_format: OutputFormat
    precision: Precision = "float32"

    def identity(self) -> dict[str, Any]:
        """JSON-able values that differ where the output might.

        input      `sha256` of the file as it is, and its `lines`
        model      checksums of recipe, tokenizers and weights, and of what `options` asks for besides
        options    in float32 without `batch_tokens`, which then decides nothing but how much a machine does at once
        format     of the output
        precision  that the model computes in

        Raises:
            CorpusError: The input cannot be read.
            ModelDirectoryError: The model is missing something or damaged.
        """
        model = checksums(self.model) | external_checksums(self.model, self.options)
        values = {
            "input": {"sha256": sha256(self.source), "lines": count_lines(self.source)},
            "model": model,
            "options": self.options.model_dump(exclude={"batch_tokens"} if self.precision == "float32" else None),
            "format": self.output_format,
            "precision": self.precision,
        }
        return json.loads(json.dumps(values))


def check_same_job(path: Path, saved: Mapping[str, Any], current: Mapping[str, Any], remedy: str) -> None:
    """See that the job that `path` tells of is this one.

    Raises:
        BulkError: It is another; says in what they differ, and the remedy.
    """
    there, here = flatten(saved), flatten(current)
    differ = [
        f"{key} is {_short(there.get(key))} there and {_short(here.get(key))} now"
        for key in dict.fromkeys([*here, *there])
        if there.get(key) != here.get(key)
    ]
    if differ:
        raise BulkError(f"{path}: tells of another job: {', '.join(differ)}. {remedy}")


def _short(value: Any) -> str:
    """A value for an error; of a checksum the first digits."""
    if isinstance(value, str):
        return value[:8] if len(value) == 64 else value
    return json.dumps(value)
