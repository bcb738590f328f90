"""Language codes and names, in all common spellings."""

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from importlib import resources

import yaml

from seq2seq.errors import ConfigError, CorpusError, suggest_similar

# A language tag in the style of BCP 47, FLORES or a locale: `zh-Hans-CN`, `eng_Latn`, `ca-valencia`, `zh-yue`,
# `de_DE.UTF-8`.
TAG = re.compile(
    r"(?:zh[-_](?=[a-z]{3}(?:[-_]|$)))?(?P<code>[a-z]{2,3})(?:[-_](?P<script>[a-z]{4}))?(?:[-_](?:[a-z]{2}|[0-9]{3}))?"
    r"(?:[-_](?:[a-z0-9]{5,8}|[0-9][a-z0-9]{3}))*(?:\.[a-z0-9-]+)?(?:@[a-z]+)?"
)
# A tag in its usual capitalisation, by which the two tags of a pair can be separated.
CLEAR_TAG = re.compile("[a-z]{2,3}(?:[-_][A-Z][a-z]{3})?(?:[-_][A-Z]{2})?")
# Further two-letter codes, accepted only where a language is named explicitly: in file names they would be other words.
OTHER_CODES = {
    "aa", "ab", "ae", "ak", "av", "ay", "bi", "bm", "ce", "ch", "co", "cr", "cu", "cv", "dv", "ee", "ff", "fj", "gn",
    "gv", "ho", "hz", "ia", "ie", "ii", "ik", "io", "iu", "kg", "kj", "kl", "kr", "ks", "kv", "kw", "li", "lu", "mh",
    "mi", "na", "nd", "ng", "nr", "nv", "ny", "oj", "os", "pi", "rm", "rn", "sc", "sd", "sg", "sm", "ss", "su", "ti",
    "tn", "to", "ts", "tw", "ty", "ve", "wo", "yi", "za",
}  # fmt: skip
# Country codes, withdrawn codes and abbreviations, which are not language codes.
MISTAKEN = {
    "at": "de", "cn": "zh", "cz": "cs", "dk": "da", "gr": "el", "jp": "ja", "mx": "es", "ua": "uk", "us": "en",
    "gb": "en", "vn": "vi", "in": "id", "iw": "he", "ji": "yi", "jw": "jv", "chn": "zh", "jap": "ja",
    "esp": "es", "ned": "nl",
}  # fmt: skip


@lru_cache(maxsize=1)
def language_codes() -> dict[str, str]:
    """Language codes by casefolded code and name."""
    text = (resources.files("seq2seq") / "config" / "languages.yaml").read_text(encoding="utf-8")
    return {name: code for code, names in yaml.safe_load(text).items() for name in (code, *names)}


def language_code(name: str) -> str | None:
    """The shortest ISO 639 code of a known language by code (`de`, `deu`, `de-AT`, `deu_Latn`) or name (`German`)."""
    codes, plain = language_codes(), _plain(name)
    tag = TAG.fullmatch(plain)
    return codes.get(plain) or (codes.get(tag["code"]) if tag else None)


def normalize_language(name: str) -> str:
    """The ISO 639 code of a language, given by code or name in any common spelling.

    A three-letter code that is not in `languages.yaml` is accepted unchanged: ISO 639-3 has thousands.

    Raises:
        ConfigError: The language is unknown, or not in ISO 639.
    """
    plain = _plain(name)
    if known := language_code(plain):
        return known
    tag = TAG.fullmatch(plain)
    code = tag["code"] if tag else ""
    if plain not in MISTAKEN and code not in MISTAKEN and (code in OTHER_CODES or len(code) == 3):
        return code
    meant = MISTAKEN.get(plain) or MISTAKEN.get(code)
    hint = f" Did you mean '{meant}' ({language_name(meant)})?" if meant else suggest_similar(plain, _suggestions())
    raise ConfigError(
        f"unknown language {name!r}.{hint} Expected an ISO 639 code or an English name, e.g. de, deu, pt-BR, zh-Hans "
        "or German"
    )


def language_pair(given: str | Sequence[str]) -> tuple[str, str]:
    """The codes of two languages, from `"en-de"`, `"zh-Hans-en"` or `"German-English"`, or from two codes or names.

    Raises:
        CorpusError: There are not two languages, they are the same, or one is unknown.
    """
    parts = given.split("-") if isinstance(given, str) else list(given)
    shown = "-".join(map(str, parts))
    ways = [parts]
    if isinstance(given, str):
        ways = [["-".join(parts[:place]), "-".join(parts[place:])] for place in range(1, len(parts))]
        clear = [way for way in ways if all(map(CLEAR_TAG.fullmatch, way))]  # "pt-BR-en": BR alone is Breton
        ways = clear if len(clear) == 1 else [way for way in ways if all(map(_is_known, way))] or ways
    if len(ways) != 1 or len(ways[0]) != 2:
        between = ", with _ inside a code of several parts, e.g. pt_BR-en" if len(ways) > 1 else ""
        raise CorpusError(f"languages: expected two different languages, e.g. en-de{between}; found {shown}.")
    try:
        source, target = map(normalize_language, ways[0])
    except ConfigError as error:
        raise CorpusError(f"languages: {error}; found {shown}.") from None
    if source == target:
        raise CorpusError(f"languages: expected two different languages, e.g. en-de, found {shown}.")
    return source, target


def _is_known(name: str) -> bool:
    try:
        normalize_language(name)
    except ConfigError:
        return False
    return True


def language_script(name: str) -> str | None:
    """The script in a language tag, in lower case (ISO 15924): `hans` for `zh-Hans`; None if it names none."""
    tag = TAG.fullmatch(_plain(name))
    return tag["script"] if tag else None


def language_name(code: str) -> str:
    """The English name of a language; its code if the name is unknown."""
    names = [name for name, known in language_codes().items() if known == code and len(name) > 3]
    return names[0].title() if names else code


def _plain(name: str) -> str:
    plain = unicodedata.normalize("NFC", name).strip().casefold()
    return re.sub(r"\s*\([^()]*\)$", "", plain)  # "Chinese (Simplified)"


def _suggestions() -> list[str]:
    """Language names without the short codes: any two-letter code is similar to many others."""
    return [name for name in language_codes() if len(name) > 3]
