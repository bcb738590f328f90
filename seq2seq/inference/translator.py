"""Translation of text, in order: tokenize, sort by length, search in batches, detokenize."""

import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Self

from seq2seq.arguments import AtLeastOne, Pair, check_arguments
from seq2seq.config import Precision, SearchOptions
from seq2seq.data.progress import ProgressCallback, no_progress, run_in_chunks
from seq2seq.data.tokenizer import Tokenizer, Tokenizers
from seq2seq.devices.device import set_tf32
from seq2seq.errors import ArgumentError, ConfigError
from seq2seq.inference.calibration import TemperatureScaling, load_calibration
from seq2seq.inference.confidence import Calibration
from seq2seq.inference.copies import reduce_with_models
from seq2seq.inference.members import Paths, load_members
from seq2seq.inference.parts import decide_parts, join_parts
from seq2seq.inference.pipeline import PartSearcher, Search, Stage, translate_parts
from seq2seq.inference.requests import Request, as_requests, divide_requests
from seq2seq.inference.reranker import Rerankers
from seq2seq.inference.results import Translation
from seq2seq.inference.scorer import Scorer
from seq2seq.inference.searcher import Searcher
from seq2seq.inference.segments import Part, SourceLines
from seq2seq.inference.shortlist import Shortlist
from seq2seq.inference.step_factory import StepSourceFactory
from seq2seq.model_directory.model import Origin, saved_model
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
        scorer: Scorer of given translations, with the same models.
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
        self.tokenizers = Tokenizers(source_tokenizer, target_tokenizer)
        folders = () if folder is None else (folder,) if isinstance(folder, Path) else tuple(folder)
        self.step_sources = StepSourceFactory(self.models, self.tokenizers, shortlist, folders)
        self.model = self.models[0]
        self.options = options or SearchOptions()
        self.source_lines = source_lines or SourceLines()
        self.on_warning = on_warning
        self.searcher = Searcher()
        self.scorer = Scorer(self.step_sources, self.options, on_warning)
        self._part_searcher = PartSearcher(self.tokenizers, on_warning)
        self._rerankers = Rerankers(self.tokenizers, self.model.precision, on_warning)
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
        self._search(options, attention=False)
        self._stages(options)

    def _search(self, options: SearchOptions, attention: bool) -> Search:
        steps, search = self.step_sources.get(options), self._part_searcher.search
        return partial(search, searcher=self.searcher, steps=steps, options=options, attention=attention)

    def _stages(self, options: SearchOptions) -> list[Stage]:
        """What is done with the translations that a search has found, in order."""
        stages: list[Stage] = []
        source, target = self.tokenizers
        languages = self._origin.config.languages if self._origin else (self.source_lines.language, None)
        if reranker := self._rerankers.get(options, languages):
            stages.append(
                lambda parts, found: reranker.rerank([part.source_text(source) for part in parts], found, options)
            )
        stages.append(partial(decide_parts, options=options))  # later stages see the hypotheses that are output
        if options.confidence:
            self._check_single("confidence")
            if self.calibration is None:
                self.calibration = load_calibration(self.step_sources.directory("confidence"))
            add, temperature = self.temperature_scaling.add_confidence, self.calibration.temperature
            stages.append(lambda parts, found: add(found, [part.ids for part in parts], target, temperature))
        return stages

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
        return TemperatureScaling(self.scorer.members[0])

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
        search, stages = self._search(options, attention), self._stages(options)
        set_tf32(self.model.precision)
        requests = as_requests(sentences)
        lines = self.divide(requests, options)
        found = translate_parts(lines, search, stages, on_progress)
        glossary = self.step_sources.glossary(options)
        return [join_parts(*line, glossary) for line in zip(requests, lines, found, strict=True)]

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
        """Translate any number of sentences in order, holding at most `chunk` of them in memory; see `translate`.

        The translations of all sentences before an error of `sentences` are yielded before it is raised.
        """

        def translate(some: list[str | Request], advance: ProgressCallback) -> list[Translation]:
            return self.translate(some, options, attention=attention, on_progress=advance)

        return run_in_chunks(sentences, chunk, translate, on_progress)
