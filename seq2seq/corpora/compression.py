"""Compressed files, recognised by their first bytes, whatever they are called."""

import bz2
import gzip
import io
import lzma
import re
import zlib
from collections.abc import Callable
from typing import Any, NamedTuple

from backports import zstd

from seq2seq.storage.streams import BUFFER_BYTES

# Errors from reading a damaged or truncated file.
DAMAGE = (OSError, EOFError, zlib.error, lzma.LZMAError, zstd.ZstdError)


class Compression(NamedTuple):
    """A format of compressed files.

    Attributes:
        first_bytes: Pattern of the first bytes, with which no UTF-8 text starts.
        open: Function that returns an uncompressed file for a compressed one.
        command: Command that writes a file uncompressed to stdout.
    """

    first_bytes: re.Pattern[bytes]
    open: Callable[[Any], Any]
    command: str


FORMATS = (
    # A single first byte is a truncated file.
    Compression(re.compile(rb"\x1f(?:\x8b|\Z)"), lambda file: gzip.GzipFile(fileobj=file), "gzip -dc"),
    Compression(re.compile(rb"\xfd7zXZ\0"), lzma.LZMAFile, "xz -dc"),
    # Followed by the first block or by the end, since "BZh" alone may begin a sentence.
    Compression(re.compile(rb"BZh[1-9](?:1AY&SY|\x17rE8P\x90)"), bz2.BZ2File, "bzip2 -dc"),
    # A frame, or a skippable frame, as pzstd writes it.
    Compression(re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18", re.DOTALL), zstd.ZstdFile, "zstd -dc"),
)
SUFFIXES = (".gz", ".xz", ".bz2", ".zst")


def find_compression(head: bytes) -> Compression | None:
    """The compression of a file that begins with `head`."""
    return next((compression for compression in FORMATS if compression.first_bytes.match(head)), None)


def uncompress(file: "io.BufferedReader[Any]") -> tuple["io.BufferedReader[Any]", str]:
    """The uncompressed file, and the command that uncompresses it; the same file and "" if it is not compressed."""
    compression = find_compression(file.peek(1))
    if compression is None:
        return file, ""
    uncompressed = compression.open(file)
    close = uncompressed.close

    def close_both() -> None:
        close()
        file.close()

    uncompressed.close = close_both
    # Reading lines from gzip's own object is slow, and a subclass of `BufferedReader` is slower than the class itself.
    return io.BufferedReader(uncompressed, BUFFER_BYTES), compression.command


def without_suffix(name: str) -> str:
    """The name of a file without the suffix of its compression: `train.tsv` for `train.tsv.gz`."""
    return next((name.removesuffix(suffix) for suffix in SUFFIXES if name.endswith(suffix)), name)
