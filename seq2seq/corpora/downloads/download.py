"""Files from the network: gone on with where a download broke off, put in place whole and compared."""

import gzip
import hashlib
import json
import time
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from seq2seq import __version__
from seq2seq.corpora.downloads.catalogue import RemoteFile
from seq2seq.errors import CorpusError
from seq2seq.extras import DISTRIBUTION
from seq2seq.storage.files import sha256

if TYPE_CHECKING:
    import requests

ATTEMPTS = 5  # of one call; only one that got some bytes is followed by another
RETRY_PAUSE = 1.0  # seconds before the second, then twice as many each time
TIMEOUT = (20, 60)  # seconds to connect, and between two blocks
BLOCK_SIZE = 1 << 16
# Named: some servers turn away whatever calls itself by the name of an HTTP library.
USER_AGENT = f"{DISTRIBUTION}/{__version__}"

Progress = Callable[[int, int | None], None]  # bytes so far, bytes in all where they are known


class DownloadResult(NamedTuple):
    """What a file turned out to be."""

    size: int
    sha256: str
    checked: bool  # compared with a checksum that was known beforehand


class _BrokenOffError(Exception):
    """A transfer ended early; what has come is kept."""


def download(file: RemoteFile, path: Path, on_progress: Progress = lambda done, total: None) -> DownloadResult:
    """Download to `path`, through `path.part`, and compare with what is known of the file.

    A part that an earlier call left is gone on with, if the server can send the rest and says that the file is the
    same as then. A file that is not what it should be is kept as `path.rejected`.

    Raises:
        CorpusError: The URL cannot be reached, or the file is not the one that it should be.
    """
    part = _beside(path, ".part")
    size = _size(part)
    for attempt in range(ATTEMPTS):
        try:
            _transfer(file.url, part, on_progress)
            break
        except _BrokenOffError as error:
            before, size = size, _size(part)
            if size <= before or attempt == ATTEMPTS - 1:
                raise CorpusError(_what_to_do(file.url, path, str(error))) from None
            time.sleep(RETRY_PAUSE * 2**attempt)
    _note(part).unlink(missing_ok=True)
    part.replace(path)
    return verify(file, path)


def verify(file: RemoteFile, path: Path) -> DownloadResult:
    """Compare a file that is there with what is known of it; one that is wrong becomes `path.rejected`.

    Raises:
        CorpusError: Its size or a checksum differs, or a `.gz` file is damaged.
    """
    size = path.stat().st_size
    found = {"size": size, "sha256": sha256(path), "md5": _digest(path, "md5") if file.md5 else None}
    if path.suffix == ".gz":
        try:
            found["text_sha256"] = _digest(path, "sha256", gzip.open)
        except (OSError, EOFError, zlib.error) as error:
            found["text_sha256"] = f"a damaged file: {error}"
            if not file.text_sha256:
                raise _changed(path, file.url, f"expected a whole .gz file, found {found['text_sha256']}") from None
    names = {"size": "a size of", "sha256": "SHA-256", "text_sha256": "text of SHA-256", "md5": "MD5"}
    for name, what in names.items():
        expected = getattr(file, name)
        if expected is not None and found[name] != expected:
            unit = " bytes" if name == "size" else ""
            raise _changed(path, file.url, f"expected {what} {expected}{unit}, found {found[name]}{unit}")
    return DownloadResult(size, str(found["sha256"]), checked=file.unchecked is None)


def reject(path: Path, difference: str, remedy: str) -> CorpusError:
    """Move a file that is not what it should be out of the way, and return the error that says so."""
    rejected = _beside(path, ".rejected")
    path.replace(rejected)
    return CorpusError(f"{path}: {difference}. It is kept as {rejected} and will not be used. {remedy}")


def _changed(path: Path, url: str, difference: str) -> CorpusError:
    return reject(
        path,
        difference,
        f"Run the same command again, in case it was damaged on its way. If it comes out the same, {url} has "
        "changed: write the new checksum into a copy of the list, and name that with --catalogue.",
    )


def _transfer(url: str, part: Path, progress: Progress) -> None:
    """Append what is missing to a part, or write it anew.

    Raises:
        _BrokenOffError: It is not complete.
    """
    import requests
    import urllib3

    done, validator = _kept(part, url)
    # Compression on the way would make ranges and lengths count other bytes than those of the file.
    headers = {"User-Agent": USER_AGENT, "Accept-Encoding": "identity"}
    if validator:
        headers |= {"Range": f"bytes={done}-", "If-Range": validator}
    try:
        with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
            if validator and not _goes_on(response, done):
                done = 0
                if response.status_code in (206, 416):  # no part of the file that is kept: ask for all of it
                    part.unlink()
                    return _transfer(url, part, progress)
            if not response.ok:
                raise _BrokenOffError(f"the server answered {response.status_code} {response.reason}")
            length = response.headers.get("Content-Length", "")
            total = done + int(length) if length.isdecimal() else None
            with part.open("ab" if done else "wb") as handle:
                _write_note(part, url, response)
                progress(done, total)
                for block in response.raw.stream(BLOCK_SIZE, decode_content=False):
                    handle.write(block)
                    done += len(block)
                    progress(done, total)
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        raise _BrokenOffError(_reason(error)) from None


def _goes_on(response: "requests.Response", done: int) -> bool:
    return response.status_code == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {done}-")


def _kept(part: Path, url: str) -> tuple[int, str | None]:
    """How many bytes an earlier call left, and by what the server knows that version; nothing if it cannot tell."""
    try:
        note = json.loads(_note(part).read_text(encoding="utf-8"))
        done = part.stat().st_size
    except (OSError, ValueError):
        return 0, None
    if note.get("url") != url or not note.get("validator") or not done:
        return 0, None
    return done, str(note["validator"])


def _write_note(part: Path, url: str, response: "requests.Response") -> None:
    """Keep what tells this version of the file from another: a strong ETag, or else the date."""
    tag = response.headers.get("ETag", "")
    validator = tag if tag and not tag.startswith("W/") else response.headers.get("Last-Modified")
    _note(part).write_text(json.dumps({"url": url, "validator": validator}), encoding="utf-8")


def _what_to_do(url: str, path: Path, reason: str) -> str:
    kept, _ = _kept(_beside(path, ".part"), url)
    after = f": it goes on after the {kept:,} bytes that came" if kept else ""
    return (
        f"{url}: cannot be downloaded: {reason}. Check the network and the URL, then run the same command "
        f"again{after}. Or get the file in some other way, put it at {path}, and run the command again."
    )


def _reason(error: Exception) -> str:
    """The innermost cause, without the layers that libraries put around it."""
    cause: Any = error
    while True:
        inner = getattr(cause, "reason", None) or next(
            (part for part in cause.args if isinstance(part, Exception)), None
        )
        if not isinstance(inner, Exception):
            break
        cause = inner
    # urllib3 puts its own objects in front: `HTTPSConnection(...): Failed to resolve ...`.
    return str(cause).rpartition("): ")[2].strip(" .") or type(cause).__name__


def _digest(path: Path, algorithm: str, opened: Callable[..., Any] = open) -> str:
    with opened(path, "rb") as handle:
        return hashlib.file_digest(handle, partial(hashlib.new, algorithm, usedforsecurity=False)).hexdigest()


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _beside(path: Path, ending: str) -> Path:
    return path.with_name(path.name + ending)


def _note(part: Path) -> Path:
    return _beside(part, ".json")
