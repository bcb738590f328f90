"""Unpacking of archives that strangers made: nothing is written outside of the folder, and no links are made."""

import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath

from seq2seq.corpora.downloads.download import reject
from seq2seq.storage.files import replacing_folder


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a `.zip` or `.tar.*` file into a new folder, or not at all; one that is refused is renamed.

    Raises:
        CorpusError: It is damaged or no archive; or a member is a link or a device, or would lie outside of `folder`.
    """
    with replacing_folder(folder) as inner:
        try:
            if archive.suffix == ".zip":
                with zipfile.ZipFile(archive) as file:
                    _refuse(archive, _unwelcome_in_zip(file.infolist()))
                    file.extractall(inner)
            else:
                with tarfile.open(archive) as tar:
                    _refuse(archive, _unwelcome_in_tar(tar))
                    tar.extractall(inner, filter="data")
        except (zipfile.BadZipFile, tarfile.TarError, EOFError, zlib.error, RuntimeError, NotImplementedError) as error:
            raise reject(archive, f"cannot be unpacked: {error}", "Run the same command again.") from None


def _refuse(archive: Path, unwelcome: Iterable[str]) -> None:
    for reason in unwelcome:
        raise reject(archive, reason, "A corpus needs no such thing: do not trust where it came from.")


def _unwelcome_in_zip(members: Iterable[zipfile.ZipInfo]) -> Iterator[str]:
    for member in members:
        # orig_filename: what the archive says, before the library mends it.
        if _leads_outside(member.orig_filename):
            yield f"the member {member.orig_filename!r} leads out of the folder"
        kind = stat.S_IFMT(member.external_attr >> 16)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            yield f"the member {member.filename!r} is a link or a device"


def _unwelcome_in_tar(members: Iterable[tarfile.TarInfo]) -> Iterator[str]:
    for member in members:
        if _leads_outside(member.name):
            yield f"the member {member.name!r} leads out of the folder"
        if not (member.isfile() or member.isdir()):
            yield f"the member {member.name!r} is a link or a device"


def _leads_outside(name: str) -> bool:
    """Whether a path is absolute or climbs, as any system reads it."""
    windows = PureWindowsPath(name)
    return bool(windows.drive or windows.root) or ".." in windows.parts or PurePosixPath(name).is_absolute()
