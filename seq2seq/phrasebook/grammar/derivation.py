"""Draw a derivation: a tree of rules, features and lexemes, independent of any language.

A step of a rule in `rules.yaml` fills one slot. It is one of

    habit                       a feature with this value
    "@verb.object"              a copy of the value of another slot
    {choose: {past: 2, now: 1}} a value, drawn by weight
    {word: verb, frame: motion} a lexeme of the part of speech, with these attributes or classes
    {draw: what, class: place}  a derivation of a category, or of one of a list; the other keys are slots filled before
    {argument: "@verb.object"}  one of the classes, drawn as the category that `arguments` in `rules.yaml` gives it
    {chance: 0.3, of: STEP}     the step, with this probability, or nothing
    {one_of: "@verb.goal"}      one of the names in another slot
    {number: [2, 99]}           an integer in this range, as digits
    {"@kind": {counted: STEP, else: STEP}}    the step for the value of a feature

A slot that is already filled is not changed: this is how a rule determines slots of the derivations below it.
"""

from bisect import bisect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from itertools import accumulate
from typing import Any

from seq2seq.errors import CorpusError

MAX_RETRIES = 20  # repetitions of a draw if the sentence already has the word


class NoWordError(CorpusError):
    """No word of the lexicon fits the slots drawn so far."""


class Lexeme(tuple[dict[str, str], ...]):
    """A concept: its attributes and forms for each language, by the index of the language."""

    __hash__ = object.__hash__


class Node(dict[str, Any]):
    """A derivation: slots and features by name, with its rule."""

    __slots__ = ("rule",)
    __hash__ = object.__hash__  # type: ignore[assignment]  # a switch over features looks up nodes, too, in vain

    def __init__(self, rule: "Rule", filled: Mapping[str, Any]) -> None:
        super().__init__(filled)
        self.rule = rule


class Rule:
    """A rule: the steps to draw, in order, and the fields that linearize it, by the index of the language."""

    def __init__(self, category: str, name: str, steps: list[tuple[str, "DerivationStep"]], languages: int) -> None:
        self.category = category
        self.name = name
        self.key = f"{category}.{name}" if name else category
        self.steps = steps
        self.fields: list[dict[str, Any]] = [{} for _ in range(languages)]


DerivationStep = Callable[["DerivationState", Node], Any]


@dataclass(slots=True)
class DerivationState:
    """The state of drawing one sentence: the random source, and the lexemes used so far."""

    random: Callable[[], float]
    used: set[Lexeme] = field(default_factory=set)

    def pick(self, lexemes: list[Lexeme]) -> Lexeme:
        """Draw a lexeme that the sentence does not have yet, if there is one."""
        random, used = self.random, self.used
        size = len(lexemes)
        for _ in range(MAX_RETRIES):
            lexeme = lexemes[int(random() * size)]
            if lexeme not in used:
                break
        used.add(lexeme)
        return lexeme


class RuleSet:
    """The rules of `rules.yaml`, compiled for drawing."""

    def __init__(self, source: Mapping[str, Any], lexicon: Mapping[str, list[Lexeme]], languages: int) -> None:
        self.lexicon = lexicon
        self.arguments = source["arguments"]
        self.categories: dict[str, tuple[list[Rule], list[float]]] = {}  # also single rules, by their keys
        self.rules: dict[str, Rule] = {}
        for category, entry in source["categories"].items():
            shared = entry.get("slots", {})
            rules, weights = [], []
            for name, rule in (entry.get("rules") or {"": {}}).items():
                place = f"rules.yaml: {category}.{name}" if name else f"rules.yaml: {category}"
                slots = shared | rule.get("slots", {})
                steps = [(slot, self.step(step, f"{place}.{slot}")) for slot, step in slots.items()]
                made = Rule(category, name, steps, languages)
                rules.append(made)
                self.rules[made.key] = made
                self.categories[made.key] = [made], []
                weights.append(rule.get("weight", 1))
            self.categories[category] = rules, _cumulative(weights)

    def draw(self, category: str, draw: DerivationState, filled: Mapping[str, Any]) -> Node:
        """Draw a derivation of a category, or of the rule that `category.rule` names."""
        rules, weights = self.categories[category]
        rule = rules[0] if len(rules) == 1 else rules[bisect(weights, draw.random())]
        node = Node(rule, filled)
        _fill(node, rule.steps, draw, node)
        return node

    def step(self, spec: Any, place: str) -> DerivationStep:
        """Compile a step from its description; `place` is its position, for errors."""
        if spec is None or isinstance(spec, str | int):
            return self._value(spec)
        if not isinstance(spec, Mapping):
            raise CorpusError(f"{place}: {spec!r} is not a step.")
        keyword = next(iter(spec))
        if keyword.startswith("@"):
            return self._switch(keyword, spec[keyword], place)
        rest = {key: value for key, value in spec.items() if key != keyword}
        makers: dict[str, Callable[[Any, Mapping[str, Any], str], DerivationStep]] = {
            "choose": self._choose,
            "word": self._word,
            "draw": self._draw,
            "argument": self._argument,
            "one_of": self._one_of,
            "number": self._number,
            "chance": self._chance,
        }
        if keyword not in makers:
            raise CorpusError(f"{place}: unknown step {keyword!r}. Accepted: {', '.join(makers)}, or @path.")
        return makers[keyword](spec[keyword], rest, place)

    def _value(self, spec: Any) -> DerivationStep:
        if isinstance(spec, str) and spec.startswith("@"):
            first, *names = spec[1:].split(".")
            if not names:
                return lambda draw, node: node.get(first)
            return lambda draw, node: _look(node.get(first), names)
        return lambda draw, node: spec

    def _switch(self, path: str, branches: Mapping[Any, Any], place: str) -> DerivationStep:
        value = self._value(path)
        steps = {key: self.step(branch, f"{place}.{key}") for key, branch in branches.items() if branch is not None}
        other = steps.get("else")

        def switch(draw: DerivationState, node: Node) -> Any:
            step = steps.get(value(draw, node) or "", other)
            return step(draw, node) if step else None

        return switch

    def _choose(self, weights: Mapping[Any, float], _: Any, place: str) -> DerivationStep:
        values, limits = list(weights), _cumulative(list(weights.values()))
        return lambda draw, node: values[bisect(limits, draw.random())]

    def _chance(self, probability: float, rest: Mapping[str, Any], place: str) -> DerivationStep:
        step = self.step(rest["of"], place)
        return lambda draw, node: step(draw, node) if draw.random() < probability else None

    def _number(self, limits: list[int], _: Any, place: str) -> DerivationStep:
        low, high = limits
        return lambda draw, node: str(low + int(draw.random() * (high + 1 - low)))

    def _one_of(self, path: str, _: Any, place: str) -> DerivationStep:
        text = self._value(path)

        def one_of(draw: DerivationState, node: Node) -> str:
            options = text(draw, node).split()
            return options[int(draw.random() * len(options))]

        return one_of

    def _word(self, part: str, rest: Mapping[str, Any], place: str) -> DerivationStep:
        """Compile a step that draws a word; its attributes and classes are constants, or values of the node."""
        conditions = {key: self._value(value) for key, value in rest.items()}  # `not` excludes classes

        @cache
        def fitting(*wanted: Any) -> list[Lexeme]:
            pairs = dict(zip(conditions, wanted, strict=True)).items()
            found = [lexeme for lexeme in self.lexicon[part] if all(_fits(lexeme[0], *pair) for pair in pairs)]
            if not found:
                raise NoWordError(f"{place}: the lexicon has no {part} with {dict(pairs)}.")
            return [lexeme for lexeme in found for _ in range(int(lexeme[0].get("weight", 1)))]

        return lambda draw, node: draw.pick(fitting(*[value(draw, node) for value in conditions.values()]))

    def _draw(self, categories: str | list[str], rest: Mapping[str, Any], place: str) -> DerivationStep:
        presets = [(slot, self.step(value, place)) for slot, value in rest.items()]
        options = [categories] if isinstance(categories, str) else categories

        def child(draw: DerivationState, node: Node) -> Node:
            category = options[int(draw.random() * len(options))] if len(options) > 1 else options[0]
            filled: dict[str, Any] = {}
            _fill(filled, presets, draw, node)
            return self.draw(category, draw, filled)

        return child

    def _argument(self, path: str, rest: Mapping[str, Any], place: str) -> DerivationStep:
        classes = self._value(path)
        among = self._value(rest["among"]) if "among" in rest else None
        presets = [(slot, self.step(value, place)) for slot, value in rest.items() if slot != "among"]

        def argument(draw: DerivationState, node: Node) -> Node:
            options = classes(draw, node).split()
            if among:
                allowed = str(among(draw, node) or "").split()
                options = [option for option in options if option in allowed] if allowed else options
            chosen = options[int(draw.random() * len(options))]
            category = self.arguments.get(chosen, self.arguments["else"])
            filled = {"class": chosen}
            _fill(filled, presets, draw, node)
            return self.draw(category, draw, filled)

        return argument


def _fill(slots: dict[str, Any], steps: list[tuple[str, DerivationStep]], draw: DerivationState, node: Node) -> None:
    """Fill the empty slots by their steps, which read a node."""
    for slot, step in steps:
        if slot not in slots and (value := step(draw, node)) is not None:
            slots[slot] = value


def _look(value: Any, names: list[str]) -> Any:
    """Follow a path through slots and attributes; None if it does not exist."""
    for name in names:
        if isinstance(value, Lexeme):
            value = value[0]
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _fits(attributes: Mapping[str, str], key: str, wanted: Any) -> bool:
    if key == "not":
        return attributes["class"] not in _values(wanted or "")
    return not wanted or not _values(wanted).isdisjoint(_values(attributes.get(key, "")))


@cache
def _values(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _cumulative(weights: list[float]) -> list[float]:
    total = sum(weights)
    return [limit / total for limit in accumulate(weights)][:-1]
