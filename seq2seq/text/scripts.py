"""Scripts that are written without spaces between words, and which characters make up the words of the others."""

import re
import unicodedata

# Unicode blocks of the letters that distinguish Chinese and Japanese.
KANA = "\u3041-\u309f\u30a1-\u30ff\u31f0-\u31ff\uff66-\uff9f"
HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
# Further scripts without spaces between words: their characters, and the language of most text in them.
UNSPACED_SCRIPTS = {
    "Thai": ("\u0e00-\u0e7f", "th"),
    "Lao": ("\u0e80-\u0eff", "lo"),
    "Tibetan": ("\u0f00-\u0fff", "bo"),
    "Burmese": ("\u1000-\u109f\ua9e0-\ua9fe\uaa60-\uaa7f", "my"),
    "Khmer": ("\u1780-\u17ff", "km"),
    "Tai Le": ("\u1950-\u197f", "tdd"),
    "New Tai Lue": ("\u1980-\u19df", "khb"),
    "Tai Tham": ("\u1a20-\u1aaf", "nod"),
    "Balinese": ("\u1b00-\u1b7f", None),  # the script of ban-Bali; ban alone is mostly written in Latin letters
    "Javanese": ("\ua980-\ua9df", None),  # likewise, the script of jv-Java
    "Yi": ("\ua000-\ua4cf", "ii"),
}
# Their characters, and those of Chinese and Japanese, too, each for a set of a regular expression.
FURTHER_UNSPACED = "".join(block for block, _ in UNSPACED_SCRIPTS.values())
UNSPACED = f"{KANA}{HAN}{FURTHER_UNSPACED}"
# Marks among them, such as vowels and tones, which belong to the character before.
UNSPACED_MARKS = "".join(
    character
    for first, last in re.findall("(.)-(.)", f"{KANA}{FURTHER_UNSPACED}")
    for character in map(chr, range(ord(first), ord(last) + 1))
    if unicodedata.category(character)[0] == "M"
)
_IS_UNSPACED = re.compile(f"[{UNSPACED}]")


def is_word_character(character: str) -> bool:
    """Whether a character is part of a word that spaces or punctuation delimit.

    These are letters, digits and marks that combine with them. In a script without spaces, each character is a word.
    """
    is_part = character.isalnum() or unicodedata.category(character)[0] == "M"
    return is_part and not _IS_UNSPACED.match(character)
