"""Linearize a derivation in one language.

`syntax.yaml` of a language has fields, by name, for each category or each of its rules. A field is a template

    "{subject nominative} {.finite} {object @verb.case} schnell"

of words, of slots with the required form, and of other fields of the same rule (with a dot); or it depends on a
feature: `{"@tense": {past: TEMPLATE, else: TEMPLATE}}`. A form consists of names and `@paths`, joined with dots. It is
looked up among the forms of a lexeme; for a derivation, it names one of its fields, or selects its field `"*"`, in
which `*` is the requested name. An empty slot yields nothing; a name that is not a slot is a function word of the
language.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from seq2seq.errors import CorpusError
from seq2seq.phrasebook.grammar.derivation import Lexeme, Node, RuleSet

UsedForms = list[tuple[Lexeme, str]]  # lexemes with their forms, in the order in which they were looked up
Linearizer = Callable[[Node, str, UsedForms], str]  # linearizes a node in a form, and appends to the used forms
SLOT_PATTERN = re.compile(r"\{([^{}]*)\}|([^{}\s]+)")


class Sentence(NamedTuple):
    """A derivation linearized in a language: the text, the language, and the lexemes with their forms."""

    text: str
    language: str
    used_forms: UsedForms


class Syntax:
    """Linearization of derivations in one language.

    Args:
        index: Index of the language in `Rule.fields` and in lexemes.
        name: Name of the language.
        source: Contents of `syntax.yaml`.
        words: Function words of the language and their forms.
        rules: All rules, which get their fields here.
    """

    def __init__(
        self,
        index: int,
        name: str,
        source: Mapping[str, Any],
        words: Mapping[str, Mapping[str, str]],
        rules: RuleSet,
    ) -> None:
        self.index = index
        self.name = name
        self.words = words
        self.described_categories = set(rules.categories)
        self.contractions = [
            (there, re.compile(pattern), replacement) for there, pattern, replacement in source["rewrites"]
        ]
        self.punctuation = [(f" {mark}", mark) for mark in source["marks"]]
        for key, rule in rules.rules.items():
            described = {**source["say"].get(rule.category, {}), **(source["say"].get(key) or {})}
            if not described:
                raise CorpusError(f"{name}/syntax.yaml: no template for the rule {key!r}.")
            fields = rule.fields[index]
            for field, spec in described.items():
                fields[str(field)] = self.compile(spec, f"{name}/syntax.yaml: {key}.{field}")

    def linearize(self, node: Node) -> Sentence:
        """Linearize a whole sentence, with the final steps: contractions, punctuation marks and the capital letter."""
        used: UsedForms = []
        text = node.rule.fields[self.index]["*"](node, "*", used)
        for there, pattern, replacement in self.contractions:
            if there in text:
                text = pattern.sub(replacement, text)
        for mark, joined in self.punctuation:
            text = text.replace(mark, joined)
        return Sentence(text[0].upper() + text[1:], self.name, used)

    def look_up(self, value: Any, names: list[str], used: UsedForms) -> str:
        """Follow a path through slots, lexemes and fields, and append the words of the fields to `used`.

        A path that does not exist yields "".
        """
        for name in names:
            if isinstance(value, Lexeme):
                value = value[self.index].get(name, "")
            elif not isinstance(value, Node):
                return ""
            elif name in value:
                value = value[name]
            else:
                field = value.rule.fields[self.index].get(name)
                value = field(value, name, used) if field else ""
        return value

    def compile(self, spec: Any, place: str) -> Linearizer:
        """Compile a field from its template; `place` is its position, for errors."""
        if isinstance(spec, Mapping):
            if len(spec) != 1 or not str(next(iter(spec))).startswith("@"):
                raise CorpusError(f"{place}: expected one @path with its cases, found {list(spec)}.")
            ((path, branches),) = spec.items()
            value = self._path(path[1:])
            cases = {str(key): self.compile(branch, f"{place}.{key}") for key, branch in branches.items()}
            other = cases.get("else")

            def switch(node: Node, form: str, used: UsedForms) -> str:
                case = cases.get(value(node, form, used), other)
                return case(node, form, used) if case else ""

            return switch
        parts = SLOT_PATTERN.finditer(str(spec or ""))
        says = [self._reference(part[1]) if part[1] else _constant(part[2]) for part in parts]
        if len(says) == 1:
            return says[0]

        def template(node: Node, form: str, used: UsedForms) -> str:
            return " ".join([said for say in says if (said := say(node, form, used))])

        return template

    def _reference(self, text: str) -> Linearizer:
        name, *arguments = text.split()
        if name[0] in "@.":
            return self._path(name.removeprefix("@"))
        index = self.index
        wanted = self._form(arguments)
        word = self.words.get(name)
        first, *rest = name.split(".")

        def reference(node: Node, form: str, used: UsedForms) -> str:
            value = node.get(first)
            for slot in rest:
                value = value.get(slot) if isinstance(value, Node) else None
            if value is None:
                return word[wanted(node, form, used)] if word else ""
            kind = type(value)
            if kind is Lexeme:
                name = wanted(node, form, used)
                used.append((value, name))
                return value[index][name]
            if kind is Node:
                name = wanted(node, form, used)
                fields = value.rule.fields[index]
                field = fields.get(name) or fields.get("*")
                if field is None:
                    raise CorpusError(f"{self.name}/syntax.yaml: {value.rule.key} has no {name!r}.")
                return field(value, name, used)
            return value

        return reference

    def _form(self, arguments: list[str]) -> Linearizer:
        says = [self._path(part[1:]) if part.startswith("@") else part for part in arguments]
        if all(isinstance(part, str) and part != "*" for part in says):
            return _constant(".".join(arguments) or "*")
        if says == ["*"]:
            return lambda node, form, used: form

        def joined(node: Node, form: str, used: UsedForms) -> str:
            return ".".join(
                [(form if say == "*" else say) if isinstance(say, str) else say(node, form, used) for say in says]
            )

        return joined

    def _path(self, path: str) -> Linearizer:
        """Compile a path; one that begins with a dot names another field of the same rule."""
        index = self.index
        if path.startswith("."):
            said = path[1:]
            return lambda node, form, used: node.rule.fields[index][said](node, form, used)
        first, *names = path.split(".")
        if len(names) == 1:
            (second,) = names

            def attribute(node: Node, form: str, used: UsedForms) -> str:
                value = node.get(first)
                if type(value) is Lexeme:
                    return value[index].get(second, "")
                return self.look_up(node, [first, second], used)

            return attribute
        if names:
            return lambda node, form, used: self.look_up(node, [first, *names], used)

        def value(node: Node, form: str, used: UsedForms) -> str:
            if first in node:
                return node[first]
            field = node.rule.fields[index].get(first)
            return field(node, form, used) if field else ""

        return value


def _constant(text: str) -> Linearizer:
    return lambda node, form, used: text
