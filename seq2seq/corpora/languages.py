"""Languages and scripts of texts."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING

from seq2seq.config.languages import language_codes
from seq2seq.text.scripts import FURTHER_UNSPACED, HAN, KANA, UNSPACED_SCRIPTS

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

HANGUL = re.compile("[\u1100-\u11ff\u3131-\u318f\ua960-\ua97f\uac00-\ud7ff]")
_KANA, _HAN = re.compile(f"[{KANA}]"), re.compile(f"[{HAN}]")
_SCRIPTS = re.compile(f"[{FURTHER_UNSPACED}]")
HAN_LANGUAGES = ("zh", "yue", "wuu", "gan", "hsn", "lzh")  # languages that characters do not tell apart
MIN_CJK_SHARE = 0.3  # minimum share of the letters of a text: a Western text that quotes Chinese has fewer
MIN_SCRIPT_SHARE = 0.1  # minimum share of these: Chinese that quotes Japanese has fewer kana, Japanese news a third
MAX_LINES = 1000

PASSAGE_CHARACTERS = 300  # characters that are identified together
MAX_PASSAGES = 50
MIN_CONFIDENCE = 0.6  # mean probability of the most likely language
NEAR_LANGUAGES = 8  # most likely languages; a given one among them is accepted, as Danish and Norwegian are similar


def detect_cjk_language(lines: Iterable[str]) -> str | None:
    """`zh`, `ja` or `ko` if the first lines' letters are those of Chinese, Japanese or Korean; else None."""
    text = "".join(islice(lines, MAX_LINES))
    kana, hangul, han = (len(block.findall(text)) for block in (_KANA, HANGUL, _HAN))
    asian = kana + hangul + han
    if not asian or asian < MIN_CJK_SHARE * sum(character.isalpha() for character in text):
        return None
    if max(kana, hangul) < MIN_SCRIPT_SHARE * asian:
        return "zh"
    return "ja" if kana > hangul else "ko"


def detect_unspaced_script(lines: Iterable[str]) -> str | None:
    """The script of `UNSPACED_SCRIPTS` in which the first lines are written; None if it is another."""
    text = "".join(islice(lines, MAX_LINES))
    counts = {name: len(re.findall(f"[{block}]", text)) for name, (block, _) in UNSPACED_SCRIPTS.items()}
    script = max(counts, key=lambda name: counts[name])
    letters = sum(counts.values()) + sum(character.isalpha() for character in _SCRIPTS.sub("", text))
    return script if counts[script] and counts[script] >= MIN_CJK_SHARE * letters else None


def identify_language(lines: Sequence[str]) -> str | None:
    """The ISO 639 code of the language of lines of text; None if that is not clear."""
    if cjk := detect_cjk_language(lines):
        return cjk
    script = detect_unspaced_script(lines)
    spoken = UNSPACED_SCRIPTS[script][1] if script else None
    if spoken in language_codes() and spoken not in _identifier().labels:
        return spoken
    scores, passages = Counter[str](), _passages(lines)
    for passage in passages:
        language, confidence = _identifier().classify(passage)
        scores[language] += confidence
    language, score = scores.most_common(1)[0] if scores else ("", 0.0)
    return language if score > MIN_CONFIDENCE * len(passages) and language in language_codes() else None


def classify_language(text: str) -> tuple[str, float]:
    """The most likely language of a text, and its probability."""
    return _identifier().classify(text)


def may_be_in(lines: Sequence[str], language: str) -> bool:
    """Whether lines of text may be in a language, or in one that cannot be distinguished from it."""
    cjk = detect_cjk_language(lines)
    language = "zh" if language in HAN_LANGUAGES else language
    if cjk or language in ("zh", "ja", "ko"):
        return cjk == language
    identifier = _identifier()
    if language not in identifier.labels:
        return True
    passages = _passages(lines)
    near = [[code for code, _ in identifier.rank(passage)[:NEAR_LANGUAGES]] for passage in passages]
    return 2 * sum(language in codes for codes in near) >= len(passages)


def _passages(lines: Sequence[str]) -> list[str]:
    """Passages of a few lines each, spread over the whole text."""
    made, words = [], ""
    for line in lines:
        words += f" {line.strip()}"
        if len(words) >= PASSAGE_CHARACTERS:
            made.append(words.strip())
            words = ""
    made = made or [words.strip()]
    step = -(-len(made) // MAX_PASSAGES)
    return [passage for passage in made[::step] if passage]


@lru_cache(maxsize=1)
def _identifier() -> "LanguageIdentifier":
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
