"""Languages of texts, and names of languages."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache
from importlib import resources
from itertools import islice
from typing import TYPE_CHECKING

import yaml

from seq2seq.config.data import CODE
from seq2seq.errors import CorpusError

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

# Codes of two letters.
ISO_639_1 = re.compile(
    "a[abefkmnrsvyz]|b[aegimnors]|c[aehorsuvy]|d[aevz]|e[elnostu]|f[afijory]|g[adlnuv]|h[aeiortuyz]|"
    "i[adegikostu]|j[av]|k[agijklmnorsuvwy]|l[abginotuv]|m[ghiklnrsty]|n[abdeglnorvy]|o[cjmrs]|p[ailst]|q[u]|"
    "r[mnouw]|s[acdeghiklmnoqrstuvw]|t[aeghiklnorstwy]|u[gkrz]|v[eio]|w[ao]|x[h]|y[io]|z[ahu]"
)

# Letters by Unicode block, which distinguish Chinese, Japanese and Korean.
KANA = re.compile("[\u3041-\u309f\u30a1-\u30ff\u31f0-\u31ff\uff66-\uff9f]")
HANGUL = re.compile("[\u1100-\u11ff\u3131-\u318f\ua960-\ua97f\uac00-\ud7ff]")
HAN = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
MIN_CJK_SHARE = 0.3  # of a text: a Western text that quotes Chinese has fewer
MIN_SCRIPT_SHARE = 0.1  # of these: Chinese that quotes Japanese has fewer kana, Japanese news a third
MAX_LINES = 1000

PASSAGE_CHARACTERS = 300  # characters that are identified together
MAX_PASSAGES = 50
MIN_CONFIDENCE = 0.6  # mean probability of the most likely language
NEAR_LANGUAGES = 8  # most likely ones; a given language among them is accepted: Danish and Norwegian are similar


@lru_cache(maxsize=1)
def _codes() -> dict[str, str]:
    """Language codes by code and name, casefolded."""
    text = (resources.files("seq2seq") / "corpora" / "languages.yaml").read_text(encoding="utf-8")
    return {name: code for code, names in yaml.safe_load(text).items() for name in (code, *names)}


def language_code(name: str) -> str | None:
    """The shortest ISO 639 code of a language by a code (`de`, `deu`, `de-AT`) or a name (`German`, `Deutsch`)."""
    plain = name.strip().casefold()
    return _codes().get(plain) or _codes().get(re.split("[-_]", plain)[0] if len(plain) <= 7 else "")


def language_pair(given: str | Sequence[str]) -> tuple[str, str]:
    """The codes of two languages, from `"en-de"` or from two codes or names.

    Raises:
        CorpusError: They are not two, or are the same, or one of two letters is not in ISO 639-1. A code of three
            letters is not looked up: there are thousands.
    """
    parts = given.split("-") if isinstance(given, str) else list(given)
    codes = [language_code(part) or part for part in parts]
    unknown = [
        code for code in codes if not re.fullmatch(CODE, code) or (len(code) == 2 and not ISO_639_1.fullmatch(code))
    ]
    if len(codes) == 2 and codes[0] != codes[1] and not unknown:
        return codes[0], codes[1]
    hint = ""
    if len(codes) > 2:
        hint = " Leave out scripts and regions: zh-en instead of zh-Hans-en."
    elif unknown:
        hint = f" '{unknown[0]}' is none."
    raise CorpusError(
        f"languages: expected two different ISO 639 codes, e.g. en-de, found {'-'.join(map(str, parts))}.{hint}"
    )


def language_name(code: str) -> str:
    """The English name of a language; its code if the name is unknown."""
    names = [name for name, known in _codes().items() if known == code and len(name) > 3]
    return names[0].title() if names else code


def detect_cjk_language(lines: Iterable[str]) -> str | None:
    """`zh`, `ja` or `ko` if the first lines' letters are those of Chinese, Japanese or Korean; else None."""
    text = "".join(islice(lines, MAX_LINES))
    kana, hangul, han = (len(block.findall(text)) for block in (KANA, HANGUL, HAN))
    asian = kana + hangul + han
    if not asian or asian < MIN_CJK_SHARE * sum(character.isalpha() for character in text):
        return None
    if max(kana, hangul) < MIN_SCRIPT_SHARE * asian:
        return "zh"
    return "ja" if kana > hangul else "ko"


def identify_language(lines: Sequence[str]) -> str | None:
    """The ISO 639 code of the language of lines of text; None if that is not clear."""
    if cjk := detect_cjk_language(lines):
        return cjk
    scores, passages = Counter[str](), _passages(lines)
    for passage in passages:
        language, confidence = _identifier().classify(passage)
        scores[language] += confidence
    language, score = scores.most_common(1)[0] if scores else ("", 0.0)
    return language if score > MIN_CONFIDENCE * len(passages) and language in _codes() else None


def classify_language(text: str) -> tuple[str, float]:
    """The most likely language of a text, and its probability."""
    return _identifier().classify(text)


def may_be_in(lines: Sequence[str], language: str) -> bool:
    """Whether lines of text may be in a language, or in one that cannot be distinguished from it."""
    cjk = detect_cjk_language(lines)
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
