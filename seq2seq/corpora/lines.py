"""Lines of text from files. A line ends at `\\n` and nowhere else, so that line N of two files always correspond."""

import hashlib
import io
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from seq2seq.corpora.compression import DAMAGE, uncompress
from seq2seq.corpora.encodings import describe_invalid, is_in_another_encoding
from seq2seq.corpora.file_kinds import HEAD_BYTES, check_file_kind, with_file
from seq2seq.errors import CorpusError
from seq2seq.storage.files import is_stream, place_name
from seq2seq.storage.streams import open_input

BOM = b"\xef\xbb\xbf"
SAMPLE_BYTES = 2**20  # bytes of a file with invalid UTF-8 from which its encoding is guessed


def read_lines(path: Path) -> Iterator[str]:
    """Yield the lines of a UTF-8 file, compressed or not, without `\\n`, a trailing `\\r` or a leading BOM.

    Raises:
        CorpusError: The file cannot be read, is damaged, is not text (see `open_text`), or has invalid UTF-8 (the
            message has the line number).
    """
    name = place_name(path)
    with wrap_reading_errors(name), open_text(path) as handle:
        for number, raw in enumerate(handle, start=1):
            try:
                yield strip_line_end(raw, number).decode("utf-8")
            except UnicodeDecodeError as error:
                raise CorpusError(
                    f"{name}:{number}: expected UTF-8, found byte 0x{error.object[error.start]:02x} at column "
                    f"{error.start + 1}. {_how_to_convert(path, raw)}"
                ) from None


def _how_to_convert(path: Path, line: bytes) -> str:
    """Remedy for a file with an invalid line."""
    lines, command = [line.rstrip(b"\n")], ""
    if not is_stream(path):  # a stream cannot be read again
        with open_input(path) as file:
            uncompressed, command = uncompress(file)
            *beginning, _ = uncompressed.read(SAMPLE_BYTES).split(b"\n")  # the last line may be incomplete
        lines = list(dict.fromkeys([*lines, *beginning]))
    return with_file(describe_invalid(lines), str(path), command)


def decode_lines(
    handle: Iterable[bytes], name: str, on_warning: Callable[[str], None], first: int = 1
) -> Iterator[str]:
    """Yield the lines of an open file from number `first` on; invalid UTF-8 becomes U+FFFD.

    Args:
        handle: Lines of the file from line 1, with their ends.
        name: Name of the file, for warnings and errors.
        on_warning: Function called with a warning for each line with invalid UTF-8, which names the line.
        first: Number of the first line to yield; lines before it are skipped without decoding.

    Raises:
        CorpusError: The file cannot be read or is damaged.
    """
    with wrap_reading_errors(name):
        for number, raw in enumerate(islice(handle, first - 1, None), start=first):
            line = strip_line_end(raw, number)
            text = line.decode("utf-8", errors="replace")
            if "\ufffd" in text and text.encode() != line:
                on_warning(f"{name}:{number}: invalid UTF-8 replaced by U+FFFD")
            yield text


def count_lines(path: Path, accepts: Collection[str] = ()) -> int:
    """Number of lines in a file, compressed or not, as these readers count them; errors as in `open_text`."""
    with wrap_reading_errors(str(path)), open_text(path, accepts=accepts) as handle:
        return sum(1 for _ in handle)


def text_checksum(path: Path) -> str:
    """SHA-256 of the bytes of a text, whether the file is compressed or not; errors as in `open_text`."""
    with wrap_reading_errors(str(path)), open_text(path) as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


@contextmanager
def wrap_reading_errors(name: str) -> Iterator[None]:
    """Context for reading the file `name`.

    Raises:
        CorpusError: The file cannot be read or is damaged.
    """
    try:
        yield
    except DAMAGE as error:
        reason = error.strerror if isinstance(error, OSError) else None  # the system's message
        raise CorpusError(f"{name}: cannot be read: {reason or f'{error}. Check that the file is complete'}.") from None


def strip_line_end(raw: bytes, number: int) -> bytes:
    """A line of a file without its end, `\\n` or `\\r\\n`, and the first one without a BOM."""
    line = raw.removeprefix(BOM) if number == 1 else raw
    return line.removesuffix(b"\n").removesuffix(b"\r")


def open_text(path: Path, lenient: bool = False, accepts: Collection[str] = ()) -> "io.BufferedReader[Any]":
    """Open a file or stream for reading bytes of text, uncompressed; errors as in `open_input` and `text_stream`."""
    name, file = place_name(path), open_input(path)
    with wrap_reading_errors(name):
        try:
            return text_stream(file, name, lenient, accepts)
        except BaseException:
            file.close()
            raise


def text_stream(
    file: "io.BufferedReader[Any]", name: str, lenient: bool = False, accepts: Collection[str] = ()
) -> "io.BufferedReader[Any]":
    """Check the first bytes of an open file, and return the file, uncompressed if it is compressed.

    The bytes remain to be read.

    Args:
        file: The file, at its beginning.
        name: Name of the file, for errors.
        lenient: Whether its lines are for `decode_lines`, which replaces invalid bytes: a file that is entirely in
            another encoding is then an error here.
        accepts: Kinds of files besides lines of text, see `file_kinds`.

    Raises:
        CorpusError: It is not text in UTF-8, compressed or not; the message says what it is and what to do.
        OSError, EOFError, zlib.error, lzma.LZMAError, ZstdError: See `wrap_reading_errors`.
    """
    file, command = uncompress(file)
    head = file.peek(HEAD_BYTES)[:HEAD_BYTES]
    check_file_kind(head, name, command, accepts)
    if lenient and is_in_another_encoding(head):
        remedy = with_file(describe_invalid(head.split(b"\n")), name, command)
        raise CorpusError(f"{name}: expected UTF-8, found other bytes in most lines that are not ASCII. {remedy}")
    return file
