"""Files derived from a model and stored beside it, recorded with the checksums of their sources."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from shlex import quote

from seq2seq.config.search import SearchOptions, TextSearchOptions
from seq2seq.errors import ModelDirectoryError
from seq2seq.model_directory.directory import METADATA, checksums, read_metadata, write_metadata
from seq2seq.model_directory.pretrained import short_name
from seq2seq.storage.files import atomic_write, check_regular_file, sha256

SHORTLIST_FILE, DECODER_FILE, CALIBRATION_FILE = "shortlist.safetensors", "decoder.int8.onnx", "calibration.json"
# Commands that make these files.
COMMANDS = {SHORTLIST_FILE: "shortlist", DECODER_FILE: "quantize", CALIBRATION_FILE: "calibrate"}


def how_to_make(folder: Path, file: str) -> str:
    """The command that makes a derived file, as a sentence for an error."""
    return f"Make it with: seq2seq {COMMANDS[file]} {quote(short_name(folder))}"


def files_of_search(search: TextSearchOptions) -> list[str]:
    """The derived files that search options use."""
    if not isinstance(search, SearchOptions):
        return []  # options of a language model
    asked = {
        SHORTLIST_FILE: search.shortlist is not None,
        DECODER_FILE: search.int8,
        CALIBRATION_FILE: search.confidence,
    }
    return [file for file, wanted in asked.items() if wanted]


def record_derived_file(folder: Path, file: str, made_from: Mapping[str, str]) -> None:
    """Record in `metadata.json` the checksums of a derived file, which has been written, and of its sources.

    Args:
        folder: Model directory.
        file: Name of the derived file.
        made_from: SHA-256 of the sources, by file name.
    """
    values = read_metadata(folder)
    entry = {file: sha256(folder / file), **made_from}
    write_metadata(folder, values | {"derived": values.get("derived", {}) | {file: entry}})


def verify_derived_file(folder: Path, file: str, made_from: Mapping[str, str]) -> Path:
    """Compare a derived file and its sources with the checksums of `record_derived_file`; return its path.

    Args:
        folder: Model directory.
        file: Name of the derived file.
        made_from: SHA-256 of the sources as they are now, by file name.

    Raises:
        ModelDirectoryError: The file is missing, damaged, made from other files or not recorded.
    """
    path, again = folder / file, how_to_make(folder, file)
    if not os.path.lexists(path):
        raise ModelDirectoryError(f"{path}: no such file. {again}")
    recorded, found = read_metadata(folder).get("derived", {}).get(file, {}), {file: sha256(check_regular_file(path))}
    if differ := [name for name, digest in {**found, **made_from}.items() if recorded.get(name) != digest]:
        raise ModelDirectoryError(
            f"{path}: damaged, or made from other files: SHA-256 of {' and '.join(differ)} differs from {METADATA}. "
            f"{again}"
        )
    return path


def copy_derived_files(folder: Path, destination: Path) -> list[str]:
    """Copy the derived files of a model directory to another one in which they are missing.

    Returns:
        Names of files that are not copied, since they were made from files other than those in `destination`.

    Raises:
        ModelDirectoryError: A matching file is damaged.
    """
    recorded = read_metadata(folder).get("derived", {}) if os.path.lexists(folder / METADATA) else {}
    here, others = checksums(destination), []
    for file in (file for file in COMMANDS if os.path.lexists(folder / file) and not (destination / file).exists()):
        made_from = {name: sha for name, sha in recorded.get(file, {}).items() if name != file}
        if not made_from or any(here.get(name) != sha for name, sha in made_from.items()):
            others.append(file)
            continue
        path = verify_derived_file(folder, file, made_from)
        with atomic_write(destination / file, path.stat().st_size) as partial:
            shutil.copyfile(path, partial)
        record_derived_file(destination, file, made_from)
    return others
