"""From the name of a corpus to files that a recipe can name."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from seq2seq.corpora.downloads.archives import unpack
from seq2seq.corpora.downloads.catalogue import CatalogueEntry, archive_folder, find_entry, load_catalogue
from seq2seq.corpora.downloads.download import download, reject, verify
from seq2seq.corpora.downloads.downloaded import RECORD_FILE, DownloadedCorpus, Progress, UnsplitTable, today
from seq2seq.corpora.readers import open_bytes, reading_errors
from seq2seq.errors import CorpusError


def get_corpus(
    name: str,
    folder: Path,
    *,
    catalogue: Path | None = None,
    seed: int = 1,
    held_out: float | None = None,
    reverse: bool = False,
    on_progress: Progress = lambda what, done, total: None,
) -> DownloadedCorpus:
    """Download a corpus, compare it with what is known of it, unpack it, and split it where it has no splits.

    What lies in `folder` whole is not downloaded again, and what is there in part is gone on with.

    Args:
        name: One of the catalogue's, `sacrebleu:SET/PAIR`, or `mtdata:ID`.
        folder: Made where it is missing. `SOURCE.json` in it tells where each file came from.
        catalogue: A list in place of the one that ships with the package.
        seed: Of splits that we make; another one deals others.
        held_out: Share of the different source sentences in valid, and again in test, of splits that we make; the
            catalogue's, or 0.01, by default.
        reverse: Swap the two languages.
        on_progress: Called with what is done, how much of it, and how much there is.

    Raises:
        CorpusError: There is no such corpus, or it cannot be had, or it is not what it should be.
    """
    kind, _, rest = name.partition(":")
    if kind == "sacrebleu":
        from seq2seq.corpora.downloads.external import get_test_set

        got = get_test_set(rest, folder)
    elif kind == "mtdata":
        from seq2seq.corpora.downloads.external import get_from_mtdata

        got = get_from_mtdata(rest, folder, on_progress)
    else:
        got = _get_listed(name, folder, catalogue, on_progress)
    if reverse:
        got.reverse()
    if got.table is not None:
        got.split_table(got.table._replace(held_out=held_out or got.table.held_out), seed, on_progress)
    return got


def _get_listed(name: str, folder: Path, catalogue: Path | None, progress: Progress) -> DownloadedCorpus:
    entry = find_entry(load_catalogue(catalogue), name)
    folder.mkdir(parents=True, exist_ok=True)
    got = DownloadedCorpus(name, entry.languages, entry.licence, entry.citation, folder, entry.recipe)
    _get_files(entry, got, progress)
    for split, files in (entry.splits or {}).items():
        got.add_aligned(split, files)
    if entry.table is not None:
        path = folder / entry.table.file
        got.table = UnsplitTable(_lines(path), str(path), entry.table.columns, entry.table.held_out)
    return got


def _get_files(entry: CatalogueEntry, got: DownloadedCorpus, progress: Progress) -> None:
    """Download what is missing; compare all of it, with the list and with the last time; unpack."""
    record: dict[str, Any] = got.read_record().get("files", {})
    for name, file in entry.files.items():
        path = got.folder / name
        fresh = not path.exists()
        receipt = download(file, path, partial(progress, name)) if fresh else verify(file, path)
        before = record.get(name, {})
        if not receipt.checked:
            if before and before.get("sha256") != receipt.sha256:
                then, day = before.get("sha256"), before.get("downloaded")
                raise reject(
                    path,
                    f"expected SHA-256 {then}, as on {day}, found {receipt.sha256}",
                    "There is a new release: give another --output to have both, or delete "
                    f"{path.parent / RECORD_FILE} and "
                    "run the command again to have the new one.",
                )
            got.unchecked[name] = receipt.sha256
        unpacked = got.folder / archive_folder(name) if file.unpack else None
        if unpacked and (fresh or not unpacked.is_dir()):
            unpack(path, unpacked)
        if before.get("sha256") != receipt.sha256:
            record[name] = {"url": file.url, "downloaded": today(), **receipt._asdict()}
        got.write_record(files=record)  # after each: an interruption loses nothing


def _lines(path: Path) -> Iterator[bytes]:
    if not path.exists():
        inside = sorted(file.name for file in path.parent.iterdir()) if path.parent.is_dir() else []
        raise CorpusError(f"{path}: is not in the archive, which has: {', '.join(inside) or 'nothing'}.")
    with reading_errors(str(path)), open_bytes(path) as handle:
        yield from handle
