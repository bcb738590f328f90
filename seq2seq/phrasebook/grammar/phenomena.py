"""Which phenomena a derivation has, and which words of a sentence each of them decides."""

import re
from collections.abc import Iterator, Mapping
from difflib import SequenceMatcher
from typing import Any

from seq2seq.errors import CorpusError
from seq2seq.phrasebook.grammar.derivation import DerivationStep, Node, Rule, RuleSet
from seq2seq.phrasebook.grammar.syntax import Syntax

WORD = re.compile(r"\w+(?:[.,:'-]\w+)*|[^\w\s]")


class Phenomena:
    """The phenomena of one language, as its `phenomena.yaml` has them.

    Args:
        syntax: Of the language.
        rules: What is drawn from.
        source: For each phenomenon, one or several ways to say a node wrong.
    """

    def __init__(self, syntax: Syntax, rules: RuleSet, source: Mapping[str, Any]) -> None:
        self.syntax = syntax
        self.draw_specs: dict[str, DerivationStep] = {}
        self.variants: dict[str, list[_Variant]] = {}
        for name, said in source.items():
            entries = said if isinstance(said, list) else [said]
            self.draw_specs[name] = rules.step(_draw(entries[0]), f"phenomena.yaml: {name}.draw")
            self.variants[name] = [_Variant(syntax, entry, f"{name}.{place}") for place, entry in enumerate(entries)]

    def __iter__(self) -> Iterator[str]:
        return iter(self.variants)

    def affected_positions(self, node: Node, name: str) -> list[int]:
        """Return the places of the words that a phenomenon decides; none where a derivation does not have it.

        Places count what `split_words` gives, from 0. What a phenomenon would not change is not among them: a feminine
        accusative is spelled like the nominative.
        """
        places: set[int] = set()
        words: list[str] = []
        for part in iterate_nodes(node):
            for variant in self.variants[name]:
                if variant.fits(part):
                    words = words or split_words(self.syntax.linearize(node).text)
                    places |= set(unaligned_positions(words, split_words(variant.said(node, part))))
        return sorted(place for place in places if words[place] != ",")  # they come and go with what they enclose

    def matches(self, node: Node, name: str) -> bool:
        """Whether something in a derivation is of the kind that a phenomenon is about."""
        return any(variant.fits(part) for part in iterate_nodes(node) for variant in self.variants[name])

    def distance(self, node: Node, positions: list[int]) -> int:
        """Return how many words of a long-distance sentence stand between the one that decides and the decided one."""
        # The words up to the one that decides, where a node's rule says which these are.
        said = [(part.rule.fields[self.syntax.index].get("near"), part) for part in iterate_nodes(node)]
        (near,) = (text for field, part in said if field and (text := field(part, "near", [])))
        return positions[0] - len(split_words(near))


class _Variant:
    """One way to say a node wrong."""

    def __init__(self, syntax: Syntax, entry: Mapping[str, Any], place: str) -> None:
        self.syntax = syntax
        self.node = entry["node"]
        self.when = entry.get("when", {})
        self.fields = {
            str(name): syntax.compile(spec, f"phenomena.yaml: {place}") for name, spec in entry["say"].items()
        }
        if self.node not in syntax.described_categories:
            raise CorpusError(f"{syntax.name}/phenomena.yaml: {place}: there is no category or rule {self.node!r}.")

    def fits(self, node: Node) -> bool:
        if self.node not in (node.rule.category, node.rule.key):
            return False
        return all(self.syntax.look_up(node, path.split("."), []) in values for path, values in self.when.items())

    def said(self, sentence: Node, node: Node) -> str:
        right, index = node.rule, self.syntax.index
        node.rule = Rule(right.category, right.name, [], len(right.fields))
        node.rule.fields[index] = right.fields[index] | self.fields
        try:
            return self.syntax.linearize(sentence).text
        finally:
            node.rule = right


def iterate_nodes(node: Node) -> Iterator[Node]:
    """Yield a derivation and all that is in it, once each."""
    seen: set[int] = set()
    waiting = [node]
    while waiting:
        part = waiting.pop()
        if id(part) not in seen:
            seen.add(id(part))
            yield part
            waiting += [value for value in part.values() if isinstance(value, Node)]


def split_words(sentence: str) -> list[str]:
    """Return words, numbers and marks; marks within a number or a word stay there."""
    return WORD.findall(sentence)


def unaligned_positions(words: list[str], other: list[str]) -> list[int]:
    """Return the places of `words` that an alignment with `other` leaves over."""
    blocks = SequenceMatcher(None, words, other, autojunk=False).get_matching_blocks()
    kept = {block.a + step for block in blocks for step in range(block.size)}
    return [place for place in range(len(words)) if place not in kept]


def _draw(entry: Mapping[str, Any]) -> dict[str, Any]:
    """The step that draws a sentence which has the phenomenon, as often as an entry can say."""
    draw = entry.get("draw") or (entry["node"] if entry["node"].startswith("sentence.") else "sentence")
    return {"draw": draw} if isinstance(draw, str) else draw
