"""BLEU's tokenizer for a language."""

from typing import Literal, get_args

from seq2seq.config.languages import language_script, normalize_language
from seq2seq.corpora.languages import HAN_LANGUAGES
from seq2seq.errors import ConfigError, EvaluationError
from seq2seq.text.scripts import UNSPACED_SCRIPTS

DEFAULT_TOKENIZER = "13a"
BleuTokenizer = Literal["13a", "char", "flores200", "intl", "ja-mecab", "ko-mecab", "none", "zh"]
BLEU_TOKENIZERS: tuple[str, ...] = get_args(BleuTokenizer)
# Tokenizers by language; `char`, which needs no file, if spaces do not separate words and there is no better one.
LANGUAGE_TOKENIZERS = {
    **dict.fromkeys((language for _, language in UNSPACED_SCRIPTS.values() if language), "char"),
    **dict.fromkeys(("dz", "shn"), "char"),
    **dict.fromkeys(HAN_LANGUAGES, "zh"),
    "ja": "ja-mecab",
    "ko": "ko-mecab",
}
# Tokenizers by the script of a tag such as `jv-Java` (ISO 15924): it decides, as a language may have several scripts.
SCRIPT_TOKENIZERS = {
    **dict.fromkeys(("thai", "laoo", "tibt", "mymr", "khmr", "tale", "talu", "lana", "bali", "java", "yiii"), "char"),
    **dict.fromkeys(("hans", "hant", "hani"), "zh"),
    **dict.fromkeys(("jpan", "hira", "kana", "hrkt"), "ja-mecab"),
    **dict.fromkeys(("kore", "hang"), "ko-mecab"),
}


def bleu_tokenizer(language: str | None) -> str:
    """BLEU's tokenizer for a language: a code, a tag such as `jv-Java`, or a name.

    Raises:
        EvaluationError: The language is unknown.
    """
    if language is None:
        return DEFAULT_TOKENIZER
    try:
        code = normalize_language(language)
    except ConfigError as error:
        raise EvaluationError(f"{error}.") from None
    script = language_script(language)
    found = SCRIPT_TOKENIZERS.get(script) if script else LANGUAGE_TOKENIZERS.get(code)
    return found or DEFAULT_TOKENIZER
