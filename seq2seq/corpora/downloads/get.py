"""Get a corpus by name, as files that a recipe can name: from the catalogue, from sacreBLEU or from mtdata."""

import os
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

from seq2seq.corpora.downloads.catalogue import AlignedSplit, archive_folder, find_entry, load_catalogue
from seq2seq.corpora.downloads.corpus import RECORD_FILE, DownloadedCorpus, DownloadProgress, UnsplitTable, today
from seq2seq.corpora.downloads.download import download, quarantine, unpack, verify
from seq2seq.corpora.lines import open_text, wrap_reading_errors
from seq2seq.errors import CorpusError, suggest_similar
from seq2seq.extras import require_extra


def get_corpus(
    name: str,
    folder: Path,
    *,
    catalogue: Path | None = None,
    seed: int = 1,
    held_out: float | None = None,
    reverse: bool = False,
    on_progress: DownloadProgress = lambda what, done, total: None,
) -> DownloadedCorpus:
    """Download a corpus, verify it, unpack it, and split it if it has no splits.

    Complete files in `folder` are not downloaded again, and partial downloads are resumed.

    Args:
        name: Name in the catalogue, `sacrebleu:SET/PAIR`, or `mtdata:ID`.
        folder: Output folder, which is created if necessary; its `SOURCE.json` records the origin of each file.
        catalogue: Catalogue to use instead of the one that ships with the package.
        seed: Seed of splits that are made here.
        held_out: Share of the distinct source sentences in valid, and again in test, for splits that are made here; by
            default that of the catalogue, or 0.01.
        reverse: Swap the two languages.
        on_progress: Function called with a description of the step, the amount done, and the total or None.

    Raises:
        CorpusError: There is no such corpus, or it cannot be downloaded, or it fails verification.
    """
    kind, _, rest = name.partition(":")
    if kind == "sacrebleu":
        got = get_from_sacrebleu(rest, folder)
    elif kind == "mtdata":
        got = get_from_mtdata(rest, folder, on_progress)
    else:
        got = _get_listed(name, folder, catalogue, on_progress)
    if reverse:
        got.reverse()
    if got.table is not None:
        got.split_table(got.table._replace(held_out=held_out or got.table.held_out), seed, on_progress)
    return got


def _get_listed(name: str, folder: Path, catalogue: Path | None, progress: DownloadProgress) -> DownloadedCorpus:
    """Download missing files, verify all files against the catalogue and the previous download, and unpack archives."""
    entry = find_entry(load_catalogue(catalogue), name)
    folder.mkdir(parents=True, exist_ok=True)
    got = DownloadedCorpus(name, entry.languages, entry.licence, entry.citation, folder, entry.recipe)
    record: dict[str, Any] = got.read_record().get("files", {})
    for file_name, file in entry.files.items():
        path = folder / file_name
        fresh = not path.exists()
        receipt = download(file, path, partial(progress, file_name)) if fresh else verify(file, path)
        before = record.get(file_name, {})
        same = before.get("sha256") == receipt.sha256
        if not receipt.checked:
            if before and not same:
                then, day = before.get("sha256"), before.get("downloaded")
                raise quarantine(
                    path,
                    f"expected SHA-256 {then}, as on {day}, found {receipt.sha256}",
                    "There is a new release: give another --output to keep both, or delete "
                    f"{folder / RECORD_FILE} and run the command again to get the new one.",
                )
            got.unverified_checksums[file_name] = receipt.sha256
        unpacked = folder / archive_folder(file_name) if file.unpack else None
        if unpacked and (fresh or not unpacked.is_dir()):
            unpack(path, unpacked)
        if not same:
            record[file_name] = {"url": file.url, "downloaded": today(), **receipt._asdict()}
        got.write_record(files=record)  # after each: an interruption loses nothing
    for split, files in (entry.splits or {}).items():
        got.add_aligned(split, files)
    if entry.table is not None:
        path = folder / entry.table.file
        got.table = UnsplitTable(_lines(path), str(path), entry.table.columns, entry.table.held_out)
    return got


def _lines(path: Path) -> Iterator[bytes]:
    if not path.exists():
        inside = sorted(file.name for file in path.parent.iterdir()) if path.parent.is_dir() else []
        raise CorpusError(f"{path}: is not in the archive, which has: {', '.join(inside) or 'nothing'}.")
    with wrap_reading_errors(str(path)), open_text(path) as handle:
        yield from handle


def get_from_sacrebleu(name: str, folder: Path) -> DownloadedCorpus:
    """Copy a test set from sacreBLEU, which downloads it into `~/.sacrebleu`, or `$SACREBLEU`, the first time.

    Args:
        name: `SET/PAIR`, e.g. `wmt19/en-de`.
        folder: Output folder for `test.SOURCE`, `test.TARGET`, and `test.2.TARGET` ... if there are more references.

    Raises:
        CorpusError: sacreBLEU has no such test set, or cannot download it.
    """
    from sacrebleu.dataset import DATASETS

    test_set, _, pair = name.rpartition("/")  # a set may have a slash itself: wmt21/dev
    if test_set not in DATASETS:
        raise CorpusError(
            f"sacrebleu:{name}: expected sacrebleu:SET/PAIR, e.g. sacrebleu:wmt19/en-de, with a SET of sacreBLEU."
            f"{suggest_similar(test_set or pair, DATASETS)} They are: {', '.join(sorted(DATASETS))}."
        )
    dataset = DATASETS[test_set]
    if pair not in dataset.langpairs:
        raise CorpusError(
            f"sacrebleu:{name}: {test_set} has no '{pair}'.{suggest_similar(pair, dataset.langpairs)} "
            f"It has: {', '.join(sorted(dataset.langpairs))}."
        )
    try:
        source, references = dataset.get_source_file(pair), dataset.get_reference_files(pair)
    except SystemExit:  # sacreBLEU logs the reason and exits
        raise CorpusError(f"sacrebleu:{name}: sacreBLEU reports that its download is damaged; see above.") from None
    except OSError as error:
        raise CorpusError(
            f"sacrebleu:{name}: sacreBLEU cannot download {', '.join(dataset.data)}: "
            f"{getattr(error, 'reason', error)}. Check the network, then run the same command again."
        ) from None
    languages = tuple(pair.split("-"))
    folder.mkdir(parents=True, exist_ok=True)
    terms = "sacreBLEU names none; see the home page of the test set"
    got = DownloadedCorpus(f"sacrebleu:{name}", (languages[0], languages[1]), terms, dataset.citation or "", folder)
    files = AlignedSplit(source=f"test.{languages[0]}", target=f"test.{languages[1]}")
    more = [f"test.{number}.{languages[1]}" for number in range(2, len(references) + 1)]
    for file, copy in zip([source, *references], [files.source, files.target, *more], strict=True):
        (folder / copy).write_bytes(Path(file).read_bytes())
    got.add_aligned("test", files)
    got.extra_references = [str(folder / copy) for copy in more]
    got.write_record(urls=list(dataset.data), downloaded=today())
    return got


def get_from_mtdata(name: str, folder: Path, on_progress: DownloadProgress) -> DownloadedCorpus:
    """Get a corpus, to be split, from `mtdata echo`; mtdata keeps its copies in `~/.mtdata`, or `$MTDATA`.

    Args:
        name: mtdata's name, `GROUP-NAME-VERSION-SOURCE-TARGET`.
        folder: Output folder, also for `mtdata.log`.
        on_progress: See `get_corpus`.

    Raises:
        MissingExtraError: The extra `corpora` is not installed.
        CorpusError: mtdata has no such corpus, or cannot download it.
    """
    with require_extra("corpora", needed_by=f"mtdata:{name}"):
        version = metadata.version("mtdata")
    parts = name.split("-")
    if len(parts) != 5:
        raise CorpusError(
            f"mtdata:{name}: expected mtdata:GROUP-NAME-VERSION-SOURCE-TARGET, e.g. "
            "mtdata:OPUS-tatoeba-v20230412-deu-eng. `mtdata list -l deu-eng -id` lists the corpora of two languages."
        )
    folder.mkdir(parents=True, exist_ok=True)
    citation = f"see `mtdata list -n {parts[1]} -l {parts[3]}-{parts[4]} --full`"
    licence = "that of the corpus; see its home page"
    got = DownloadedCorpus(f"mtdata:{name}", (parts[3], parts[4]), licence, citation, folder)
    got.table = UnsplitTable(_echo(name, folder), got.name, (1, 2))
    got.release = {"mtdata": version, "downloaded": today()}
    on_progress("mtdata (half a minute for its index the first time)", 0, None)
    return got


def _echo(name: str, folder: Path) -> Iterator[bytes]:
    """Lines that `mtdata echo` prints in a process of its own, since importing mtdata would reconfigure logging."""
    log = folder / "mtdata.log"
    command = [sys.executable, "-m", "mtdata", "echo", name]
    environment = os.environ | {"PYTHONIOENCODING": "utf-8"}
    with (
        log.open("wb") as errors,
        # In `folder`, since it also imports every mtdata*.py in its working directory.
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, cwd=folder, env=environment) as process,
    ):
        assert process.stdout is not None
        yield from process.stdout
    if process.returncode:
        last = log.read_text(encoding="utf-8", errors="replace").strip().rpartition("\n")[2]
        raise CorpusError(
            f"mtdata:{name}: `mtdata echo` failed: {last}. Its messages are in {log}. Check that "
            "`mtdata list -id` lists the corpus, check the network, then run the same command again."
        )
