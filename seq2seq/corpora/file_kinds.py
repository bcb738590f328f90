"""Recognise files that are not lines of text by their contents, and name the command that converts them to text.

To avoid mistaking text for another format, a format whose first bytes are letters must also have bytes that no text
has, and markup must have more than a tag at the beginning.
"""

import json
import re
from collections.abc import Callable, Collection, Iterator
from itertools import islice
from shlex import quote
from typing import Any, NamedTuple

from seq2seq.corpora.encodings import decode_beginning, find_wide_encoding
from seq2seq.errors import CorpusError

HEAD_BYTES = 2**16
CONTROLS = bytes({*range(32), 127} - {*b"\t\n\v\f\r\x1b"})
MIN_BINARY_BYTES, MAX_CONTROL_SHARE = 512, 0.3  # maximum share of control characters in text of this size or more
SAMPLE_RECORDS = 50  # records of JSON Lines that are parsed


class FileKind(NamedTuple):
    """Kind of a file, and the remedy, in which FILE stands for its name."""

    name: str
    remedy: str


AS_TEXT = "Give plain text, one sentence or pair per line."
AUDIO = "It has no text: give the transcript."
IMAGE = "It has no text: give the text itself."
PDF = FileKind("PDF", "Extract the text with `pdftotext FILE NEW`, and make sure that each sentence is one line.")
# Formats of XML with pairs, by root element: the name, the segments of a unit u, and the units.
PAIRS_IN_XML = {
    "tmx": ("TMX, a translation memory", "u.iter('seg')", "tu"),
    "xliff": ("XLIFF", "(u.find('{*}source'), u.find('{*}target'))", "{*}target/.."),
}
TEST_SETS = ("srcset", "refset", "tstset", "mteval", "dataset", "doc")  # root elements of SGM, also as XML
SEGMENTS = "Extract the sentences with `sed -nE 's/.*<seg[^>]*> *(.*[^ ]) *<\\/seg>.*/\\1/p' FILE > NEW`."
OFFICE = "Save it as plain text in UTF-8, or use `soffice --headless --convert-to txt:Text FILE`."
SHEET = (
    "Save the sheet as CSV in UTF-8, or use `soffice --headless --convert-to "
    "'csv:Text - txt - csv (StarCalc):44,34,76' FILE`; `seq2seq train` reads CSV."
)
# First bytes of binary files. Zip archives that are recognised by their members come first.
BINARY = [
    (re.compile(pattern, re.DOTALL), FileKind(name, remedy))
    for pattern, name, remedy in (
        (rb"PK\x03\x04.*\bxl/", "an Excel workbook (.xlsx)", SHEET),
        (rb"PK\x03\x04.*mimetypeapplication/vnd\.oasis\.opendocument\.spreadsheet", "a spreadsheet (.ods)", SHEET),
        (rb"PK\x03\x04.*\bword/", "a Word document (.docx)", "Use `pandoc -t plain --wrap=none FILE -o NEW`."),
        (
            rb"PK\x03\x04.*mimetypeapplication/vnd\.oasis\.opendocument\.text",
            "a text document (.odt)",
            "Use `pandoc -t plain --wrap=none FILE -o NEW`.",
        ),
        (rb"PK\x03\x04.*mimetypeapplication/epub", "an e-book", "Use `pandoc -t plain --wrap=none FILE -o NEW`."),
        (rb"PK\x03\x04.*\bppt/", "a presentation (.pptx)", OFFICE),
        (rb"PK\x03\x04.*model\.weights\.h5", "a Keras model", "Give text here; a model is loaded with `keras`."),
        (rb"PK\x03\x04.*data\.pkl", "a PyTorch model", AS_TEXT),
        (rb"PK(\x03\x04|\x05\x06)", "a zip archive", "Unpack it with `unzip FILE`, and give the text files inside."),
        (rb"7z\xbc\xaf\x27\x1c", "a 7z archive", "Unpack it with `7z x FILE`, and give the text files inside."),
        (rb"Rar!\x1a\x07", "a RAR archive", "Unpack it with `unrar x FILE`, and give the text files inside."),
        (rb".{257}ustar[\0 ]", "a tar archive", "Unpack it with `tar -xf FILE`, and give the text files inside."),
        (rb"\x1f\x9d", "a file compressed with `compress`", "Uncompress it with `zcat FILE > NEW`."),
        (rb"\x04\x22\x4d\x18", "lz4", "Uncompress it with `lz4 -dc FILE > NEW`."),
        (rb"\x5d\0\0.{2}\0", "lzma", "Uncompress it with `xz -dc --format=lzma FILE > NEW`."),
        (rb"\x1f\x8b", "text compressed twice with gzip", "Uncompress it once: `gzip -dc FILE > NEW`."),
        (rb"%PDF-\d", *PDF),
        (rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Word or Excel document", OFFICE),
        (
            rb"SQLite format 3\0",
            "an SQLite database",
            "Use `sqlite3 -tabs FILE 'select SOURCE, TARGET from TABLE' > NEW`.",
        ),
        (
            rb"PAR1",
            "Parquet",
            'Use `python3 -c "import pandas, sys; pandas.read_parquet(sys.argv[1]).to_csv(sys.stdout, index=False)" '
            "FILE > NEW.csv`; `seq2seq train` reads CSV.",
        ),
        (
            rb"ARROW1\0\0|FEA1|\xff\xff\xff\xff.{2}\0\0\x10\0\0\0",
            "Arrow",
            "Write it as text with `datasets` or `pyarrow`, or pass its columns to `seq2seq.train_pairs`.",
        ),
        (rb"\x89HDF\r\n\x1a\n", "HDF5, such as Keras's .h5", "Give text here; a model is loaded with `keras`."),
        (rb"\n[\x02-\x60]\n[\x01-\x50][^\0-\x08]{1,80}\x15.{4}", "a SentencePiece model", "Give text here."),
        (rb".{5}\0\0\0\{\"", "a safetensors file, weights of a model", AS_TEXT),
        (rb"\x93NUMPY", "a NumPy array", AS_TEXT),
        (rb"\x80[\x02-\x05][\x95}\](c]", "a Python pickle", AS_TEXT),
        (rb"\xde\x12\x04\x95|\x95\x04\x12\xde", "a compiled message catalogue (.mo)", "Use `msgunfmt FILE > NEW.po`."),
        (rb"\x89PNG\r\n\x1a\n", "a PNG image", IMAGE),
        (rb"\xff\xd8\xff", "a JPEG image", IMAGE),
        (rb"GIF8[79]a", "a GIF image", IMAGE),
        (rb"BM.{4}\0{4}.{3}\0[\x0c\x28\x38\x40\x6c\x7c]\0\0\0", "a BMP image", IMAGE),
        (rb"RIFF.{4}WEBP", "a WebP image", IMAGE),
        (rb"II\x2a\0|MM\0\x2a", "a TIFF image", IMAGE),
        (rb"RIFF.{4}(WAVE|AVI )|OggS\0|fLaC|ID3[\x02-\x04]|.{4}ftyp|\x1aE\xdf\xa3", "audio or video", AUDIO),
        (
            rb"\x7fELF|MZ.{58}|\xcf\xfa\xed\xfe|\xce\xfa\xed\xfe|\xca\xfe\xba\xbe|\0asm",
            "an executable program",
            AS_TEXT,
        ),
    )
]
TALK_TAGS = "url|keywords|speaker|talkid|title|description|reviewer|translator|doc|content"
TALK_LINE = re.compile(rf"<({TALK_TAGS})\b[^>\n]*>.*</\1> *\r?$", re.MULTILINE)
TIMES = re.compile(r"(\d+:)?\d\d:\d\d[,.]\d{3} +--> +(\d+:)?\d\d:\d\d[,.]\d{3}")


def check_file_kind(head: bytes, name: str, command: str = "", accepts: Collection[str] = ()) -> None:
    """Check that a file has lines of text.

    Args:
        head: First `HEAD_BYTES` of the file, uncompressed, or all of it.
        name: Name of the file, for the error.
        command: Command that uncompresses the file, if it is compressed.
        accepts: Kinds of files besides lines of text.

    Raises:
        CorpusError: It is something else; the message says what, and how to convert it to text.
    """
    kind = find_file_kind(head)
    if kind and kind.name not in accepts:
        remedy = with_file(kind.remedy, name, command)
        raise CorpusError(f"{name}: expected lines of text in UTF-8, found {kind.name}. {remedy}")


def with_file(remedy: str, name: str, command: str = "") -> str:
    """Replace FILE in commands by the name of a file, or by a substitution of the command that uncompresses it."""
    if name == "stdin":
        return remedy
    file = f"<({command} {quote(name)})" if command else quote(name)
    return re.sub(r"\bFILE\b", lambda _: file, remedy)


def find_file_kind(head: bytes) -> FileKind | None:
    """Kind of a file that begins with `head`; None for lines of text, possibly in an 8-bit or multi-byte encoding."""
    text = decode_beginning(head)
    if text is None or head.translate(None, CONTROLS) != head:
        kind = next((kind for first_bytes, kind in BINARY if first_bytes.match(head)), None) or _encoded(head)
        return kind or (FileKind("a binary file", AS_TEXT) if _mostly_controls(head) else None)
    return next((kind for find in TEXT_FORMATS if (kind := find(text.lstrip("\ufeff"))) is not None), None)


def _mostly_controls(head: bytes) -> bool:
    """Whether a file of some size has hardly any text between its zeros, e.g. one that was never filled."""
    controls = len(head) - len(head.translate(None, CONTROLS))
    return len(head) >= MIN_BINARY_BYTES and b"\0" in head and controls > MAX_CONTROL_SHARE * len(head)


def _encoded(head: bytes) -> FileKind | None:
    """Text in UTF-16 or UTF-32; XML names its encoding itself, and the command that reads it needs no conversion."""
    encoding = find_wide_encoding(head)
    if xml := _pairs_in_xml(head.decode(encoding or "latin-1", errors="replace").lstrip("\ufeff")):
        return xml
    if encoding is None:
        return None
    return FileKind(encoding[:6].upper(), f"Convert it with `iconv -f {encoding} -t utf-8 FILE > NEW`.")


def _line_ends(text: str) -> FileKind | None:
    lines = text.count("\n")
    if len(re.findall(r"\r(?!\n|\Z)", text)) <= lines:
        return None
    command = r"perl -pe 's/\r\n?/\n/g' FILE" if lines else r"tr '\r' '\n' < FILE"
    return FileKind("lines that end with CR alone, as on old Macs", f"Convert it with `{command} > NEW`.")


def _root(text: str) -> tuple[str, str, bool] | None:
    """The first tag of markup, what is declared before it, and whether another tag follows it."""
    found = re.match(
        r"\s*(<\?xml\s[^>]*\?>)?\s*(?:<!--.*?-->\s*)*(<!doctype\s[^>]*>)?\s*<([\w:]+)\b[^>]*>",
        text,
        re.IGNORECASE | re.DOTALL,
    )
    if found is None:
        return None
    declared = "XML" if found[1] else "markup" if found[2] else ""
    return found[3].casefold(), declared, re.match(r"\s*<", text[found.end() :]) is not None


def _pairs_in_xml(text: str) -> FileKind | None:
    root = _root(text)
    if root is None or root[0] not in PAIRS_IN_XML or not any(root[1:]):
        return None
    name, segments, units = PAIRS_IN_XML[root[0]]
    program = (
        "import sys, xml.etree.ElementTree as E; [print(*(' '.join(''.join(s.itertext()).split()) for s in "
        f"{segments}), sep='\\t') for u in E.parse(sys.argv[1]).iterfind('.//{units}')]"
    )
    return FileKind(name, f'Extract the pairs with `python3 -c "{program}" FILE > NEW.tsv`.')


def _markup(text: str) -> FileKind | None:
    root = _root(text)
    if root is None:
        return None
    tag, declared, nested = root
    if tag == "html" and (declared or re.search(r"<(head|body|meta|title)\b", text, re.IGNORECASE)):
        return FileKind(
            "HTML",
            "If a download saved this page instead of the corpus, download the corpus itself; to extract the text of "
            "the page, use `pandoc -f html -t plain --wrap=none FILE -o NEW`.",
        )
    if (segment := re.search(r"<(seg)\b", text, re.IGNORECASE)) and (declared or tag in TEST_SETS):
        return FileKind("SGM or XML, as used by WMT", SEGMENTS.replace("seg", segment[1]))
    if declared or (nested and tag in TEST_SETS):
        return FileKind(declared or "markup", "Extract the sentences first, one per line.")
    return None


def _talks(text: str) -> FileKind | None:
    lines = list(TALK_LINE.finditer(text))
    if lines and lines[0].start() == 0 and (len({line[1] for line in lines}) > 1 or text.startswith("<url>http")):
        return FileKind(
            "the tags of IWSLT", f"Remove them, on both sides, with `grep -vE '^ *<({TALK_TAGS})' FILE > NEW`."
        )
    return None


def _json(text: str) -> FileKind | None:
    if not re.match(r'\s*(\{\s*["}]|\[\s*["{[])', text):
        return None
    lines = [line for line in text.split("\n") if line.strip()]
    complete = lines[:-1] if len(lines) > 1 and not text.endswith("\n") else lines
    records = list(islice(_parsed(complete), SAMPLE_RECORDS))
    if records and all(isinstance(record, dict) and record for record in records) and len(lines) > 1:
        return FileKind("JSON Lines", _extract(records[0], "map(json.loads, open(sys.argv[1], encoding='utf-8'))"))
    whole = next(_parsed([text]), None)
    if isinstance(whole, dict) and whole:
        return FileKind("JSON", _extract(whole, "[json.load(open(sys.argv[1], encoding='utf-8'))]"))
    begun = (
        re.match(r'\s*(\{\s*"[^"\n]*"\s*:\s|\[\s*\{\s*"[^"\n]*"\s*:)', text)
        and len(lines) > 1
        and records[:1] == [None]
    )
    if begun or (isinstance(whole, list) and whole and isinstance(whole[0], (dict, list, str))):
        first = whole[0] if isinstance(whole, list) else None
        return FileKind("JSON", _extract(first, "json.load(open(sys.argv[1], encoding='utf-8'))"))
    return None


def _parsed(lines: list[str]) -> Iterator[Any]:
    for line in lines:
        try:
            yield json.loads(line)
        except (ValueError, RecursionError):
            yield None


def _extract(record: Any, records: str) -> str:
    """Remedy for JSON: the command that writes the strings of its records, tab-separated."""
    fields, place = record, "r"
    if isinstance(record, dict) and len(record) == 1 and isinstance(next(iter(record.values())), dict):
        name, fields = next(iter(record.items()))
        place = f"r['{name}']" if re.fullmatch(r"[\w-]+", name) else place
    # Names from the file become part of a command that will be copied, so only plain ones are used.
    names = (
        [n for n, v in fields.items() if isinstance(v, str) and re.fullmatch(r"[\w-]+", n)]
        if isinstance(fields, dict)
        else []
    )
    if not names:
        return "Write the sentences to a text file, one sentence or pair per line."
    return (
        "Extract the text with `python3 -c \"import json, sys; [print(*(' '.join("
        f"{place}[k].split()) for k in {tuple(names[:2])}), sep='\\t') for r in {records}]\" FILE > NEW`."
    )


def _subtitles(text: str) -> FileKind | None:
    first = re.match(r"\s*(WEBVTT\b.*|\d+ *)\r?\n", text)
    if first and (cue := TIMES.search(text)) and (first[1].startswith("WEBVTT") or cue.start() == first.end()):
        kind = "subtitles (WebVTT)" if first[1].startswith("WEBVTT") else "subtitles (SRT)"
        return FileKind(kind, "Remove numbers and times with `grep -vE '^(WEBVTT.*|[0-9]+)?\\s*$|-->' FILE > NEW`.")
    if re.match(r"\[Script Info\]\s*\n", text):
        return FileKind(
            "subtitles (SubStation Alpha)", "Convert it with `ffmpeg -i FILE NEW.srt`, then remove numbers and times."
        )
    return None


def _catalogue(text: str) -> FileKind | None:
    end = r"[ \t\r]*\n"
    begins = re.match(rf'(?:#.*\n|{end})*msg(ctxt|id) "', text)
    if begins and re.search(rf'^msgid ".*"{end}(?:(?:msgid_plural )?".*"{end})*msgstr(\[0\])? "', text, re.MULTILINE):
        return FileKind(
            "a message catalogue (PO)",
            "Extract the pairs with `po2csv FILE NEW.csv` (of the package translate-toolkit), and read them with {tsv: "
            "NEW.csv, delimiter: comma, columns: [source, target]}.",
        )
    return None


def _others(text: str) -> FileKind | None:
    if text.startswith("version https://git-lfs.github.com/spec/v1\noid sha256:"):
        return FileKind("a Git LFS pointer", "Get the file itself with `git lfs pull`.")
    if re.match(r"%PDF-\d\.\d\s*[\r\n]%", text):
        return PDF
    if re.match(r"\{\\rtf\d", text):
        return FileKind("RTF", OFFICE)
    if re.match(r"%!PS-Adobe-\d\.\d", text):
        return FileKind("PostScript", "Extract the text with `ps2ascii FILE > NEW`.")
    return None


TEXT_FORMATS: tuple[Callable[[str], FileKind | None], ...] = (
    _pairs_in_xml,
    _markup,
    _talks,
    _json,
    _subtitles,
    _catalogue,
    _others,
    _line_ends,
)
