"""Challenge sets: accuracy by grammatical phenomenon, on sentences drawn from the grammar.

A challenge set consists of sentences with one phenomenon, and of the words of their references that this phenomenon
determines. A translation is correct if it has these words where the reference has them; the rest does not count.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from difflib import SequenceMatcher
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from seq2seq.arguments import check_arguments
from seq2seq.data.progress import ProgressCallback, no_progress
from seq2seq.errors import EvaluationError
from seq2seq.extras import require_extra
from seq2seq.notebook_html import html_block, html_table
from seq2seq.phrasebook.grammar import Grammar
from seq2seq.phrasebook.grammar.phenomena import split_words
from seq2seq.phrasebook.phrasebook import LEXICONS, assign_split, load_grammar
from seq2seq.plurals import pluralize
from seq2seq.storage.streams import open_output

if TYPE_CHECKING:
    from seq2seq.config import Config, SearchOptions
    from seq2seq.inference.translator import Translator

LANGUAGES = "en", "de"
LONG_DISTANCE = "long distance"
INTERVENING_PHRASES = range(1, 9)  # numbers of phrases between the governing word and the dependent
MAX_WORDS = 14  # words of a sentence in either language, except for long distances
MAX_ATTEMPTS = 200  # for each item, before we give up


class ChallengeItem(NamedTuple):
    """A sentence to translate, its reference, and the positions of the reference words that are scored."""

    phenomenon: str
    source: str
    reference: str
    positions: tuple[int, ...]
    distance: int | None = None  # words between the governing word and its first dependent

    def is_correct(self, hypothesis: str) -> bool:
        """Whether a translation has the words at `positions`, aligned as by Ratcliff and Obershelp (1988)."""
        words, ours = split_words(self.reference), split_words(hypothesis)
        blocks = SequenceMatcher(None, words, ours, autojunk=False).get_matching_blocks()
        return all(any(block.a <= place < block.a + block.size for block in blocks) for place in self.positions)


@dataclass(frozen=True)
class Accuracy:
    """Accuracy on a challenge set.

    Attributes:
        name: Name of the phenomenon, or range of the distance in words, such as `5-8`.
        total: Number of sentences.
        correct: Number of correct translations.
    """

    name: str
    total: int
    correct: int

    @property
    def value(self) -> float:
        """Share of correct translations, 0 to 1."""
        return self.correct / self.total

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95% interval of `value`."""
        z, n, p = 1.959964, self.total, self.value
        middle, half = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        low, high = (middle - half) / (1 + z * z / n), (middle + half) / (1 + z * z / n)
        return max(0.0, low), min(high, 1.0)  # which rounding may exceed

    def as_dict(self) -> dict[str, Any]:
        """JSON-serializable values."""
        low, high = self.interval
        return asdict(self) | {"accuracy": self.value, "low": low, "high": high}


@dataclass(frozen=True, repr=False)
class ChallengeReport:
    """Accuracy on all challenge sets.

    Attributes:
        by_phenomenon: Accuracy on each phenomenon, in the order of the grammar.
        by_distance: Accuracy on long distances by the number of intervening words, in ascending order.
    """

    by_phenomenon: tuple[Accuracy, ...]
    by_distance: tuple[Accuracy, ...]

    def __repr__(self) -> str:
        correct, total = (sum(getattr(one, name) for one in self.by_phenomenon) for name in ("correct", "total"))
        ranked = sorted(self.by_phenomenon, key=lambda one: one.value)
        weakest = "".join(f"; weakest: {one.name}, {one.value:.1%}" for one in ranked[:1])
        return f"ChallengeReport({correct:,} of {pluralize(total, 'sentence')} correct{weakest})"

    def as_dict(self) -> dict[str, Any]:
        """JSON-serializable values."""
        return {name: [accuracy.as_dict() for accuracy in part] for name, part in vars(self).items()}

    def _repr_html_(self) -> str:
        parts = {"phenomenon": self.by_phenomenon, "words between": self.by_distance}
        tables = [
            html_table(
                [
                    (one.name, f"{one.value:.1%}", "{:.1%} to {:.1%}".format(*one.interval), f"{one.total:,}")
                    for one in accuracies
                ],
                (name, "accuracy", "95% interval", "sentences"),
                numeric=[1, 3],
            )
            for name, accuracies in parts.items()
        ]
        return html_block("Challenge sets", *tables)


def training_lexicon(config: "Config") -> str:
    """Return the lexicon of the phrasebook that a model was trained on, or `basic` for other corpora or none."""
    parts = config.data.train.parts() if config.data else ()
    lexicons = [part.lexicon or "full" for part in parts if part.phrasebook]
    return lexicons[0] if lexicons else "basic"


def check_languages(config: "Config") -> None:
    """Check that a model, as far as its recipe says, translates between the languages of the challenge sets.

    Raises:
        EvaluationError: It does not.
    """
    (source, target), (ours, theirs) = config.languages, LANGUAGES
    if source not in (None, ours) or target not in (None, theirs):
        does = f"writes {target}" if target not in (None, theirs) else f"reads {source}"
        raise EvaluationError(
            f"according to its recipe, this model {does}; the challenge sets are English to German ({ours} to "
            f"{theirs})."
        )


@check_arguments()
def draw_challenge_sets(items: int = 100, seed: int = 1, lexicon: str = "full") -> list[ChallengeItem]:
    """Draw challenge sets for all phenomena.

    Words are from the lexicon, as in `generate_pairs`. Sentences are from the phrasebook's split `test`, so a model
    that was trained on the split `train` has not seen them.

    Args:
        items: Number of sentences per phenomenon; for long distances, per number of intervening phrases.
        seed: Seed of the draws.
        lexicon: Lexicon of the phrasebook.

    Raises:
        EvaluationError: `items` is below 1, or there is no such lexicon.
    """
    if items < 1:
        raise EvaluationError(f"'items' is {items}: a phenomenon needs at least one.")
    if lexicon not in LEXICONS:
        raise EvaluationError(f"there is no lexicon {lexicon!r}. Accepted: {', '.join(LEXICONS)}.")
    grammar = load_grammar(lexicon)
    random = Random(f"probe {seed}").random
    found = []
    for name in grammar.phenomena["german"]:
        for links in INTERVENING_PHRASES if name == LONG_DISTANCE else [None]:
            drawn = _draw(grammar, name, links, random)
            found += [next(drawn) for _ in range(items)]
    return found


def _draw(grammar: Grammar, name: str, links: int | None, random: Callable[[], float]) -> Iterator[ChallengeItem]:
    """Yield different items of a phenomenon."""
    phenomena = grammar.phenomena["german"]
    known: set[str] = set()
    failed = 0
    while failed < MAX_ATTEMPTS * 50:
        failed += 1
        sentence = grammar.draw_with_phenomenon(random, name, "german", links or 1)
        if not phenomena.matches(sentence, name):
            continue
        source = grammar.linearize(sentence, "english").text
        if source in known or assign_split(source) != "test":
            continue
        reference = grammar.linearize(sentence, "german")
        if links is None and max(len(split_words(source)), len(split_words(reference.text))) > MAX_WORDS:
            continue
        places = phenomena.affected_positions(sentence, name)
        if grammar.is_held_out(reference) or not places:
            continue
        known.add(source)
        failed = 0
        distance = phenomena.distance(sentence, places) if links else None
        yield ChallengeItem(name, source, reference.text, tuple(places), distance)
    raise EvaluationError(f"the grammar gives too few sentences with {name!r}: {len(known)}.")


@check_arguments()
def evaluate_challenge_sets(
    translator: "Translator",
    items: int = 100,
    seed: int = 1,
    lexicon: str = "full",
    options: "SearchOptions | None" = None,
    on_progress: ProgressCallback = no_progress,
) -> ChallengeReport:
    """Translate challenge sets and score the translations.

    Args:
        translator: Translator from English to German that was trained on the words of the lexicon.
        items: See `draw_challenge_sets`.
        seed: See `draw_challenge_sets`.
        lexicon: See `draw_challenge_sets`; the lexicon whose words the model has seen.
        options: Search options; by default the translator's.
        on_progress: Called with the number of sentences done so far.

    Raises:
        EvaluationError: See `draw_challenge_sets`.
    """
    sets = draw_challenge_sets(items, seed, lexicon)
    sources = [item.source for item in sets]
    translations = translator.translate(sources, options, attention=False, on_progress=on_progress)
    judged = [(item, item.is_correct(found.text)) for item, found in zip(sets, translations, strict=True)]
    # Distances of 1 to 4 words, 5 to 8, and so on.
    far = sorted(((item.distance - 1) // 4, right) for item, right in judged if item.distance is not None)
    return ChallengeReport(
        by_phenomenon=_count((item.phenomenon, right) for item, right in judged),
        by_distance=_count((f"{4 * group + 1}-{4 * group + 4}", right) for group, right in far),
    )


def _count(judged: Iterable[tuple[str, bool]]) -> tuple[Accuracy, ...]:
    """Accuracies by name, in the order of first appearance."""
    by_name: dict[str, list[bool]] = defaultdict(list)
    for name, right in judged:
        by_name[name].append(right)
    return tuple(Accuracy(name, len(right), sum(right)) for name, right in by_name.items())


@check_arguments()
def plot_report(report: ChallengeReport, path: Path) -> None:
    """Draw accuracy by phenomenon and by distance, with 95% intervals, into a file.

    Raises:
        MissingExtraError: The extra `analysis` is not installed.
        CorpusError, StorageError: The file cannot be written.
    """
    with require_extra("analysis", needed_by="A plot"):
        from seq2seq.analysis.plots.figure import Figure

    figure = Figure(figsize=(11, 7), layout="constrained")
    phenomena, distances = figure.subplots(1, 2, width_ratios=(1, 1))
    names, shares, arms = _percent(report.by_phenomenon)
    phenomena.barh(names, shares, xerr=arms)
    phenomena.invert_yaxis()
    phenomena.set(title="Phenomena", xlabel="accuracy (%)")
    names, shares, arms = _percent(report.by_distance)
    distances.errorbar(names, shares, yerr=arms, marker="o", capsize=3)
    between = "words between the governing word\nand the dependent"
    distances.set(title="Long distances", xlabel=between, ylabel="accuracy (%)", ylim=(0, 102))
    distances.tick_params(axis="x", rotation=60)
    with open_output(path) as file:
        figure.savefig(file.buffer, format=path.suffix[1:] or None)


def _percent(accuracies: Iterable[Accuracy]) -> tuple[tuple[str, ...], np.ndarray, np.ndarray]:
    """Names, accuracies in percent, and the lengths of their intervals below and above."""
    names, rows = zip(*((accuracy.name, (accuracy.value, *accuracy.interval)) for accuracy in accuracies), strict=True)
    share, low, high = 100 * np.transpose(rows)
    return names, share, np.maximum([share - low, high - share], 0)
