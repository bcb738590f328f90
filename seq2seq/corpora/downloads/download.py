"""Downloads: resumed after an interruption, written completely or not at all, verified and unpacked."""

import gzip
import hashlib
import json
import stat
import tarfile
import time
import zipfile
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, NamedTuple

from seq2seq import __version__
from seq2seq.corpora.downloads.catalogue import RemoteFile
from seq2seq.errors import CorpusError
from seq2seq.extras import DISTRIBUTION_NAME
from seq2seq.storage.files import atomic_folder, sha256

ATTEMPTS = 5  # maximum attempts per call; only an attempt that received some bytes is followed by another
RETRY_PAUSE = 1.0  # seconds before the second attempt; doubled before each further one
TIMEOUT = (20, 60)  # seconds to connect, and between two blocks
BLOCK_SIZE = 1 << 16
# A name of our own: some servers reject requests with the default name of an HTTP library.
USER_AGENT = f"{DISTRIBUTION_NAME}/{__version__}"

ByteProgress = Callable[[int, int | None], None]  # number of bytes so far, and in all if known


class DownloadResult(NamedTuple):
    """Size and checksum of a downloaded file.

    Attributes:
        size: Number of bytes.
        sha256: SHA-256 (hexadecimal).
        checked: Whether the file was compared with a known checksum.
    """

    size: int
    sha256: str
    checked: bool


class _BrokenOffError(Exception):
    """A transfer ended early; the bytes received so far are kept."""


def download(file: RemoteFile, path: Path, on_progress: ByteProgress = lambda done, total: None) -> DownloadResult:
    """Download a file to `path`, by way of `path.part`, and verify it.

    A part that an earlier call left is continued if the server can send the rest and confirms that the file is still
    the same. A file that fails verification is kept as `path.rejected`.

    Raises:
        CorpusError: The URL cannot be reached, or the file fails verification.
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
                kept, _ = _kept(part, file.url)
                after = f": it resumes after the {kept:,} bytes received so far" if kept else ""
                raise CorpusError(
                    f"{file.url}: cannot be downloaded: {error}. Check the network and the url, then run the same "
                    f"command again{after}. Or get the file in some other way, put it at {path}, and run the command "
                    "again."
                ) from None
            time.sleep(RETRY_PAUSE * 2**attempt)
    _beside(part, ".json").unlink(missing_ok=True)
    part.replace(path)
    return verify(file, path)


def verify(file: RemoteFile, path: Path) -> DownloadResult:
    """Verify the size and the checksum of an existing file; one that differs is renamed to `path.rejected`.

    Raises:
        CorpusError: The size or a checksum differs, or a `.gz` file is damaged.
    """
    size = path.stat().st_size
    found = {"size": size, "sha256": sha256(path), "md5": _digest(path, "md5") if file.md5 else None}
    if path.suffix == ".gz":
        try:
            found["uncompressed_sha256"] = _digest(path, "sha256", gzip.open)
        except (OSError, EOFError, zlib.error) as error:
            found["uncompressed_sha256"] = f"a damaged file: {error}"
            if not file.uncompressed_sha256:
                raise _changed(
                    path, file.url, f"expected a complete .gz file, found {found['uncompressed_sha256']}"
                ) from None
    names = {"size": "a size of", "sha256": "SHA-256", "uncompressed_sha256": "text of SHA-256", "md5": "MD5"}
    for name, what in names.items():
        expected = getattr(file, name)
        if expected is not None and found[name] != expected:
            unit = " bytes" if name == "size" else ""
            raise _changed(path, file.url, f"expected {what} {expected}{unit}, found {found[name]}{unit}")
    return DownloadResult(size, str(found["sha256"]), checked=file.unchecked_reason is None)


def quarantine(path: Path, difference: str, remedy: str) -> CorpusError:
    """Rename a file that fails verification, and return the error that says so."""
    rejected = _beside(path, ".rejected")
    path.replace(rejected)
    return CorpusError(f"{path}: {difference}. It is kept as {rejected} and will not be used. {remedy}")


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a `.zip` or `.tar.*` file into a new folder, completely or not at all; a refused archive is renamed.

    Archives are not trusted: nothing is written outside the folder, and no links are made.

    Raises:
        CorpusError: The file is damaged or not an archive; or a member is a link or a device, or lies outside `folder`.
    """
    with atomic_folder(folder) as inner:
        try:
            if archive.suffix == ".zip":
                with zipfile.ZipFile(archive) as file:
                    for info in file.infolist():
                        kind = stat.S_IFMT(info.external_attr >> 16)
                        # orig_filename: the name in the archive, before the library cleans it.
                        _check(archive, info.orig_filename, kind in (0, stat.S_IFREG, stat.S_IFDIR))
                    file.extractall(inner)
            else:
                with tarfile.open(archive) as tar:
                    for member in tar:
                        _check(archive, member.name, member.isfile() or member.isdir())
                    tar.extractall(inner, filter="data")
        except (zipfile.BadZipFile, tarfile.TarError, EOFError, zlib.error, RuntimeError, NotImplementedError) as error:
            raise quarantine(archive, f"cannot be unpacked: {error}", "Run the same command again.") from None


def _check(archive: Path, member: str, plain: bool) -> None:
    """Refuse a member that is not `plain`, or whose path is absolute or leads upward on any operating system."""
    windows = PureWindowsPath(member)
    if windows.drive or windows.root or ".." in windows.parts or PurePosixPath(member).is_absolute():
        reason = "leads out of the folder"
    elif not plain:
        reason = "is a link or a device"
    else:
        return
    remedy = "A corpus does not need this: do not trust the source of the archive."
    raise quarantine(archive, f"the member {member!r} {reason}", remedy)


def _changed(path: Path, url: str, difference: str) -> CorpusError:
    return quarantine(
        path,
        difference,
        f"Run the same command again, in case it was damaged in transit. If the result is the same, {url} has "
        "changed: write the new checksum into a copy of the catalogue, and give that with --catalogue.",
    )


def _transfer(url: str, part: Path, progress: ByteProgress) -> None:
    """Append the missing bytes to a partial download, or start it again.

    Raises:
        _BrokenOffError: The transfer ended early.
    """
    import requests
    import urllib3

    done, validator = _kept(part, url)
    # With compression in transit, ranges and lengths would not count the bytes of the file.
    headers = {"User-Agent": USER_AGENT, "Accept-Encoding": "identity"}
    if validator:
        headers |= {"Range": f"bytes={done}-", "If-Range": validator}
    try:
        with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
            is_rest = response.headers.get("Content-Range", "").startswith(f"bytes {done}-")
            if validator and not (response.status_code == 206 and is_rest):
                done = 0
                if response.status_code in (206, 416):  # not the rest of the kept part: request the whole file
                    part.unlink()
                    return _transfer(url, part, progress)
            if not response.ok:
                raise _BrokenOffError(f"the server answered {response.status_code} {response.reason}")
            length = response.headers.get("Content-Length", "")
            total = done + int(length) if length.isdecimal() else None
            with part.open("ab" if done else "wb") as handle:
                # Identifier of this version of the file: a strong ETag, or else the date.
                tag = response.headers.get("ETag", "")
                validator = tag if tag and not tag.startswith("W/") else response.headers.get("Last-Modified")
                _beside(part, ".json").write_text(json.dumps({"url": url, "validator": validator}), encoding="utf-8")
                progress(done, total)
                for block in response.raw.stream(BLOCK_SIZE, decode_content=False):
                    handle.write(block)
                    done += len(block)
                    progress(done, total)
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        raise _BrokenOffError(_reason(error)) from None


def _kept(part: Path, url: str) -> tuple[int, str | None]:
    """Number of bytes that an earlier call left, and the server's identifier of their version; 0, None without one."""
    try:
        note = json.loads(_beside(part, ".json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return 0, None
    done = _size(part)
    if note.get("url") != url or not note.get("validator") or not done:
        return 0, None
    return done, str(note["validator"])


def _reason(error: Exception) -> str:
    """The innermost cause, without the layers that libraries put around it."""
    inside = (getattr(error, "reason", None), *error.args)
    if inner := next((part for part in inside if isinstance(part, Exception)), None):
        return _reason(inner)
    # urllib3 puts its own objects in front: `HTTPSConnection(...): Failed to resolve ...`.
    return str(error).rpartition("): ")[2].strip(" .") or type(error).__name__


def _digest(path: Path, algorithm: str, opened: Callable[..., Any] = open) -> str:
    with opened(path, "rb") as handle:
        return hashlib.file_digest(handle, partial(hashlib.new, algorithm, usedforsecurity=False)).hexdigest()


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _beside(path: Path, ending: str) -> Path:
    return path.with_name(path.name + ending)
