"""Translation of text, in order: tokenize, sort by length, search in batches, detokenize."""

import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, Self

import numpy as np

from seq2seq.arguments import AtLeastOne, Pair, check_arguments
from seq2seq.config import Precision, SearchOptions
from seq2seq.data.progress import ProgressCallback, no_progress
from seq2seq.data.tokenizer import Tokenizer, Tokenizers
from seq2seq.devices.device import search_batch_limits, set_tf32, set_up_device
from seq2seq.devices.out_of_memory import BatchSplitter
from seq2seq.errors import ArgumentError, ConfigError
from seq2seq.inference.calibration import TemperatureScaling, load_calibration
from seq2seq.inference.confidence import Calibration
from seq2seq.inference.copies import reduce_with_models
from seq2seq.inference.demand_compiler import DemandCompiler
from seq2seq.inference.members import Paths, load_members
from seq2seq.inference.parts import decide_part, join_parts, read_result
from seq2seq.inference.requests import Request, as_requests, divide_requests
from seq2seq.inference.reranker import Reranker, Rerankers
from seq2seq.inference.results import Translation
from seq2seq.inference.scorer import Scorer
from seq2seq.inference.searcher import Searcher, length_limits
from seq2seq.inference.segments import Part, SourceLines, explain_shortage, longest_part
from seq2seq.inference.shortlist import Shortlist
from seq2seq.inference.step_factory import StepSourceFactory
from seq2seq.inference.step_sources import AutomataSteps, Batch, StepSource
from seq2seq.inference.teacher_forcing import TeacherForcing
from seq2seq.model_directory.model import Origin, saved_model
from seq2seq.models.base import check_tokenizers
from seq2seq.models.translation import Seq2Seq
from seq2seq.notebook_html import html_facts
from seq2seq.plurals import pluralize

CHUNK_SENTENCES = 2_000  # sentences in memory at once when streaming


class Translator:
    """Translate text with a model, or with an ensemble of models, whose predictions are averaged.

    A batch that does not fit into memory is searched in halves, and later batches are smaller. Threads may share a
    translator; on a GPU, models that run at the same time must have the same precision (`set_tf32`).

    Args:
        model: Model with weights loaded; or several with the same tokenizers, an ensemble.
        source_tokenizer: Source tokenizer that it was trained with.
        target_tokenizer: Target tokenizer that it was trained with.
        options: Default search options.
        shortlist: Shortlist used by `options.shortlist`; by default that of the (first) directory.
        folder: Model directory, used by `options.int8` and `options.shortlist`; or one for each model.
        source_lines: Statistics of the lines that the model was trained on, which determine how much it translates at
            once.
        on_warning: Called with a warning message when the first batch does not fit into memory; by default a
            `UserWarning`.

    Raises:
        ArgumentError: A tokenizer's vocabulary size differs from a model's; there is no model; or there are folders for
            another number of models.

    Attributes:
        models: All models.
        model: The first model.
    """

    @check_arguments()
    def __init__(
        self,
        model: Seq2Seq | Sequence[Seq2Seq],
        source_tokenizer: Tokenizer,
        target_tokenizer: Tokenizer,
        options: SearchOptions | None = None,
        shortlist: Shortlist | None = None,
        folder: Path | Sequence[Path] | None = None,
        source_lines: SourceLines | None = None,
        on_warning: Callable[[str], None] = warnings.warn,
    ) -> None:
        self.models = (model,) if isinstance(model, Seq2Seq) else tuple(model)
        if not self.models:
            raise ArgumentError("model: expected at least one model, found none.")
        self.model = self.models[0]
        self.tokenizers = Tokenizers(source_tokenizer, target_tokenizer)
        for one in self.models:
            check_tokenizers(one, self.tokenizers)
        self.options = options or SearchOptions()
        self.source_lines = source_lines or SourceLines()
        folders = () if folder is None else (folder,) if isinstance(folder, Path) else tuple(folder)
        if folders and len(folders) != len(self.models):
            raise ArgumentError(
                f"folder: expected one for each of {pluralize(len(self.models), 'model')}, found {len(folders)}."
            )
        self.step_sources = StepSourceFactory(self.models, self.tokenizers, shortlist, folders)
        self.on_warning = on_warning
        self._memory = BatchSplitter()  # in the unit of `batch_tokens`
        self.searcher = Searcher()
        self._compiler = DemandCompiler(target_tokenizer)
        self._rerankers = Rerankers(self.tokenizers, self.model.precision, on_warning)
        self._lock = threading.Lock()
        self._scorer: Scorer | None = None
        self._origin: Origin | None = None  # where `load` read the (first) model
        self.calibration: Calibration | None = None

    @classmethod
    @check_arguments()
    def load(
        cls, path: Paths, precision: Precision = "float32", on_warning: Callable[[str], None] = warnings.warn
    ) -> Self:
        """Read a model directory; its recipe's `search` section gives the default options.

        Args:
            path: Model directory, or the name of a pretrained model, such as `phrasebook-en-de`. Several are an
                ensemble; default options, shortlist and statistics of lines are then those of the first.
            precision: `float32` keeps translations independent of their batch; the others are faster on a GPU.
            on_warning: See the constructor.

        Raises:
            ArgumentError: There is no path.
            ConfigError: The tokenizers of an ensemble differ; or `tf32` is requested and no GPU supports it.
            ModelDirectoryError: See `load_model`.
        """
        models, tokenizers, config, folders, origin = load_members(path, precision)
        lines = SourceLines.from_metadata(origin.metadata, config.languages[0])
        translator = cls(
            models, *tokenizers, options=config.search, folder=folders, source_lines=lines, on_warning=on_warning
        )
        translator._origin = origin
        return translator

    @property
    def scorer(self) -> Scorer:
        """A scorer of given translations, with the same models."""
        with self._lock:
            if self._scorer is None:
                self._scorer = Scorer(self.step_sources, self.options, self.on_warning)
            return self._scorer

    def __reduce__(self) -> tuple[Any, ...]:
        """Support `pickle` and `copy.deepcopy`; graphs are traced and language models read from disk again."""
        files = self.step_sources.shortlist, self.step_sources.folders
        parts = (*self.tokenizers, self.options, *files, self.source_lines, self.on_warning)
        return reduce_with_models(self, self.models, *parts, _origin=self._origin, calibration=self.calibration)

    @check_arguments()
    def save(self, directory: str | Path) -> Path:
        """Write a model directory that `load` reads: model, tokenizers, default options and shortlist.

        If the weights are still those that `load` read, recipe, corpora, scores, 8-bit decoder and stored calibration
        are kept. Otherwise, the recipe has the model's sections and no corpora, see `save_model`. What `calibrate` has
        fitted is not written; `seq2seq calibrate` stores it.

        Args:
            directory: A new or empty directory. It is written completely or not at all.

        Returns:
            `directory`.

        Raises:
            ArgumentError: The translator is an ensemble.
            ModelDirectoryError: The directory is not empty.
            StorageError: It cannot be written.
        """
        if len(self.models) > 1:
            raise ArgumentError(
                f"a directory holds one model, and this is an ensemble of {len(self.models)}. Keep "
                "the directories of its models."
            )
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
            "model": ", ".join(pluralize(model.count_params(), "parameter") for model in self.models),
            "vocabulary": self.tokenizers.describe_sizes(),
            "search": f"beam {self.options.beam_size}, length penalty {normalised}",
        }

    @check_arguments()
    def check(self, options: SearchOptions) -> None:
        """Check that this model supports the options.

        Raises:
            ConfigError, CorpusError, ModelDirectoryError, MissingExtraError: See `StepSourceFactory.get` and
                `Reranker.load`; or there is no calibration for `confidence`, or an ensemble.
        """
        self._steps(options)
        self._reranker(options)

    def _steps(self, options: SearchOptions) -> StepSource:
        if options.confidence:
            self._check_single("confidence")
            if self.calibration is None:
                self.calibration = load_calibration(self.step_sources.directory("confidence"))
        return self.step_sources.get(options)

    def _check_single(self, option: str) -> None:
        if len(self.models) > 1:
            raise ConfigError(f"'{option}' is calibrated for a single model, but this is an ensemble. Leave it out.")

    @check_arguments(pairs="Pass list(zip(sources, references)).")
    def calibrate(self, pairs: Sequence[Pair]) -> Calibration:
        """Fit the temperature of `confidence` to sentence pairs that the model was not trained on.

        This translator uses it; `seq2seq calibrate` stores it with a model.

        Args:
            pairs: Raw source and target; further elements are ignored.

        Raises:
            ConfigError: The translator is an ensemble.
            EvaluationError: No pair has text on both sides.
        """
        self._check_single("confidence")
        ids = [tokens.encode_batch([pair[side] for pair in pairs]) for side, tokens in enumerate(self.tokenizers)]
        self.calibration = self.temperature_scaling.fit(*ids)
        return self.calibration

    @cached_property
    def temperature_scaling(self) -> TemperatureScaling:
        """Calibration of the (first) model at any temperature."""
        return TemperatureScaling(TeacherForcing(self.model, self.on_warning))

    @check_arguments()
    def divide(self, lines: Sequence[str | Request], options: SearchOptions) -> list[list[Part]]:
        """The units in which each line is translated, with the demands on each; none for a line without tokens."""
        glossary = self.step_sources.glossary(options)
        return divide_requests(as_requests(lines), self.tokenizers.source, self.source_lines, options, glossary)

    @check_arguments()
    def translate(
        self,
        sentences: Iterable[str | Request],
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
            sentences: Raw texts of one or several sentences each, or requests, which also say what the translation must
                begin with, contain or avoid. What cannot be done is in `Translation.unsatisfied`.
            options: Search options; by default the translator's.
            attention: Keep attention weights, which take most of the memory.
            on_progress: Called with the number of sentences done so far.

        Raises:
            ConfigError, CorpusError, ModelDirectoryError, MissingExtraError: See `check`.
            OutOfMemoryError: A sentence does not fit into memory, even alone.
        """
        options = options or self.options
        steps, reranker = self._steps(options), self._reranker(options)
        set_tf32(self.model.precision)
        requests = as_requests(sentences)
        lines = self.divide(requests, options)
        parts = [part for line in lines for part in line]
        found: dict[int, Translation] = {}  # by the place of its part
        waiting, done = [len(line) for line in lines], lines.count([])
        tokens, hypotheses = search_batch_limits(options, self.model.output_embedding.vocabulary_size, set_up_device())

        def fitting(length: int) -> int:
            return min(tokens // (length + 1), hypotheses) // options.num_hypotheses

        for batch in self._compiler.batches(parts, fitting):
            for places, answers in self._memory.run(
                batch,
                lambda some: self._search(steps, [parts[place] for place in some], options, attention),
                size=lambda some: len(some) * options.num_hypotheses * longest_part(parts[place] for place in some),
                explain=lambda some, shortage: explain_shortage([parts[place] for place in some], options, shortage),
                on_warning=self.on_warning,
            ):
                for place, translation in zip(places, answers, strict=True):
                    found[place] = translation
                    waiting[parts[place].line] -= 1
                    done += not waiting[parts[place].line]
                on_progress(done)
        if reranker:
            kept = [found[place] for place in range(len(parts))]
            sources = [part.source_text(self.tokenizers.source) for part in parts]
            reranked = zip(parts, reranker.rerank(sources, kept, options), strict=True)
            found = {place: decide_part(*one, options) for place, one in enumerate(reranked)}
        in_order = (found[place] for place in range(len(parts)))
        return [join_parts(*line, list(islice(in_order, len(line[1])))) for line in zip(requests, lines, strict=True)]

    @check_arguments()
    def translate_stream(
        self,
        sentences: Iterable[str | Request],
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

    def _reranker(self, options: SearchOptions) -> Reranker | None:
        languages = self._origin.config.languages if self._origin else (self.source_lines.language, None)
        return self._rerankers.get(options, languages)

    def _search(
        self, steps: StepSource, parts: Sequence[Part], options: SearchOptions, attention: bool
    ) -> list[Translation]:
        batch, keep_weights = Batch([part.ids for part in parts]), attention or options.unk_handling == "replace"
        if (automata := self._compiler.stack(parts)) is not None:
            batch, steps = batch._replace(automata=automata), AutomataSteps(steps)
        limits = length_limits(np.array([len(part.ids) + 1 for part in parts]), options)
        result = self.searcher.search(steps, batch, limits, options, keep_weights)
        translations = read_result(result, parts, self.tokenizers, options, attention)
        if not options.uses_reranking:
            translations = [decide_part(*one, options) for one in zip(parts, translations, strict=True)]
        if options.confidence and self.calibration is not None:
            read = [part.ids for part in parts], self.tokenizers.target, self.calibration.temperature
            return self.temperature_scaling.add_confidence(translations, *read)
        return translations
