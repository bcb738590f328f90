"""Translation of text, in order: tokenize, sort by length, search in batches, detokenize."""

import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property, partial
from itertools import count, islice
from pathlib import Path
from textwrap import shorten
from typing import Any, Self

import numpy as np

from seq2seq.arguments import AtLeastOne, Pair, check_arguments
from seq2seq.config import Precision, SearchOptions
from seq2seq.data.padding import batches_by_length
from seq2seq.data.progress import ProgressCallback, no_progress
from seq2seq.data.tokenizer import EOS_ID, UNK_ID, Tokenizer, Tokenizers
from seq2seq.devices.device import search_batch_limits, set_tf32, set_up_device
from seq2seq.devices.out_of_memory import BatchSplitter
from seq2seq.inference.calibration import TokenProbabilities, load_calibration
from seq2seq.inference.confidence import Calibration
from seq2seq.inference.copies import reduce_with_model
from seq2seq.inference.decision import decide
from seq2seq.inference.repetition import repeats
from seq2seq.inference.results import Translation, blank_translation, join_segments, make_hypotheses
from seq2seq.inference.searcher import Searcher, length_limits
from seq2seq.inference.segments import Part, SourceLines, divide_line
from seq2seq.inference.shortlist import Shortlist
from seq2seq.inference.step_factory import StepSourceFactory
from seq2seq.inference.step_sources import Batch, StepSource
from seq2seq.model_directory.model import Origin, load_model, read_origin, saved_model
from seq2seq.model_directory.pretrained import find_model
from seq2seq.models.base import check_tokenizers
from seq2seq.models.translation import Seq2Seq
from seq2seq.notebook_html import html_facts
from seq2seq.plurals import pluralize

CHUNK_SENTENCES = 2_000  # sentences in memory at once when streaming


class Translator:
    """Translate text with a model.

    A batch that does not fit into memory is searched in halves, and later batches are smaller. Threads may share a
    translator; on a GPU, models that run at the same time must have the same precision (`set_tf32`).

    Args:
        model: Model with weights loaded.
        source_tokenizer: Source tokenizer that it was trained with.
        target_tokenizer: Target tokenizer that it was trained with.
        options: Default search options.
        shortlist: Shortlist used by `options.shortlist`; by default that of the directory.
        folder: Model directory, used by `options.int8` and `options.shortlist`.
        source_lines: Statistics of the lines that the model was trained on, which determine how much it translates at
            once.
        on_warning: Called with a warning message when the first batch does not fit into memory; by default a
            `UserWarning`.

    Raises:
        ArgumentError: A tokenizer's vocabulary size differs from the model's.
    """

    @check_arguments()
    def __init__(
        self,
        model: Seq2Seq,
        source_tokenizer: Tokenizer,
        target_tokenizer: Tokenizer,
        options: SearchOptions | None = None,
        shortlist: Shortlist | None = None,
        folder: Path | None = None,
        source_lines: SourceLines | None = None,
        on_warning: Callable[[str], None] = warnings.warn,
    ) -> None:
        self.model = model
        self.tokenizers = Tokenizers(source_tokenizer, target_tokenizer)
        check_tokenizers(model, self.tokenizers)
        self.options = options or SearchOptions()
        self.source_lines = source_lines or SourceLines()
        self.step_sources = StepSourceFactory(model, self.tokenizers, shortlist, folder)
        self.on_warning = on_warning
        self._memory = BatchSplitter()  # in the unit of `batch_tokens`
        self.searcher = Searcher()
        self._origin: Origin | None = None  # where `load` read the model
        self.calibration: Calibration | None = None

    @classmethod
    @check_arguments()
    def load(
        cls, path: str | Path, precision: Precision = "float32", on_warning: Callable[[str], None] = warnings.warn
    ) -> Self:
        """Read a model directory; its recipe's `search` section gives the default options.

        Args:
            path: Model directory, or the name of a pretrained model, such as `phrasebook-en-de`.
            precision: `float32` keeps translations independent of their batch; the others are faster on a GPU.
            on_warning: See the constructor.

        Raises:
            ConfigError: `tf32` is requested and no GPU supports it.
            ModelDirectoryError: See `load_model`.
        """
        set_up_device()
        set_tf32(precision)
        folder = find_model(path)
        origin = read_origin(folder)
        model, tokenizers, config = load_model(folder, precision)
        lines = SourceLines.from_metadata(origin.metadata, config.languages[0])
        translator = cls(
            model, *tokenizers, options=config.search, folder=folder, source_lines=lines, on_warning=on_warning
        )
        translator._origin = origin
        return translator

    def __reduce__(self) -> tuple[Any, ...]:
        """Support `pickle` and `copy.deepcopy`; graphs are traced and language models read from disk again."""
        files = self.step_sources.shortlist, self.step_sources.folder
        parts = (*self.tokenizers, self.options, *files, self.source_lines, self.on_warning)
        return reduce_with_model(self, *parts, _origin=self._origin, calibration=self.calibration)

    @check_arguments()
    def save(self, directory: str | Path) -> Path:
        """Write a model directory that `load` reads: model, tokenizers, default options and shortlist.

        If the weights are still those that `load` read, recipe, corpora, scores and 8-bit decoder are kept. Otherwise,
        the recipe has the model's sections and no corpora, see `save_model`.

        Args:
            directory: A new or empty directory. It is written completely or not at all.

        Returns:
            `directory`.

        Raises:
            ModelDirectoryError: The directory is not empty.
            StorageError: It cannot be written.
        """
        directory = Path(directory)
        with saved_model(directory, self.model, self.tokenizers, self.options, self._origin) as partial:
            self.step_sources.save(partial)
        return directory

    def __repr__(self) -> str:
        facts = self._facts()
        return f"{type(self).__name__}({facts['model']}, vocabulary {facts['vocabulary']}, {facts['search']})"

    def _repr_html_(self) -> str:
        return html_facts("Translator", self._facts())

    def _facts(self) -> dict[str, str]:
        penalty = self.options.length_penalty
        normalised = penalty if isinstance(penalty, str) else f"{penalty:g}"
        return {
            "model": pluralize(self.model.count_params(), "parameter"),
            "vocabulary": self.tokenizers.describe_sizes(),
            "search": f"beam {self.options.beam_size}, length penalty {normalised}",
        }

    @check_arguments()
    def check(self, options: SearchOptions) -> None:
        """Check that this model supports the options.

        Raises:
            ConfigError, CorpusError, ModelDirectoryError, MissingExtraError: See `StepSourceFactory.get`; or there is
                no calibration for `confidence`.
        """
        self._steps(options)

    def _steps(self, options: SearchOptions) -> StepSource:
        if options.confidence and self.calibration is None:
            self.calibration = load_calibration(self.step_sources.directory("confidence"))
        return self.step_sources.get(options)

    @check_arguments(pairs="Pass list(zip(sources, references)).")
    def calibrate(self, pairs: Sequence[Pair]) -> Calibration:
        """Fit the temperature of `confidence` to sentence pairs that the model was not trained on.

        This translator uses it; `seq2seq calibrate` stores it with a model.

        Args:
            pairs: Raw source and target; further elements are ignored.

        Raises:
            EvaluationError: No pair has text on both sides.
        """
        ids = [tokens.encode_batch([pair[side] for pair in pairs]) for side, tokens in enumerate(self.tokenizers)]
        self.calibration = self.probabilities.fit(*ids)
        return self.calibration

    @cached_property
    def probabilities(self) -> TokenProbabilities:
        """Teacher-forced probabilities of the model."""
        return TokenProbabilities(self.model)

    @check_arguments()
    def divide(self, lines: Sequence[str], options: SearchOptions) -> list[list[Part]]:
        """The units in which each line is translated; none for a line without tokens."""
        encoded = self.tokenizers.source.encode_batch(lines)
        divide = partial(divide_line, tokenizer=self.tokenizers.source, source_lines=self.source_lines, options=options)
        return [list(divide(*line)) for line in zip(count(), lines, encoded)]

    @check_arguments()
    def translate(
        self,
        sentences: Iterable[str],
        options: SearchOptions | None = None,
        *,
        attention: bool = True,
        on_progress: ProgressCallback = no_progress,
    ) -> list[Translation]:
        """Translate sentences; result N is the translation of sentence N.

        The translation of a text does not depend on the other texts; a sampled one depends only on the seed and the
        text. A text without tokens, such as a blank one, gets an empty translation. A text of more sentences than the
        model was trained to read at once is translated in groups of sentences (`Translation.num_groups`). A group with
        too many tokens is translated in segments (`Translation.num_segments`) or cut off
        (`Translation.truncated_tokens`). The options `split_sentences`, `max_source_tokens` and `long_lines` control
        this; length limits apply to each segment.

        Args:
            sentences: Raw texts of one or several sentences each.
            options: Search options; by default the translator's.
            attention: Keep attention weights, which take most of the memory.
            on_progress: Called with the number of sentences done so far.

        Raises:
            ConfigError, CorpusError, ModelDirectoryError, MissingExtraError: See `check`.
            OutOfMemoryError: A sentence does not fit into memory, even alone.
        """
        options = options or self.options
        steps = self._steps(options)
        set_tf32(self.model.precision)
        sentences = list(sentences)
        lines = self.divide(sentences, options)
        parts = [part for line in lines for part in line]
        found: dict[int, Translation] = {}  # by the place of its part
        waiting, done = [len(line) for line in lines], lines.count([])
        tokens, hypotheses = search_batch_limits(options, self.model.output_embedding.vocabulary_size, set_up_device())

        def fitting(length: int) -> int:
            return min(tokens // (length + 1), hypotheses) // options.num_hypotheses

        for batch in batches_by_length([len(part.ids) for part in parts], fitting):
            for places, answers in self._memory.run(
                batch,
                lambda some: self._search(steps, [parts[place] for place in some], options, attention),
                size=lambda some: len(some) * options.num_hypotheses * _longest(parts[place] for place in some),
                explain=lambda some, shortage: _explain([parts[place] for place in some], options, shortage),
                on_warning=self.on_warning,
            ):
                for place, translation in zip(places, answers, strict=True):
                    found[place] = translation
                    waiting[parts[place].line] -= 1
                    done += not waiting[parts[place].line]
                on_progress(done)
        in_order = (found[place] for place in range(len(parts)))
        results = []
        for sentence, line in zip(sentences, lines, strict=True):
            result = join_segments(list(islice(in_order, len(line)))) if line else blank_translation()
            groups, truncated = max((part.group for part in line), default=0) + 1, sum(part.truncated for part in line)
            looping = repeats(result.text, sentence)
            results.append(replace(result, num_groups=groups, truncated_tokens=truncated, repeats=looping))
        return results

    @check_arguments()
    def translate_stream(
        self,
        sentences: Iterable[str],
        options: SearchOptions | None = None,
        *,
        chunk: AtLeastOne = CHUNK_SENTENCES,
        attention: bool = False,
        on_progress: ProgressCallback = no_progress,
    ) -> Iterator[Translation]:
        """Translate any number of sentences in order, holding at most `chunk` of them in memory; see `translate`."""
        iterator = iter(sentences)
        before = 0

        def advance(done: int) -> None:
            on_progress(before + done)

        while part := list(islice(iterator, chunk)):
            yield from self.translate(part, options, attention=attention, on_progress=advance)
            before += len(part)

    def _search(
        self, steps: StepSource, parts: Sequence[Part], options: SearchOptions, attention: bool
    ) -> list[Translation]:
        source, target = self.tokenizers
        batch, keep_weights = Batch([part.ids for part in parts]), attention or options.unk_handling == "replace"
        limits = length_limits(np.array([len(part.ids) + 1 for part in parts]), options)
        result = self.searcher.search(steps, batch, limits, options, keep_weights)
        translations = []
        for row, part in enumerate(parts):
            tokens, decode = source.pieces([*part.ids, EOS_ID]), partial(self._text, part, options)
            hypotheses = decide(make_hypotheses(result, row, target, len(part.ids) + 1, decode, attention), options)
            unknown = self._unknown_surfaces(part)
            characters = tuple(dict.fromkeys(letter for surface in unknown for letter in surface))
            translations.append(
                Translation(tokens, hypotheses, unknown_tokens=len(unknown), unknown_characters=characters)
            )
        if options.confidence and self.calibration is not None:
            temperature = self.calibration.temperature
            return self.probabilities.add_confidence(translations, [part.ids for part in parts], target, temperature)
        return translations

    def _unknown_surfaces(self, part: Part) -> list[str]:
        """The text of each unknown token."""
        number = part.ids.count(UNK_ID)
        if part.surfaces is None:
            return self.tokenizers.source.unknown_surfaces(part.text)[:number] if number else []
        return [surface.strip() for token, surface in zip(part.ids, part.surfaces, strict=True) if token == UNK_ID]

    def _text(self, part: Part, options: SearchOptions, ids: list[int], weights: np.ndarray) -> str:
        if options.unk_handling == "replace" and UNK_ID in ids:
            surfaces = part.surfaces or self.tokenizers.source.surfaces(part.text)[: len(part.ids)]
            unknown = [_most_attended(surfaces, weights[t]) for t, token in enumerate(ids) if token == UNK_ID]
            return self.tokenizers.target.decode_with_unknowns(ids, unknown)
        return self.tokenizers.target.decode(ids)


def _most_attended(surfaces: Sequence[str], weights: np.ndarray) -> str:
    """Text of the source token with the largest weight among those that have text; EOS, the last, has none."""
    texts = list(surfaces)
    for s in reversed(range(len(texts) - 1)):
        texts[s] = texts[s] or texts[s + 1]  # of the bytes of a character, the last one has its text
    candidates = [s for s, text in enumerate(texts) if text.strip()]
    return texts[max(candidates, key=lambda s: weights[s])] if candidates else " ⁇ "


def _longest(parts: Iterable[Part]) -> int:
    """Source tokens of the longest part, EOS included."""
    return max(len(part.ids) for part in parts) + 1


def _explain(parts: Sequence[Part], options: SearchOptions, shortage: str) -> str:
    """Explanation for parts that did not fit into memory together."""
    key = ("candidates" if options.candidates else "n_best") if options.sample else "beam_size"
    length, hypotheses = _longest(parts), f"'{key}' {options.num_hypotheses}"
    if len(parts) > 1:
        return (
            f"{shortage} at a batch of {len(parts)} sentences of up to {length} tokens with {hypotheses}: smaller "
            f"batches from now on. A 'search.batch_tokens' (--batch-tokens) well below "
            f"{len(parts) * length * options.num_hypotheses:,} saves the attempts that fail."
        )
    fewer = f"'{key}', or " if options.num_hypotheses > 1 else ""
    return (
        f"{shortage} at one sentence of {length} tokens with {hypotheses}, alone in its batch: "
        f"{shorten(parts[0].text, 60)!r}. Lower {fewer}'max_source_tokens' below {length}."
    )
