"""The catalogue of corpora to download: `catalogue.yaml`, or a file of your own with the same keys."""

from importlib.resources import files
from pathlib import Path, PurePosixPath
from typing import Any

import yaml
from pydantic import Field, TypeAdapter, ValidationError, field_validator, model_validator

from seq2seq.config import Section
from seq2seq.config.yaml_text import fit_types, load_yaml
from seq2seq.errors import CorpusError, suggest_similar
from seq2seq.storage.files import unreadable

ARCHIVE_SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")


class RemoteFile(Section):
    """A file to download: its URL, and its known size and checksum."""

    url: str = Field(pattern=r"^https?://[^/\s]+/\S+$")
    size: int | None = Field(None, gt=0, description="Size of the downloaded file in bytes.")
    sha256: str | None = Field(None, pattern="^[0-9a-f]{64}$", description="SHA-256 of the downloaded file.")
    uncompressed_sha256: str | None = Field(
        None, pattern="^[0-9a-f]{64}$", description="SHA-256 of the text in a .gz file."
    )
    md5: str | None = Field(None, pattern="^[0-9a-f]{32}$", description="MD5, if nothing else is published.")
    unchecked_reason: str | None = Field(None, min_length=1, description="Reason why no checksum is known.")
    unpack: bool = Field(False, description="Whether the file is an archive, to be unpacked into a folder of its name.")

    @model_validator(mode="after")
    def _check_checksum(self) -> "RemoteFile":
        known = self.sha256 or self.uncompressed_sha256 or self.md5
        if bool(known) == bool(self.unchecked_reason):
            raise ValueError(
                "give 'sha256', 'uncompressed_sha256' or 'md5', or say in 'unchecked_reason' why none is known"
            )
        return self


class AlignedSplit(Section):
    """A split in two line-aligned files."""

    source: str
    target: str
    pairs: int | None = Field(None, gt=0, description="Number of lines of each file.")


class CorpusTable(Section):
    """A table of tab-separated columns that is not split yet."""

    file: str
    columns: tuple[int, int] = Field((1, 2), description="Columns of source and target, counted from 1.")
    held_out: float = Field(
        0.01, gt=0.0, lt=0.5, description="Share of the source sentences for valid, and the same share for test."
    )

    @field_validator("columns")
    @classmethod
    def _check_columns(cls, columns: tuple[int, int]) -> tuple[int, int]:
        if min(columns) < 1 or columns[0] == columns[1]:
            raise ValueError("give two columns, counted from 1")
        return columns


class CatalogueEntry(Section):
    """A corpus, with `splits` by its authors, or as a `table` to be split here."""

    description: str = Field(min_length=1)
    languages: tuple[str, str] = Field(description="Source and target language, e.g. `en` and `de`.")
    homepage: str = Field(pattern="^https?://", description="Page about the corpus.")
    licence: str = Field(min_length=1)
    citation: str = Field(min_length=1)
    approximate_size: int | None = Field(
        None, gt=0, description="Approximate number of bytes to download, if sizes of files are unknown."
    )
    recipe: str = Field("multi30k-en-de-small", description="Recipe to start from.")
    files: dict[str, RemoteFile] = Field(min_length=1)
    splits: dict[str, AlignedSplit] | None = None
    table: CorpusTable | None = None

    @field_validator("files")
    @classmethod
    def _check_file_names(cls, files: dict[str, RemoteFile]) -> dict[str, RemoteFile]:
        for name, file in files.items():
            if PurePosixPath(name).name != name or name.startswith(".") or "\\" in name:
                raise ValueError(f"{name!r} is not a plain file name")
            if file.unpack and not name.endswith(ARCHIVE_SUFFIXES):
                raise ValueError(f"{name!r} cannot be unpacked: accepted are {', '.join(ARCHIVE_SUFFIXES)}")
            if file.uncompressed_sha256 and not name.endswith(".gz"):
                raise ValueError(f"{name!r} has 'uncompressed_sha256', which is for .gz files: give 'sha256'")
        return files

    @model_validator(mode="after")
    def _check_files(self) -> "CatalogueEntry":
        if (self.splits is None) == (self.table is None):
            raise ValueError("give either 'splits' or 'table'")
        if self.splits is not None and not {"train", "valid"} <= self.splits.keys() and "test" not in self.splits:
            raise ValueError("'splits' needs 'train' and 'valid', or 'test'")
        used = [self.table.file] if self.table else []
        used += [file for split in (self.splits or {}).values() for file in (split.source, split.target)]
        folders = {archive_folder(name) for name, file in self.files.items() if file.unpack}
        for name in used:
            first, *inner = PurePosixPath(name).parts
            if ".." in inner or not (first in folders if inner else name in self.files):
                raise ValueError(f"'{name}' is neither one of 'files' nor in an archive among them")
        return self

    def size(self) -> int | None:
        """Number of bytes to download: exact if the sizes of all files are known, else approximate; None if unknown."""
        sizes = [file.size for file in self.files.values()]
        return self.approximate_size if None in sizes else sum(size or 0 for size in sizes)


def archive_folder(name: str) -> str:
    """The folder into which an archive is unpacked: `deu-eng` for `deu-eng.zip`."""
    ending = max((ending for ending in ARCHIVE_SUFFIXES if name.endswith(ending)), key=len)
    return name.removesuffix(ending)


def load_catalogue(path: Path | None = None) -> dict[str, CatalogueEntry]:
    """Read a catalogue of corpora, by name; by default the one that ships with the package.

    Raises:
        CorpusError: The file is missing or not YAML, or has a key or a value that is not accepted.
    """
    origin = str(path or "catalogue.yaml")
    try:
        text = (path or files("seq2seq.corpora.downloads").joinpath("catalogue.yaml")).read_bytes()
        values = fit_types(load_yaml(text), dict[str, CatalogueEntry])
    except OSError as error:
        raise CorpusError(unreadable(Path(origin), error)) from None
    except yaml.YAMLError as error:
        raise CorpusError(f"{origin}: not valid YAML: {error}") from None
    if not isinstance(values, dict) or not values:
        raise CorpusError(f"{origin}: expected corpora by name, found {type(values).__name__}.")
    try:
        return TypeAdapter(dict[str, CatalogueEntry]).validate_python(values)
    except ValidationError as error:
        raise CorpusError("\n".join(_explain(problem, origin) for problem in error.errors())) from None


def find_entry(catalogue: dict[str, CatalogueEntry], name: str) -> CatalogueEntry:
    """Look up a corpus.

    Raises:
        CorpusError: There is no corpus of that name.
    """
    if name not in catalogue:
        raise CorpusError(
            f"{name}: no such corpus.{suggest_similar(name, catalogue)} Listed: {', '.join(catalogue)}. "
            "Others: sacrebleu:SET/PAIR, e.g. sacrebleu:wmt19/en-de, and mtdata:ID, e.g. "
            "mtdata:OPUS-tatoeba-v20230412-deu-eng."
        )
    return catalogue[name]


def _explain(problem: Any, origin: str) -> str:
    key = ".".join(str(part) for part in problem["loc"])
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "extra_forbidden":
        # Below a corpus: `files` and `splits` contain names, `table` contains keys.
        inner: dict[str, type[Section]] = {"files": RemoteFile, "splits": AlignedSplit, "table": CorpusTable}
        section = inner.get(problem["loc"][1], CatalogueEntry) if len(problem["loc"]) > 2 else CatalogueEntry
        accepted = sorted(section.model_fields)
        hint = suggest_similar(str(problem["loc"][-1]), accepted)
        return f"{origin}: unknown key '{key}'.{hint} Accepted there: {', '.join(accepted)}."
    said = {"missing": " is missing", "value_error": f": {message}"}
    otherwise = f": found {problem['input']!r}. {message}"
    return f"{origin}: '{key}'{said.get(problem['type'], otherwise)}."
