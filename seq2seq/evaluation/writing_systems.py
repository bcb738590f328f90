"""Detection of Chinese, Japanese and Korean by their writing systems: BLEU needs a tokenizer for each."""

import re
import warnings
from collections.abc import Sequence
from itertools import islice

# Letters by Unicode block; together with Han they tell which of three languages a text is in.
KANA = re.compile("[\u3041-\u309f\u30a1-\u30ff\u31f0-\u31ff\uff66-\uff9f]")
HANGUL = re.compile("[\u1100-\u11ff\u3131-\u318f\ua960-\ua97f\uac00-\ud7ff]")
HAN = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
MIN_LETTERS = 0.3  # of a text: a Western one that quotes Chinese has fewer
MIN_OWN_LETTERS = 0.1  # of these: Chinese that quotes Japanese has fewer kana, Japanese news a third
MAX_LINES = 1000


def detect_language(lines: Sequence[str]) -> str | None:
    """`zh`, `ja` or `ko` if the first lines' letters are those of Chinese, Japanese or Korean; else None."""
    text = "".join(islice(lines, MAX_LINES))
    kana, hangul, han = (len(block.findall(text)) for block in (KANA, HANGUL, HAN))
    asian = kana + hangul + han
    if not asian or asian < MIN_LETTERS * sum(character.isalpha() for character in text):
        return None
    if max(kana, hangul) < MIN_OWN_LETTERS * asian:
        return "zh"
    return "ja" if kana > hangul else "ko"


def script_warning(references: Sequence[str]) -> None:
    language = detect_language(references)
    if language:
        name = {"zh": "Chinese", "ja": "Japanese", "ko": "Korean"}[language]
        warnings.warn(
            f"the references look {name}, and BLEU's tokenizer 13a is not made for it. Say what they are: "
            f"--target-language {language} (data.target_language in a recipe, language='{language}' in Python).",
            stacklevel=3,
        )
