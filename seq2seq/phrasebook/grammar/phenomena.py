"""Grammatical phenomena of a derivation, and the words of a sentence that each of them determines."""

import re
from collections.abc import Iterator, Mapping
from difflib import SequenceMatcher
from typing import Any

from seq2seq.errors import CorpusError
from seq2seq.phrasebook.grammar.derivation import DerivationStep, Node, Rule, RuleSet
from seq2seq.phrasebook.grammar.syntax import Syntax
from seq2seq.text.scripts import UNSPACED, UNSPACED_MARKS

# In a script without spaces, each character is a word, with the marks that combine with it.
_LETTERS = rf"[^\W{UNSPACED}]+"
WORD = re.compile(rf"[{UNSPACED}][{UNSPACED_MARKS}]*|{_LETTERS}(?:[.,:'-]{_LETTERS})*|[^\w\s]")


class Phenomena:
    """The phenomena of one language, from its `phenomena.yaml`.

    Args:
        syntax: Syntax of the language.
        rules: Rules to draw from.
        source: One or several ways to linearize a node wrongly, for each phenomenon.
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
        """Return the positions of the words that a phenomenon determines; [] if the derivation does not have it.

        Positions are indices into the result of `split_words`. Words that the phenomenon does not change are not among
        them: for example, a feminine accusative is spelled like the nominative.
        """
        places: set[int] = set()
        words: list[str] = []
        for part in iterate_nodes(node):
            for variant in self.variants[name]:
                if variant.fits(part):
                    words = words or split_words(self.syntax.linearize(node).text)
                    places |= set(unaligned_positions(words, split_words(variant.said(node, part))))
        return sorted(place for place in places if words[place] != ",")  # commas change with the phrases they enclose

    def matches(self, node: Node, name: str) -> bool:
        """Whether a derivation has a node to which a phenomenon applies."""
        return any(variant.fits(part) for part in iterate_nodes(node) for variant in self.variants[name])

    def distance(self, node: Node, positions: list[int]) -> int:
        """Return the number of words between the governing and the dependent word of a long-distance dependency."""
        # The field `near` of a node's rule has the words up to the governing one.
        said = [(part.rule.fields[self.syntax.index].get("near"), part) for part in iterate_nodes(node)]
        (near,) = (text for field, part in said if field and (text := field(part, "near", [])))
        return positions[0] - len(split_words(near))


class _Variant:
    """One way to linearize a node wrongly."""

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
    """Yield a derivation and all nodes in it, each once."""
    seen: set[int] = set()
    waiting = [node]
    while waiting:
        part = waiting.pop()
        if id(part) not in seen:
            seen.add(id(part))
            yield part
            waiting += [value for value in part.values() if isinstance(value, Node)]


def split_words(sentence: str) -> list[str]:
    """Return words, numbers and punctuation marks; marks within a number or a word are not split off.

    Each character of a script without spaces, such as Chinese, is a word.
    """
    return WORD.findall(sentence)


def unaligned_positions(words: list[str], other: list[str]) -> list[int]:
    """Return the positions in `words` that an alignment with `other` leaves unaligned."""
    blocks = SequenceMatcher(None, words, other, autojunk=False).get_matching_blocks()
    kept = {block.a + step for block in blocks for step in range(block.size)}
    return [place for place in range(len(words)) if place not in kept]


def _draw(entry: Mapping[str, Any]) -> dict[str, Any]:
    """The step that draws a sentence with the phenomenon, as likely as the entry can make it."""
    draw = entry.get("draw") or (entry["node"] if entry["node"].startswith("sentence.") else "sentence")
    return {"draw": draw} if isinstance(draw, str) else draw
