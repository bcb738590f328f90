"""Encodings of text other than UTF-8, recognized by their bytes."""

import codecs
import re
import unicodedata
from collections.abc import Iterable
from itertools import accumulate

from seq2seq.corpora.languages import classify_language

MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
WIDE = ("utf-32le", "utf-32be", "utf-16le", "utf-16be")  # without a mark
# Encodings of 8 bits and more by Python's name, with their names for people; which of them a text is in is guessed.
ENCODINGS = {
    "cp1252": "Windows-1252, or Latin-1, for Western Europe",
    "cp850": "code page 850, of DOS in Western Europe",
    "cp1250": "Windows-1250, for Central Europe",
    "iso8859_2": "ISO 8859-2, for Central Europe",
    "cp1257": "Windows-1257, for the Baltic",
    "cp1254": "Windows-1254, Turkish",
    "cp1251": "Windows-1251, Cyrillic",
    "cp866": "code page 866, Cyrillic of DOS",
    "koi8_r": "KOI8-R, Cyrillic",
    "cp1253": "Windows-1253, Greek",
    "cp1255": "Windows-1255, Hebrew",
    "cp1256": "Windows-1256, Arabic",
    "gb18030": "GB18030, simplified Chinese",
    "big5": "Big5, traditional Chinese",
    "cp932": "Shift-JIS, Japanese",
    "euc_jp": "EUC-JP, Japanese",
    "cp949": "EUC-KR, Korean",
}
# Languages of the encodings of Latin letters, which differ in few letters; the others are told apart by their bytes.
CENTRAL = ["pl", "cs", "sk", "hu", "sl", "hr", "bs", "sr", "ro", "sq"]
WESTERN = [
    "de",
    "fr",
    "es",
    "en",
    "it",
    "pt",
    "nl",
    "sv",
    "da",
    "no",
    "nb",
    "nn",
    "fi",
    "is",
    "ca",
    "gl",
    "eu",
    "af",
    "id",
    "ms",
    "ga",
    "oc",
    "lb",
    "sw",
    "br",
    "fo",
]
LATIN = {
    "cp1252": WESTERN,
    "cp850": WESTERN,
    "cp1250": CENTRAL,
    "iso8859_2": CENTRAL,
    "cp1257": ["lt", "lv", "et"],
    "cp1254": ["tr", "az"],
}
MAX_LATIN_SHARE = 0.3  # of bytes beyond ASCII in text of Latin letters
C1_CONTROLS = re.compile("[\x80-\x9f]")  # which no text has, so that these bytes decide
FULL_KANA = re.compile("[\u3041-\u30ff]")  # not those of half the width, which other encodings are read as
MIN_KANA_SHARE = 0.2  # of the characters beyond ASCII in Japanese
GUESS_BYTES = 20_000  # of a sample for guessing
NO_TEXT = ("Cc", "Cn", "Co", "Cs")  # Unicode categories of characters that no text has
WIDE_SAMPLE = 2**13  # bytes
MIN_CONTROL_SHARE = 0.02  # of the bytes of text in UTF-16, high bytes of its letters or spaces
STRAY = 1  # invalid bytes that say nothing about the encoding of a file
MIN_INVALID_SHARE = 0.05  # of the lines of a file in another encoding


def decode_beginning(head: bytes) -> str | None:
    """The first characters of a file in UTF-8, of which the last may be cut; None: it is in another encoding."""
    try:
        return codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return None


def find_wide_encoding(head: bytes) -> str | None:
    """The name of UTF-16 or UTF-32 for a file that begins with `head`; with its byte order if it has no mark."""
    for mark, encoding in MARKS.items():
        if head.startswith(mark):
            return encoding
    sample = head[: min(WIDE_SAMPLE, len(head) // 4 * 4 or len(head))]
    controls = sum(sample.count(byte) for byte in (*range(9), *range(14, 32)))
    if b"\0" not in sample or controls < MIN_CONTROL_SHARE * len(sample):
        return None
    scores = {encoding: _plausibility(sample, encoding) for encoding in WIDE}
    best = max(scores, key=lambda encoding: scores[encoding])
    return best if scores[best] > 0 else None


def _plausibility(sample: bytes, encoding: str) -> float:
    """Share of ASCII and of white space among the characters of a possible text; 0: it is no text."""
    try:
        text = sample.decode(encoding)
    except UnicodeDecodeError:
        try:  # the last character is cut
            text = sample[: len(sample) // 4 * 4 - 4].decode(encoding)
        except UnicodeDecodeError:
            return 0.0
    if not text.strip() or any(
        unicodedata.category(character) in NO_TEXT for character in set(text) - set("\t\n\v\f\r")
    ):
        return 0.0
    plain = sum(" " <= character <= "~" for character in text) / len(text)
    blanks = sum(character.isspace() for character in text)
    if plain < 0.9 and (not blanks or 2 * text.count("\n") < sample.count(b"\n")):
        return 0.0
    return plain + blanks / len(text)


def describe_invalid(lines: Iterable[bytes]) -> str:
    """What a file with invalid UTF-8 looks like, and what to do; FILE stands for its name.

    Args:
        lines: Lines of the file, some of which are invalid.
    """
    invalid, valid = _split(lines)
    if len(valid) >= len(invalid):
        return "Other lines are UTF-8: fix this one, or remove such bytes with `iconv -c -f utf-8 -t utf-8 FILE > NEW`."
    sizes = accumulate(map(len, invalid), initial=0)
    sample = b"\n".join(line for line, before in zip(invalid, sizes, strict=False) if before < GUESS_BYTES)
    if b"\0" in sample:
        return "It looks like a binary file. Give plain text, one sentence or pair per line."
    encoding = guess_encoding(sample)
    if encoding is None:
        return "Its encoding is not clear. Convert it with `iconv -f ENCODING -t utf-8 FILE > NEW`."
    name = encoding.replace("_", "-")
    return f"It looks like {ENCODINGS[encoding]}. Convert it with `iconv -f {name} -t utf-8 FILE > NEW`."


def guess_encoding(sample: bytes) -> str | None:
    """The most likely of `ENCODINGS` for lines that are not UTF-8; None if that is not clear."""
    high = len(sample.translate(None, bytes(range(128))))
    if high <= MAX_LATIN_SHARE * len(sample):
        return _guess_latin(sample)
    for encoding in ("euc_jp", "cp932"):
        text = _decoded(sample, encoding)
        if text and len(FULL_KANA.findall(text)) >= MIN_KANA_SHARE * sum(not character.isascii() for character in text):
            return encoding
    from charset_normalizer import from_bytes

    best = from_bytes(sample, cp_isolation=[*(ENCODINGS.keys() - LATIN.keys())]).best()
    return best.encoding if best and best.encoding in ENCODINGS else None


def _guess_latin(sample: bytes) -> str | None:
    """The encoding of Latin letters with which the text is most clearly in a language of this encoding."""
    texts = {encoding: text for encoding in LATIN if (text := _decoded(sample, encoding)) is not None}
    fit = {}
    for encoding, text in texts.items():
        language, probability = classify_language(text)
        letters = sum(character.isalpha() and not character.isascii() for character in text)
        fit[encoding] = round(probability, 3) if language in LATIN[encoding] else 0.0, letters
    return max(fit, key=lambda encoding: fit[encoding], default=None)


def _decoded(sample: bytes, encoding: str) -> str | None:
    try:
        text = sample.decode(encoding)
    except UnicodeDecodeError:
        return None
    return None if C1_CONTROLS.search(text) else text


def is_in_another_encoding(head: bytes) -> bool:
    """Whether most text beyond ASCII is invalid UTF-8, and not only a stray byte; `head` is the beginning of a file."""
    decoder = codecs.getincrementaldecoder("utf-8")(errors="ignore")
    decoder.decode(head)
    lines = head.removesuffix(decoder.getstate()[0]).split(b"\n")  # without a character that is cut
    invalid, valid = _split(lines)
    stray = sum(line.decode("utf-8", errors="replace").count("\ufffd") for line in invalid)
    filled = sum(bool(line.strip()) for line in lines)
    return stray > STRAY and len(invalid) > len(valid) and len(invalid) >= MIN_INVALID_SHARE * filled


def _split(lines: Iterable[bytes]) -> tuple[list[bytes], list[bytes]]:
    """Lines of invalid UTF-8, and valid ones beyond ASCII."""
    invalid, valid = [], []
    for line in lines:
        if not line.isascii():
            try:
                line.decode("utf-8")
            except UnicodeDecodeError:
                invalid.append(line)
            else:
                valid.append(line)
    return invalid, valid
