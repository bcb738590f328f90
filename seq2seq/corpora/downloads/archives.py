"""Unpacking of archives that strangers made: nothing is written outside of the folder, and no links are made."""

import stat
import tarfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath, PureWindowsPath

from seq2seq.corpora.downloads.download import reject
from seq2seq.storage.files import atomic_folder


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a `.zip` or `.tar.*` file into a new folder, or not at all; one that is refused is renamed.

    Raises:
        CorpusError: It is damaged or no archive; or a member is a link or a device, or would lie outside of `folder`.
    """
    with atomic_folder(folder) as inner:
        try:
            if archive.suffix == ".zip":
                with zipfile.ZipFile(archive) as file:
                    for info in file.infolist():
                        kind = stat.S_IFMT(info.external_attr >> 16)
                        # orig_filename: what the archive says, before the library mends it.
                        _check(archive, info.orig_filename, kind in (0, stat.S_IFREG, stat.S_IFDIR))
                    file.extractall(inner)
            else:
                with tarfile.open(archive) as tar:
                    for member in tar:
                        _check(archive, member.name, member.isfile() or member.isdir())
                    tar.extractall(inner, filter="data")
        except (zipfile.BadZipFile, tarfile.TarError, EOFError, zlib.error, RuntimeError, NotImplementedError) as error:
            raise reject(archive, f"cannot be unpacked: {error}", "Run the same command again.") from None


def _check(archive: Path, member: str, plain: bool) -> None:
    """Refuse a member that is not `plain`, or whose path is absolute or climbs, as any system reads it."""
    windows = PureWindowsPath(member)
    if windows.drive or windows.root or ".." in windows.parts or PurePosixPath(member).is_absolute():
        reason = "leads out of the folder"
    elif not plain:
        reason = "is a link or a device"
    else:
        return
    remedy = "A corpus needs no such thing: do not trust where it came from."
    raise reject(archive, f"the member {member!r} {reason}", remedy)
