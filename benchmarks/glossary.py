"""Terms of a glossary in translations of phrasebook sentences: how many are in place, at what cost.

python benchmarks/glossary.py [MODEL] [--sentences 300] [--beam-size 5] [--rounds 3] [--json FILE]

In each sentence one noun is chosen, and a term demands a German word for it in any of its forms. There are three kinds
of terms: `own`, the noun's German word; `same gender`, the word for another noun of its kind with the same gender, such
as `Bäcker|Bäckers|Bäckern` for `teacher`; `any gender`, the word for any other noun of its kind. The grammar gives the
reference with that word, and so the articles and adjectives that agree with it. Reported are the terms in place; among
these, noun phrases that do not agree with their term; BLEU of the plain translations and of those with terms, each
against its own reference, with the terms masked; and the ratio of times, measured in turns.
"""

import argparse
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from measure import in_turns, machine, median, show, write

from seq2seq import SearchOptions, Translator
from seq2seq.evaluation.metrics import score_texts
from seq2seq.inference.requests import Request
from seq2seq.phrasebook.grammar.derivation import Lexeme, Node
from seq2seq.phrasebook.phrasebook import assign_split, load_grammar, make_random
from seq2seq.text.phrases import find_phrase

MASK = "TERM"


class Example(NamedTuple):
    """A sentence and a noun in it, its translation and the noun's forms, and translation and forms with a term."""

    english: str
    nouns: str
    german: str
    forms: tuple[str, ...]
    asked_german: str
    asked_forms: tuple[str, ...]


def nouns(node: Node) -> Iterator[tuple[Node, str, Lexeme]]:
    """The nouns of a derivation, with the slots that hold them."""
    for slot, value in node.items():
        if isinstance(value, Node):
            yield from nouns(value)
        elif isinstance(value, Lexeme) and "singular.nominative" in value[1]:
            yield node, slot, value


def german_forms(noun: Lexeme) -> tuple[str, ...]:
    forms = (form for key, form in noun[1].items() if key.startswith(("singular.", "plural.")))
    return tuple(dict.fromkeys(filter(None, forms)))


def examples(count: int, terms: str, seed: int = 1) -> list[Example]:
    """Sentences of the phrasebook's test split that have a noun for which there is a term."""
    grammar, draw, random = load_grammar("basic"), make_random("test", seed), Random(seed)
    found: dict[str, Example] = {}
    while len(found) < count:
        derivation = grammar.draw(draw)
        english, german = (grammar.linearize(derivation, language) for language in ("english", "german"))
        if assign_split(english.text) != "test" or grammar.is_held_out(german) or english.text in found:
            continue
        held = list(nouns(derivation))
        if not held:
            continue
        node, slot, noun = random.choice(held)
        others = [
            other
            for other in grammar.rules.lexicon["noun"]
            if other[0]["sort"] == noun[0]["sort"]
            and all(other is not used for _, _, used in held)
            and "singular.nominative" in other[1]
            and (terms == "any gender" or other[1].get("gender") == noun[1].get("gender"))
        ]
        if terms == "own":
            others = [noun]
        words = [noun[0]["singular"], noun[0]["plural"]]
        if not others or not find_phrase(english.text, words):
            continue
        other = random.choice(others)
        node[slot] = Lexeme([noun[0], other[1]])
        asked = grammar.linearize(derivation, "german").text
        forms, asked_forms = german_forms(noun), german_forms(other)
        is_exchanged = other is noun or not find_phrase(asked, forms)
        if find_phrase(german.text, forms) and find_phrase(asked, asked_forms) and is_exchanged:
            found[english.text] = Example(english.text, "|".join(words), german.text, forms, asked, asked_forms)
    return list(found.values())


def masked(text: str, forms: tuple[str, ...]) -> str:
    while span := find_phrase(text, forms):
        text = f"{text[: span[0]]}{MASK}{text[span[1] :]}"
    return text


def noun_phrase(text: str, forms: tuple[str, ...]) -> str:
    """The term in a text with the word before it, which has to agree with it."""
    span = find_phrase(text, forms)
    assert span
    return " ".join([*text[: span[0]].split()[-1:], text[slice(*span)]]).lower()


def measure(translator: Translator, terms: str, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Rows of the table for one kind of terms: translations without them and with them."""
    chosen, options = examples(arguments.sentences, terms), SearchOptions(beam_size=arguments.beam_size)
    plain = [Request(one.english) for one in chosen]
    asked = [Request(one.english, terms={one.nouns: "|".join(one.asked_forms)}) for one in chosen]

    def translate(requests: list[Request]) -> list[Any]:
        return translator.translate(requests, options, attention=False)

    answers = {"plain": translate(plain), "with terms": translate(asked)}  # also traces the graphs

    def timed(requests: list[Request]) -> float:
        start = time.perf_counter()
        translate(requests)
        return time.perf_counter() - start

    seconds = in_turns({"plain": partial(timed, plain), "with terms": partial(timed, asked)}, arguments.rounds)
    texts = {name: [one.text for one in found] for name, found in answers.items()}
    rows = []
    for name, forms, references in (
        ("plain", [one.forms for one in chosen], [one.german for one in chosen]),
        ("with terms", [one.asked_forms for one in chosen], [one.asked_german for one in chosen]),
    ):
        placed = [bool(find_phrase(text, words)) for text, words in zip(texts[name], forms, strict=True)]
        agreeing = [
            noun_phrase(text, words) == noun_phrase(reference, words)
            for text, words, reference, there in zip(texts[name], forms, references, placed, strict=True)
            if there
        ]
        hidden = [list(map(masked, lines, forms)) for lines in (texts[name], references)]
        (bleu,) = score_texts(*hidden, metrics=("BLEU",))
        rows.append(
            {
                "terms": terms,
                "": name,
                "in place": f"{sum(placed)} of {len(placed)}",
                "agreement errors": len(agreeing) - sum(agreeing),
                "BLEU, terms masked": f"{bleu.score:.2f} [{bleu.interval()}]",
                "same as reference": sum(map(str.__eq__, texts[name], references)),
                "time": f"{median(seconds[name]) / median(seconds['plain']):.2f}",
            }
        )
    for one, text in list(zip(chosen, texts["with terms"], strict=True))[: arguments.show]:
        print(f"{one.english} | {one.asked_forms[0]} | {text} | {one.asked_german}")
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", nargs="?", default="phrasebook-en-de")
    parser.add_argument("--sentences", type=int, default=300)
    parser.add_argument("--beam-size", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--show", type=int, default=5, help="number of translations of each kind that are shown")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    translator = Translator.load(arguments.model)
    rows = [row for terms in ("own", "same gender", "any gender") for row in measure(translator, terms, arguments)]
    show("Terms of a glossary", rows)
    if arguments.json:
        write(arguments.json, {"machine": machine(), "rows": rows})


if __name__ == "__main__":
    main()
