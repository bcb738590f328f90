"""The grammar, read from its files: draws derivations and linearizes them in every language."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from seq2seq.errors import CorpusError
from seq2seq.phrasebook.grammar.derivation import DerivationState, Lexeme, Node, NoWordError, Rule, RuleSet
from seq2seq.phrasebook.grammar.lexicon import build_lexemes, flatten, load_concepts, select_basic
from seq2seq.phrasebook.grammar.phenomena import Phenomena
from seq2seq.phrasebook.grammar.syntax import Sentence, Syntax

MAX_RETRIES = 100  # repetitions of a draw if no word fits

EMPTY_RULE = Rule("", "", [], 0)  # rule of a node that only prescribes slots


class Grammar:
    """A synchronous grammar of two or more languages.

    Args:
        languages: Names of folders next to this file. The first language is the source.
        lexicon: `full`, or `basic` for the words that `basic.yaml` chooses.

    Attributes:
        held_out_combinations: The combinations of `held_out.yaml` for each language: words in forms that only a
            compositional test has.

    Raises:
        CorpusError: A file of the grammar does not fit the others.
    """

    def __init__(self, languages: Sequence[str] = ("english", "german"), lexicon: str = "full") -> None:
        self.languages = tuple(languages)
        words = {language: _language(language) for language in languages}
        found = load_concepts(_read("lexicon.yaml"), _read("function_words.yaml"))
        every = build_lexemes(found, words)
        known = select_basic(every, _read("basic.yaml")) if lexicon == "basic" else every
        self.rules = RuleSet(_read("rules.yaml"), known, len(languages))
        self.syntaxes = {
            language: Syntax(index, language, _read(language, "syntax.yaml"), words[language]["particles"], self.rules)
            for index, language in enumerate(languages)
        }
        self.phenomena = {
            language: Phenomena(syntax, self.rules, _read(language, "phenomena.yaml"))
            for language, syntax in self.syntaxes.items()
            if language != languages[0]
        }
        self.held_out_combinations = {language: self._forms(every, language) for language in languages}

    def draw(self, random: Callable[[], float], category: str = "sentence", **filled: Any) -> Node:
        """Draw a derivation of a category, with the slots in `filled`."""
        return _retried(lambda: self.rules.draw(category, DerivationState(random), filled))

    def draw_with_phenomenon(self, random: Callable[[], float], phenomenon: str, language: str, links: int = 1) -> Node:
        """Draw a sentence that is likely to have a phenomenon of a language.

        Args:
            random: Random source: returns numbers from 0 to 1.
            phenomenon: Name of the phenomenon.
            language: Language of the phenomenon.
            links: Number of phrases between the two words of a long-distance dependency.
        """
        step = self.phenomena[language].draw_specs[phenomenon]
        return _retried(lambda: step(DerivationState(random), Node(EMPTY_RULE, {"links": str(links)})))

    def linearize(self, node: Node, language: str) -> Sentence:
        """Return the sentence in a language, with the forms that it uses."""
        return self.syntaxes[language].linearize(node)

    def is_held_out(self, sentence: Sentence) -> bool:
        """Whether a sentence has a combination of `held_out.yaml`."""
        return not self.held_out_combinations[sentence.language].isdisjoint(sentence.used_forms)

    def _forms(self, words: Mapping[str, list[Lexeme]], language: str) -> set[tuple[Lexeme, str]]:
        index = self.languages.index(language)
        found = set()
        for part, entries in _read("held_out.yaml").get(language, {}).items():
            lexemes = {lexeme[index]["key"]: lexeme for lexeme in words[part]}
            for key, name in entries.items():
                if key not in lexemes:
                    raise CorpusError(f"held_out.yaml: the lexicon has no {part} {key!r}.")
                forms = [form for form in lexemes[key][index] if name in (form, *form.split("."))]
                forms = [form for form in forms if form != name] or forms  # `name` itself may be an attribute
                if not forms:
                    raise CorpusError(f"held_out.yaml: {part} {key!r} has no form {name!r}.")
                found |= {(lexemes[key], form) for form in forms}
        return found


def _retried(draw: Callable[[], Node]) -> Node:
    for _ in range(MAX_RETRIES):
        try:
            return draw()
        except NoWordError as error:
            last = error
    raise last


def _language(name: str) -> dict[str, Any]:
    words: dict[str, dict[str, Any]] = {}
    for file in ("words.yaml", "function_words.yaml"):
        for part, entries in _read(name, file).items():
            words[part] = words.get(part, {}) | entries
    particles = {word: flatten(forms) for word, forms in words.pop("particles").items()}
    return {"forms": _read(name, "forms.yaml"), "words": words, "particles": particles}


@cache
def _read(*path: str) -> Any:
    text = files("seq2seq.phrasebook.grammar").joinpath(*path).read_text(encoding="utf-8")
    # CSafeLoader, if PyYAML was built with it, is five times as fast.
    return yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
