"""The grammar, read from its files: draws derivations and says them in every language."""

from collections.abc import Callable, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from seq2seq.corpora.grammar.derivation import Draw, Node, NoWordError, Rules
from seq2seq.corpora.grammar.lexicon import concepts, lexemes
from seq2seq.corpora.grammar.morphology import flat
from seq2seq.corpora.grammar.syntax import Syntax

RETRIES = 100  # of draws that end where no word fits


class Grammar:
    """A synchronous grammar of two or more languages.

    Args:
        languages: Folders beside this file. The first is the source.

    Raises:
        CorpusError: A file of the grammar does not fit the others.
    """

    def __init__(self, languages: Sequence[str] = ("english", "german")) -> None:
        self.languages = tuple(languages)
        words = {language: _language(language) for language in languages}
        found = concepts(_read("lexicon.yaml"), _read("function_words.yaml"))
        self.rules = Rules(_read("rules.yaml"), lexemes(found, words), len(languages))
        self.syntaxes = [
            Syntax(index, language, _read(language, "syntax.yaml"), words[language]["particles"], self.rules.rules)
            for index, language in enumerate(languages)
        ]

    def draw(self, random: Callable[[], float], category: str = "sentence", **filled: Any) -> Node:
        """Draw a derivation of a category; `filled` prescribes slots."""
        for _ in range(RETRIES):
            try:
                return self.rules.draw(category, Draw(random), filled)
            except NoWordError as error:
                last = error
        raise last

    def say(self, node: Node) -> tuple[str, ...]:
        """Return the sentence in every language, in their order."""
        return tuple(syntax.text(node) for syntax in self.syntaxes)


def _language(name: str) -> dict[str, Any]:
    words: dict[str, dict[str, Any]] = {}
    for file in ("words.yaml", "function_words.yaml"):
        for part, entries in _read(name, file).items():
            words[part] = words.get(part, {}) | entries
    particles = {word: flat(forms) for word, forms in words.pop("particles").items()}
    return {"forms": _read(name, "forms.yaml"), "words": words, "particles": particles}


@cache
def _read(*path: str) -> Any:
    text = files("seq2seq.corpora.grammar").joinpath(*path).read_text(encoding="utf-8")
    # CSafeLoader is five times as fast where it is built in.
    return yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
