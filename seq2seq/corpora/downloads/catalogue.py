"""The list of corpora that can be downloaded: `catalogue.yaml`, or a file of your own with the same keys."""

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
    """One file: its URL, and what is known of it beforehand."""

    url: str = Field(pattern=r"^https?://[^/\s]+/\S+$")
    size: int | None = Field(None, gt=0, description="Bytes, as it is downloaded.")
    sha256: str | None = Field(None, pattern="^[0-9a-f]{64}$", description="Of the file as it is downloaded.")
    uncompressed_sha256: str | None = Field(None, pattern="^[0-9a-f]{64}$", description="Of the text in a .gz file.")
    md5: str | None = Field(None, pattern="^[0-9a-f]{32}$", description="Where others publish only that.")
    unchecked_reason: str | None = Field(None, min_length=1, description="Why no checksum is known.")
    unpack: bool = Field(False, description="An archive; its files lie in a folder with its name then.")

    @model_validator(mode="after")
    def _check_checksum(self) -> "RemoteFile":
        known = self.sha256 or self.uncompressed_sha256 or self.md5
        if bool(known) == bool(self.unchecked_reason):
            raise ValueError(
                "give 'sha256', 'uncompressed_sha256' or 'md5', or say in 'unchecked_reason' why none is known"
            )
        return self


class AlignedSplit(Section):
    """A split of which line N of one file answers line N of another."""

    source: str
    target: str
    pairs: int | None = Field(None, gt=0, description="Lines of either file.")


class CorpusTable(Section):
    """Lines of tab-separated columns, not split yet."""

    file: str
    columns: tuple[int, int] = Field((1, 2), description="Of the source and the target, counted from 1.")
    held_out: float = Field(0.01, gt=0.0, lt=0.5, description="Share of the sources in valid, and again in test.")

    @field_validator("columns")
    @classmethod
    def _check_columns(cls, columns: tuple[int, int]) -> tuple[int, int]:
        if min(columns) < 1 or columns[0] == columns[1]:
            raise ValueError("give two columns, counted from 1")
        return columns


class CatalogueEntry(Section):
    """One corpus, of `splits` that its makers made, or a `table` that we split."""

    description: str = Field(min_length=1)
    languages: tuple[str, str] = Field(description="Of the source and the target, as `en`.")
    homepage: str = Field(pattern="^https?://", description="Where people read about it.")
    licence: str = Field(min_length=1)
    citation: str = Field(min_length=1)
    approximate_size: int | None = Field(
        None, gt=0, description="Bytes to download, roughly, to tell people beforehand."
    )
    recipe: str = Field("multi30k-en-de-small", description="One to start from.")
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
            raise ValueError("give one of 'splits' and 'table'")
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
        """Bytes to download, exactly where all files' sizes are known, roughly otherwise; None if nobody knows."""
        sizes = [file.size for file in self.files.values()]
        return self.approximate_size if None in sizes else sum(size or 0 for size in sizes)


def archive_folder(name: str) -> str:
    """The folder that an archive is unpacked into: `deu-eng.zip` into `deu-eng`."""
    ending = max((ending for ending in ARCHIVE_SUFFIXES if name.endswith(ending)), key=len)
    return name.removesuffix(ending)


def load_catalogue(path: Path | None = None) -> dict[str, CatalogueEntry]:
    """Read a list of corpora, by name; the one that ships with the package where `path` is None.

    Raises:
        CorpusError: The file is missing, not YAML, or has a key or value that is not accepted; names file and key.
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
    """Look a corpus up.

    Raises:
        CorpusError: There is none of that name.
    """
    if name not in catalogue:
        raise CorpusError(
            f"{name}: no such corpus.{suggest_similar(name, catalogue)} Listed: {', '.join(catalogue)}. "
            "Others: sacrebleu:SET/PAIR, as sacrebleu:wmt19/en-de, and mtdata:ID, as "
            "mtdata:OPUS-tatoeba-v20230412-deu-eng."
        )
    return catalogue[name]


def _explain(problem: Any, origin: str) -> str:
    key = ".".join(str(part) for part in problem["loc"])
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "extra_forbidden":
        # Within a corpus: of `files` and `splits` a name, of `table` a key.
        inner: dict[str, type[Section]] = {"files": RemoteFile, "splits": AlignedSplit, "table": CorpusTable}
        section = inner.get(problem["loc"][1], CatalogueEntry) if len(problem["loc"]) > 2 else CatalogueEntry
        accepted = sorted(section.model_fields)
        hint = suggest_similar(str(problem["loc"][-1]), accepted)
        return f"{origin}: unknown key '{key}'.{hint} Accepted there: {', '.join(accepted)}."
    said = {"missing": " is missing", "value_error": f": {message}"}
    otherwise = f": found {problem['input']!r}. {message}"
    return f"{origin}: '{key}'{said.get(problem['type'], otherwise)}."
