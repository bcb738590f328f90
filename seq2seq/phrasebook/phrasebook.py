"""The corpus that ships with the project: English-German pairs, drawn from a grammar of our own.

The meaning of an English sentence determines its German translation, so that a model can learn everything. Splits are
disjoint: the hash of the source sentence determines the split of a pair, whatever the seed; and a pair with a
combination from `grammar/held_out.yaml` (a verb in a certain form, a noun in a certain case) is only in the
compositional test.
"""

import hashlib
from collections.abc import Callable, Iterator
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from itertools import compress, islice
from random import Random

from seq2seq.arguments import check_arguments
from seq2seq.errors import CorpusError
from seq2seq.phrasebook.grammar import Grammar
from seq2seq.storage.deduplication import Deduplicator, hash_texts

VERSION = 1  # version of the code, raised if it changes pairs without a change to the grammar's files
DEFAULT_PAIRS = {"train": 100_000, "valid": 500, "test": 1000, "compositional": 1000}  # unless a recipe says otherwise
LEXICONS = ("full", "basic")
SPLIT_LIMITS = {"train": 80, "valid": 90, "test": 100}  # cumulative percentage of all sentences
CHUNK_SIZE = 1000  # pairs that are drawn at once

Pair = tuple[str, str]  # an English sentence and its German translation


@check_arguments()
def generate_pairs(split: str, pairs: int | None = None, seed: int = 1, lexicon: str = "full") -> Iterator[Pair]:
    """Yield the (English, German) pairs of a split, the same ones on every machine.

    Args:
        split: `train`, `valid`, `test` or `compositional`. No source sentence is in two splits.
        pairs: Number of pairs; `DEFAULT_PAIRS` has the defaults. No source sentence occurs twice. A smaller number
            yields the first ones of a larger number. Memory grows by 8 bytes per pair.
        seed: Seed of the sample.
        lexicon: `full`, or `basic` with some 400 of the 1,300 words; every rule is in both.

    Raises:
        CorpusError: There is no such split or lexicon.
    """
    for kind, name, known in (("split", split, DEFAULT_PAIRS), ("lexicon", lexicon, LEXICONS)):
        if name not in known:
            raise CorpusError(f"phrasebook: unknown {kind} {name!r}. Accepted: {', '.join(known)}.")
    return _without_repeats(_draw(split, seed, lexicon), DEFAULT_PAIRS[split] if pairs is None else pairs)


def assign_split(source: str) -> str:
    """Return the split of a source sentence in which no combination is held out."""
    digest = hashlib.blake2b(source.encode(), digest_size=8).digest()
    percent = int.from_bytes(digest[:4], "little") * 100 >> 32
    return next(split for split, limit in SPLIT_LIMITS.items() if percent < limit)


def fingerprint(split: str, pairs: int | None = None, seed: int = 1, lexicon: str = "full") -> str:
    """Return a hash (hexadecimal SHA-256) of the grammar's data and the arguments, which changes with the text.

    Only `VERSION` represents the code, so encoded corpora remain valid after changes that do not affect the pairs.
    """
    asked = f"{VERSION} {split} {DEFAULT_PAIRS[split] if pairs is None else pairs} {seed} {lexicon}"
    digest = hashlib.sha256(asked.encode())
    for name, file in sorted(_files(files("seq2seq.phrasebook.grammar"), "")):
        digest.update(name.encode() + file.read_bytes())
    return digest.hexdigest()


def make_random(split: str, seed: int) -> Callable[[], float]:
    """Return the random source of a split: a method of `random` that gives the same in every version of Python."""
    return Random(f"{split} {seed}").random


@cache
@check_arguments()
def load_grammar(lexicon: str = "full") -> Grammar:
    """The English-German grammar, read once."""
    return Grammar(lexicon=lexicon)


def _draw(split: str, seed: int, lexicon: str) -> Iterator[Pair]:
    grammar = load_grammar(lexicon)
    random = make_random(split, seed)
    while True:
        derivation = grammar.draw(random)
        english = grammar.linearize(derivation, "english").text
        if split in (assign_split(english), "compositional"):  # drops most sentences before they are put into German
            german = grammar.linearize(derivation, "german")
            if grammar.is_held_out(german) == (split == "compositional"):
                yield english, german.text


def _without_repeats(pairs: Iterator[Pair], count: int) -> Iterator[Pair]:
    """Yield the pairs whose source has not occurred before, by its hash, until there are `count`; see `hash_texts`."""
    seen = Deduplicator()
    while count > 0 and (chunk := list(islice(pairs, min(CHUNK_SIZE, count)))):
        new = seen.add(hash_texts(source for source, _ in chunk))
        yield from compress(chunk, new)
        count -= int(new.sum())


def _files(folder: Traversable, path: str) -> Iterator[tuple[str, Traversable]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _files(entry, f"{path}{entry.name}/")
        elif entry.name.endswith(".yaml"):
            yield f"{path}{entry.name}", entry
