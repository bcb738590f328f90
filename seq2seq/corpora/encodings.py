"""Encodings of text other than UTF-8, recognised by their bytes."""

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
# 8-bit and multi-byte encodings, among which the encoding of a text is guessed: Python's names, and names for people.
ENCODINGS = {
    "cp1252": "Windows-1252, or Latin-1, for Western Europe",
    "cp850": "code page 850, of DOS in Western Europe",
    "macintosh": "Mac Roman, of old Macs in Western Europe",
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
# Languages of the encodings of Latin letters, which differ in few letters; other encodings are told apart by bytes.
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
    "macintosh": WESTERN,
    "cp1250": CENTRAL,
    "iso8859_2": CENTRAL,
    "cp1257": ["lt", "lv", "et"],
    "cp1254": ["tr", "az"],
}
CYRILLIC = ("cp1251", "koi8_r", "cp866")
MAX_LATIN_SHARE = 0.3  # maximum share of non-ASCII bytes in text in Latin letters
MAX_LATIN_CELL_SHARE = 0.45  # maximum share of non-ASCII bytes in those of its cells that have any
C1_CONTROLS = re.compile("[\x80-\x9f]")  # no text has these characters, so a decoding with them is wrong
CELL = re.compile(rb'[^\t\n",;]+')  # a cell, between separators that are the same bytes in all encodings
INNER_MARKS = "’\xad·–—…"  # marks that may occur between two letters
SYMBOLS = ("So", "Sk", "Sm", "Sc")  # Unicode categories of characters with which no word ends, except these:
FINAL_SYMBOLS = "™®©°"
FULL_KANA = re.compile("[\u3041-\u30ff]")  # without half-width kana, which wrongly decoded text often has
MIN_KANA_SHARE = 0.2  # minimum share of the non-ASCII characters of Japanese
GUESS_BYTES = 20_000  # size of the sample from which an encoding is guessed
NO_TEXT = ("Cc", "Cn", "Co", "Cs")  # Unicode categories of characters that no text has
WIDE_SAMPLE = 2**13  # bytes
MIN_CONTROL_SHARE = 0.02  # minimum share of control bytes in UTF-16 text: high bytes of letters or spaces
STRAY = 1  # number of invalid bytes that say nothing about the encoding of a file
MIN_INVALID_SHARE = 0.05  # minimum share of invalid lines in a file in another encoding


def decode_beginning(head: bytes) -> str | None:
    """Decode the beginning of a UTF-8 file, whose last character may be incomplete; None for another encoding."""
    try:
        return codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return None


def find_wide_encoding(head: bytes) -> str | None:
    """The name of UTF-16 or UTF-32 for a file that begins with `head`, with its byte order if it has no mark."""
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
    """Score of a possible decoding: the shares of ASCII and of white space, added; 0 if it is not text."""
    try:
        text = sample.decode(encoding)
    except UnicodeDecodeError:
        try:  # the last character is incomplete
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
    """Describe what a file with invalid UTF-8 seems to be, and the remedy, in which FILE stands for its name.

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
    """The most likely of `ENCODINGS` for lines that are not UTF-8; None if that is not clear.

    Only cells with non-ASCII bytes count: an English side of the pairs would blur the evidence.
    """
    high = len(sample.translate(None, bytes(range(128))))
    latin = high <= MAX_LATIN_SHARE * len(sample)
    sample = b"\n".join(cell for cell in CELL.findall(sample) if not cell.isascii())
    if latin and high <= MAX_LATIN_CELL_SHARE * len(sample):
        return _guess_latin(sample)
    for encoding in ("euc_jp", "cp932"):
        text = _decoded(sample, encoding)
        if text and len(FULL_KANA.findall(text)) >= MIN_KANA_SHARE * sum(not character.isascii() for character in text):
            return encoding
    from charset_normalizer import from_bytes

    best = from_bytes(sample, cp_isolation=[*(ENCODINGS.keys() - LATIN.keys())]).best()
    # Short Cyrillic texts are mistaken for text in another such encoding, in which all letters have the other case.
    if best and best.encoding in CYRILLIC:
        texts = {name: text for name in (best.encoding, *CYRILLIC) if (text := _decoded(sample, name)) is not None}
        return min(texts, key=lambda name: _misplaced_characters(texts[name]), default=None)
    return best.encoding if best and best.encoding in ENCODINGS else None


def _guess_latin(sample: bytes) -> str | None:
    """The encoding of Latin letters with the fewest misplaced characters and, of several, the clearest language."""
    texts = {encoding: text for encoding in LATIN if (text := _decoded(sample, encoding)) is not None}
    fit = {}
    for encoding, text in texts.items():
        language, probability = classify_language(text)
        letters = sum(character.isalpha() and not character.isascii() for character in text)
        fits = round(probability, 3) if language in LATIN[encoding] else 0.0
        fit[encoding] = -_misplaced_characters(text), fits, letters
    return max(fit, key=lambda encoding: fit[encoding], default=None)


def _misplaced_characters(text: str) -> int:
    """Number of symbols within or after words, and of letters in the wrong case: signs of a wrong decoding."""
    count = 0
    for before, character, after in zip(f" {text}", text, f"{text[1:]} ", strict=False):
        if character.isascii():
            continue
        if character.isalpha() and character != "ƒ":  # no language here has this letter
            case = before + after
            count += before.isalpha() and (case.isupper() if character.islower() else not case.isupper())
        elif before.isalpha() and character not in INNER_MARKS:
            symbol = unicodedata.category(character) in SYMBOLS and character not in FINAL_SYMBOLS
            count += symbol or after.isalpha()
    return count


def _decoded(sample: bytes, encoding: str) -> str | None:
    try:
        text = sample.decode(encoding)
    except UnicodeDecodeError:
        return None
    return None if C1_CONTROLS.search(text) else text


def is_in_another_encoding(head: bytes) -> bool:
    """Whether most non-ASCII text is invalid UTF-8, not only a stray byte; `head` is the beginning of a file."""
    decoder = codecs.getincrementaldecoder("utf-8")(errors="ignore")
    decoder.decode(head)
    lines = head.removesuffix(decoder.getstate()[0]).split(b"\n")  # without an incomplete last character
    invalid, valid = _split(lines)
    stray = sum(line.decode("utf-8", errors="replace").count("\ufffd") for line in invalid)
    filled = sum(bool(line.strip()) for line in lines)
    return stray > STRAY and len(invalid) > len(valid) and len(invalid) >= MIN_INVALID_SHARE * filled


def _split(lines: Iterable[bytes]) -> tuple[list[bytes], list[bytes]]:
    """Lines with invalid UTF-8, and valid lines that are not ASCII."""
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
