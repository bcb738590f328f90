"""Comparison of several systems on one test set: scores, paired significance tests, breakdowns, differing sentences."""

import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from seq2seq.arguments import AtLeastOne, NonNegative, NotEmpty, check_arguments
from seq2seq.data.progress import ProgressCallback, no_progress
from seq2seq.errors import EvaluationError, EvaluationWarning
from seq2seq.evaluation import BOOTSTRAP_SAMPLES, RANDOMIZATION_TRIALS
from seq2seq.evaluation.breakdowns import Breakdown, break_down, equal_edges, group_numbers, recall_breakdown
from seq2seq.evaluation.comparison_report import ComparedSystem, ComparisonReport
from seq2seq.evaluation.metrics import reference_sets, reference_warnings
from seq2seq.evaluation.paired_tests import MetricScores, compare_scores
from seq2seq.evaluation.scorers import ALL_METRICS, make_metric, make_word_splitter
from seq2seq.evaluation.sentence_differences import count_problems, sentence_differences
from seq2seq.evaluation.text_checks import check_no_markup, cleaning_warning, text_warnings
from seq2seq.evaluation.word_matches import match_by_frequency, match_by_position, match_words
from seq2seq.plurals import pluralize
from seq2seq.text.cleaning import clean

EXAMPLES = 10
BROKEN_DOWN = 2  # metrics by which groups of sentences are scored: intervals of more metrics take time
MAX_UNKNOWN = 0.5  # share of the references' words that a training text in the same language does not lack


@dataclass(frozen=True)
class _TestSet:
    """Cleaned texts and their words.

    Attributes:
        systems: Translations of each system, by its name.
        references: Sets of references.
        sources: The sources, if they are known.
        counts: Frequency of each word in the training text, if it is known.
        split: Function that divides a text into words.
    """

    systems: dict[str, list[str]]
    references: list[list[str]]
    sources: list[str] | None
    counts: Counter[str] | None
    split: Callable[[str], list[str]]


@check_arguments(systems="Pass {'name': translations, ...}, the baseline first.")
def compare_systems(
    systems: Mapping[str, Sequence[str]],
    references: Sequence[str] | Sequence[Sequence[str]],
    *,
    sources: Sequence[str] | None = None,
    training_lines: Iterable[str] | None = None,
    language: str | None = None,
    metrics: NotEmpty[Sequence[str]] = ALL_METRICS,
    tokenizer: str | None = None,
    bootstrap_samples: AtLeastOne = BOOTSTRAP_SAMPLES,
    randomization_trials: NonNegative = RANDOMIZATION_TRIALS,
    examples: NonNegative = EXAMPLES,
    on_progress: ProgressCallback = no_progress,
) -> ComparisonReport:
    """Compare several systems' translations of one test set with those of a baseline, the first system.

    Everything is computed from text that is cleaned first (`text.cleaning`). p-values equal those of the `sacrebleu`
    command with `--paired-bs` and `--paired-ar`; they are not corrected for the number of systems. Words are the tokens
    of BLEU's tokenizer.

    Args:
        systems: Translations of all sentences by each system, by its name; the first is the baseline.
        references: One human translation per sentence; or several lists of these.
        sources: The source of each sentence, for the breakdown by source length and for words that are copied from it.
        training_lines: Training text in the language of the references, for the breakdowns by frequency in it and by
            unknown words; without it, frequencies are those in the references.
        language: Language of the references; see `score_texts`.
        metrics: Metrics to compute, some of `BLEU`, `chrF2`, `chrF2++` and `TER`. Groups of sentences are scored with
            the first two.
        tokenizer: Tokenizer for BLEU and for words; see `score_texts`.
        bootstrap_samples: Number of samples of paired bootstrap resampling, and of all intervals.
        randomization_trials: Number of trials of paired approximate randomization; 0: no such test.
        examples: Maximum number of largest wins, and of largest losses, of each system.
        on_progress: Function called with the number of metrics that have been tested so far.

    Warns:
        EvaluationWarning: See `score_texts`; or the training text lacks most words of the references.

    Raises:
        EvaluationError: There are fewer than two systems, or texts differ in number; see also `score_texts`.
        MissingExtraError: See `score_texts`.

    Source:
        Koehn (2004) for paired bootstrap resampling, Riezler and Maxwell (2005) for approximate randomization, Post
        (2018) for sacreBLEU; Neubig et al. (2019), compare-mt, for breakdowns and examples.
    """
    sets = reference_sets(references)
    _check_texts(systems, sets, sources)
    for name in metrics:
        make_metric(name, language, tokenizer)  # report errors before anything slow
    split = make_word_splitter(language, tokenizer)
    tests = _TestSet(
        systems={name: [clean(line) for line in lines] for name, lines in systems.items()},
        references=[[clean(line) for line in lines] for lines in sets],
        sources=None if sources is None else [clean(line) for line in sources],
        counts=None if training_lines is None else Counter(w for line in training_lines for w in split(clean(line))),
        split=split,
    )
    for warning in _warnings(systems, sets, language, metrics, tokenizer, tests):
        warnings.warn(warning, EvaluationWarning, stacklevel=3)
    scores = compare_scores(
        tests.systems,
        tests.references,
        metrics,
        language,
        tokenizer,
        bootstrap_samples,
        randomization_trials,
        on_progress,
    )
    return ComparisonReport(
        sentences=len(sets[0]),
        references=len(sets),
        bootstrap_samples=bootstrap_samples,
        randomization_trials=randomization_trials,
        systems=tuple(_compared_systems(tests, scores, examples)),
        breakdowns=(*_by_sentence(tests, scores, bootstrap_samples), *_by_word(tests, bootstrap_samples)),
    )


def _check_texts(
    systems: Mapping[str, Sequence[str]], sets: Sequence[Sequence[str]], sources: Sequence[str] | None
) -> None:
    if len(systems) < 2:
        raise EvaluationError(
            f"{pluralize(len(systems), 'system')} to compare: expected two or more, the baseline first. To score a "
            "single one: seq2seq evaluate --hypotheses FILE --reference FILE (score_texts in Python)."
        )
    first = next(iter(systems))
    size = len(systems[first])
    if not size:
        raise EvaluationError(f"there is nothing to compare: '{first}' has no lines.")
    named = {f"'{name}'": lines for name, lines in systems.items()}
    named |= {f"reference {number}": lines for number, lines in enumerate(sets, start=1)}
    named |= {} if sources is None else {"the source": sources}
    for name, lines in named.items():
        if len(lines) != size:
            raise EvaluationError(
                f"'{first}' has {pluralize(size, 'line')}, but {name} has {len(lines):,}. Line N of one must "
                "correspond to line N of the other."
            )
        check_no_markup(lines, name)


def _warnings(
    systems: Mapping[str, Sequence[str]],
    sets: Sequence[Sequence[str]],
    language: str | None,
    metrics: Sequence[str],
    tokenizer: str | None,
    tests: _TestSet,
) -> Iterator[str]:
    """Warnings about texts that make scores meaningless."""
    if found := cleaning_warning([line for lines in systems.values() for line in lines], sets):
        yield found
    for name, lines in systems.items():
        yield from text_warnings(lines, f"translations of '{name}'", tokenizer)
    yield from reference_warnings(sets, language, metrics, tokenizer)
    if tests.counts is not None:
        words = [word for lines in tests.references for line in lines for word in tests.split(line)]
        unknown = sum(word not in tests.counts for word in words)
        if unknown > MAX_UNKNOWN * len(words):
            yield (
                f"the training text lacks {unknown:,} of the {len(words):,} words of the references. It should be the "
                "training text in the language of the references, and not tokenized"
            )


def _by_sentence(tests: _TestSet, scores: Mapping[str, MetricScores], samples: int) -> Iterator[Breakdown]:
    """Breakdowns by groups of sentences: by length, and by unknown words if there is a training text."""
    if tests.sources is None:
        lengths, of = [len(tests.split(line)) for line in tests.references[0]], "reference"
    else:
        lengths, of = [len(tests.split(line)) for line in tests.sources], "source"
    kinds = [("length", f"By {of} length", f"{of} length in words", group_numbers(lengths, equal_edges(lengths)))]
    if tests.counts is not None:
        unknown = [
            sum(word not in tests.counts for word in tests.split(reference)) for reference in tests.references[0]
        ]
        groups = group_numbers(unknown, (1, 2))
        title = "By unknown words"
        kinds.append(("unknown_words", title, "unknown words in the reference", groups))
    chosen = dict(islice(scores.items(), BROKEN_DOWN))
    for key, title, property_name, groups in kinds:
        yield from break_down(key, title, property_name, groups, chosen, samples)


def _by_word(tests: _TestSet, samples: int) -> Iterator[Breakdown]:
    """Recall of reference words by frequency and by position; those of several references are pooled."""
    expected = [[tests.split(line) for line in lines] for lines in tests.references]
    where = "training text"
    counts = tests.counts
    if counts is None:
        counts, where = Counter(word for lines in expected for words in lines for word in words), "references"
    by_frequency, by_position = {}, {}
    for name, lines in tests.systems.items():
        words = [tests.split(line) for line in lines]
        matches = [match for one in expected for match in match_words(words, one)]
        by_frequency[name] = match_by_frequency(matches, counts, samples=samples, measures=["recall"])
        by_position[name] = match_by_position(words, expected, samples)
    yield recall_breakdown("frequency", "By word frequency", f"frequency in the {where}", "words", by_frequency)
    yield recall_breakdown(
        "position", "By position in the sentence", "position in the reference", "position", by_position
    )


def _compared_systems(tests: _TestSet, scores: Mapping[str, MetricScores], examples: int) -> Iterator[ComparedSystem]:
    chrf = make_metric("chrF2")
    counted = scores["chrF2"].statistics if "chrF2" in scores else chrf.keep_statistics(tests.systems, tests.references)
    known = {name: [chrf.score([one]) for one in statistics] for name, statistics in counted.items()}
    baseline = next(iter(tests.systems))
    for name, texts in tests.systems.items():
        differences = sentence_differences(
            tests.systems[baseline], texts, tests.references, tests.sources, (known[baseline], known[name])
        )
        wins = [difference for difference in differences if difference.gain > 0]
        losses = [difference for difference in reversed(differences) if difference.gain < 0]
        yield ComparedSystem(
            name=name,
            scores=tuple(one.scores[name] for one in scores.values()),
            problems=count_problems(texts, tests.references, tests.sources, tests.split),
            different=len(differences),
            better=len(wins),
            worse=len(losses),
            wins=tuple(wins[:examples]),
            losses=tuple(losses[:examples]),
        )
