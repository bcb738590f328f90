"""Summary of a translated text: speed, and lines to check."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any

from seq2seq.inference.repetition import NO_REPEAT_NGRAM_SIZE
from seq2seq.plurals import pluralize
from seq2seq.text.cleaning import describe_character

if TYPE_CHECKING:  # the command line reads this before it needs TensorFlow
    from seq2seq.config import SearchOptions
    from seq2seq.inference.results import Translation

SHOWN_LINES = 5  # line numbers shown of each kind
SHOWN_CHARACTERS = 10
MAX_UNATTENDED_SHARE = 0.4  # of the source tokens; most lines with omitted sentences have more
MIN_TIMED_SECONDS = 10.0  # from which on compilation, which takes a few seconds, does not dominate the speed
MIN_LOW_LOSS = 0.5  # nats per token; models with a lower validation loss are certain of almost all similar text


@dataclass
class FlaggedLines:
    """Count of lines, and the line numbers of the first few."""

    count: int = 0
    first: list[int] = field(default_factory=list)

    def add(self, number: int) -> None:
        self.count += 1
        if len(self.first) < SHOWN_LINES:
            self.first.append(number)

    def __str__(self) -> str:
        more = ", ..." if self.count > len(self.first) else ""
        return f"line{'s' if self.count > 1 else ''} {', '.join(map(str, self.first))}{more}"


@dataclass
class UnknownCharacters:
    """Characters that a model or tokenizer does not know, in order of appearance, and the lines that have any."""

    lines: FlaggedLines = field(default_factory=FlaggedLines)
    characters: dict[str, None] = field(default_factory=dict)

    def add(self, number: int, characters: Iterable[str]) -> None:
        """Record the unknown characters of a line, given its number."""
        if new := dict.fromkeys(characters):
            self.lines.add(number)
            self.characters |= new

    def describe(self, owner: str) -> str:
        """One line of text about the characters that the `owner` does not know; "" if there are none."""
        if not self.characters:
            return ""
        lines = f"{pluralize(self.lines.count, 'line')} {'have' if self.lines.count > 1 else 'has'}"
        return f"{lines} characters that the {owner} does not know: {self} ({self.lines})"

    def __str__(self) -> str:
        shown = [describe_character(character) for character in islice(self.characters, SHOWN_CHARACTERS)]
        return ", ".join(shown) + (", ..." if len(self.characters) > len(shown) else "")


@dataclass
class TranslationSummary:
    """Summary of a translated text: counts, lines of several sentences, and lines that a person should check.

    Attributes:
        low_log_prob: Mean log-probability per token, in nats, below which a score is low; see `low_log_prob`.
        group_size: Maximum number of sentences in a group.
        no_repeat_ngram_size: Search option of this name.
        sentences: Number of lines that are not blank.
        blank: Number of blank lines.
        tokens: Number of tokens of the best translations, EOS included.
        seconds: Time from raw text to raw text, without loading the model.
        unknown: Characters that the model does not know.
        divided: Lines of several sentences that were translated in groups.
        low: Lines with low scores.
        unattended: Lines in which more than `MAX_UNATTENDED_SHARE` of the source tokens got hardly any attention.
        unsatisfied: Lines whose translation does not satisfy its constraints, see `Translation.unsatisfied`.
        repeating: Lines whose translation repeats itself, see `Translation.repeats`.
    """

    low_log_prob: float = -math.inf
    group_size: int = 1
    no_repeat_ngram_size: int = 0
    sentences: int = 0
    blank: int = 0
    tokens: int = 0
    seconds: float = 0.0
    unknown: UnknownCharacters = field(default_factory=UnknownCharacters)
    divided: FlaggedLines = field(default_factory=FlaggedLines)
    low: FlaggedLines = field(default_factory=FlaggedLines)
    unattended: FlaggedLines = field(default_factory=FlaggedLines)
    unsatisfied: FlaggedLines = field(default_factory=FlaggedLines)
    repeating: FlaggedLines = field(default_factory=FlaggedLines)

    def add(self, number: int, translation: "Translation") -> None:
        """Count a line, given its number."""
        self.sentences += bool(translation.source_tokens)
        self.blank += not translation.source_tokens
        self.tokens += len(translation.tokens)
        self.unknown.add(number, translation.unknown_characters)
        for lines, flagged in (
            (self.divided, translation.num_groups > 1),
            (self.low, translation.mean_log_prob < self.low_log_prob),
            (self.unattended, translation.unattended_share > MAX_UNATTENDED_SHARE),
            (self.unsatisfied, bool(translation.unsatisfied)),
            (self.repeating, translation.repeats),
        ):
            if flagged:
                lines.add(number)

    def describe(self, loading: float) -> str:
        """Text of the summary, given the seconds of loading; the speed is left out if compilation dominates it."""
        is_timed = self.seconds >= MIN_TIMED_SECONDS
        speed = f", {self.tokens / self.seconds:,.0f} tokens/s" if is_timed else ", including compiling"
        count = pluralize(self.sentences, "sentence") + (f", {pluralize(self.blank, 'blank line')}" * bool(self.blank))
        said = f"{count} in {self.seconds:.1f} s{speed}, after {loading:.1f} s of loading the model"
        flagged = {
            "with unknown characters": self.unknown.lines,
            "with low scores": self.low,
            "with unattended source text": self.unattended,
            "that do not satisfy their request": self.unsatisfied,
            "with repetition": self.repeating,
        }
        parts = [f"{lines.count:,} {what} ({lines})" for what, lines in flagged.items() if lines.count]
        is_blocked = 0 < self.no_repeat_ngram_size <= NO_REPEAT_NGRAM_SIZE
        asks = self.repeating.count and not is_blocked
        remedy = f". Against repetition: --no-repeat-ngram-size {NO_REPEAT_NGRAM_SIZE}" if asks else ""
        last = f"{said}. Lines to check: {', '.join(parts)}{remedy}" if parts else said
        return "\n".join(filter(None, (self._describe_divided(), self.unknown.describe("model"), last)))

    def _describe_divided(self) -> str:
        if not self.divided.count:
            return ""
        lines = f"{pluralize(self.divided.count, 'line')} of several sentences"
        how = "sentence by sentence" if self.group_size == 1 else f"in groups of up to {self.group_size} sentences"
        return (
            f"{lines} {'were' if self.divided.count > 1 else 'was'} translated {how} ({self.divided}); "
            "--no-split-sentences turns this off"
        )


def low_log_prob(scores: Mapping[str, Any], options: "SearchOptions") -> float:
    """The mean log-probability per token, in nats, below which the score of a translation is low.

    A model gives its own translations a higher probability than human translations. So a score is low if it is below
    the mean of the latter, measured in validation, or below -`MIN_LOW_LOSS` if that mean is higher.

    Args:
        scores: Scores in the metadata of a model directory.
        options: Search options.

    Returns:
        The threshold. It is -infinity, so that no score is low, if the model was not validated, or for sampling,
        shallow fusion and a repetition penalty, whose log-probabilities are not comparable.
    """
    loss = scores.get("validation", {}).get("valid_loss")
    if loss is None or options.sample or options.uses_fusion or options.repetition_penalty != 1.0:
        return -math.inf
    return -max(loss, MIN_LOW_LOSS)
