"""From the name of a corpus to files that a recipe can name: listed ones, sacreBLEU's test sets, and mtdata's."""

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
    """Download what is missing; compare all of it, with the list and with the last time; unpack."""
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
                    "There is a new release: give another --output to have both, or delete "
                    f"{folder / RECORD_FILE} and run the command again to have the new one.",
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
        name: `SET/PAIR`, as `wmt19/en-de`.
        folder: Gets `test.SOURCE`, `test.TARGET`, and `test.2.TARGET` ... where there are more references.

    Raises:
        CorpusError: sacreBLEU has no such test set, or cannot get it.
    """
    from sacrebleu.dataset import DATASETS

    test_set, _, pair = name.rpartition("/")  # a set may have a slash itself: wmt21/dev
    if test_set not in DATASETS:
        raise CorpusError(
            f"sacrebleu:{name}: expected sacrebleu:SET/PAIR, as sacrebleu:wmt19/en-de, with a SET that sacreBLEU has."
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
        raise CorpusError(f"sacrebleu:{name}: sacreBLEU found what it downloaded damaged; see above.") from None
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
    """What `mtdata echo` prints of a corpus, to be split; mtdata keeps its copies in `~/.mtdata`, or `$MTDATA`.

    Args:
        name: mtdata's own, `GROUP-NAME-VERSION-SOURCE-TARGET`.
        folder: Gets `mtdata.log`.
        on_progress: As in `get_corpus`.

    Raises:
        MissingExtraError: The extra `corpora` is not installed.
        CorpusError: mtdata has no such corpus, or cannot get it.
    """
    with require_extra("corpora", needed_by=f"mtdata:{name}"):
        version = metadata.version("mtdata")
    parts = name.split("-")
    if len(parts) != 5:
        raise CorpusError(
            f"mtdata:{name}: expected mtdata:GROUP-NAME-VERSION-SOURCE-TARGET, as "
            "mtdata:OPUS-tatoeba-v20230412-deu-eng. `mtdata list -l deu-eng -id` names those of two languages."
        )
    folder.mkdir(parents=True, exist_ok=True)
    ask = f"what `mtdata list -n {parts[1]} -l {parts[3]}-{parts[4]} --full` names"
    got = DownloadedCorpus(f"mtdata:{name}", (parts[3], parts[4]), "that of the corpus; see its home page", ask, folder)
    got.table = UnsplitTable(_echo(name, folder), got.name, (1, 2))
    got.release = {"mtdata": version, "downloaded": today()}
    on_progress("mtdata (half a minute for its index the first time)", 0, None)
    return got


def _echo(name: str, folder: Path) -> Iterator[bytes]:
    """The lines that `mtdata echo` prints: a process of its own, for mtdata takes over logging where it is imported."""
    log = folder / "mtdata.log"
    command = [sys.executable, "-m", "mtdata", "echo", name]
    environment = os.environ | {"PYTHONIOENCODING": "utf-8"}
    with (
        log.open("wb") as errors,
        # In `folder`, since it also imports every mtdata*.py that it finds where it runs.
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, cwd=folder, env=environment) as process,
    ):
        assert process.stdout is not None
        yield from process.stdout
    if process.returncode:
        last = log.read_text(encoding="utf-8", errors="replace").strip().rpartition("\n")[2]
        raise CorpusError(
            f"mtdata:{name}: `mtdata echo` failed: {last}. All that it wrote is in {log}. See whether "
            "`mtdata list -id` names the corpus, check the network, then run the same command again."
        )
