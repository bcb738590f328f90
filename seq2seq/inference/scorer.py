"""Scores of given translations: teacher-forced log-probabilities, normalised as in a search."""

import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from seq2seq.arguments import AtLeastOne, Pair, check_arguments
from seq2seq.config import LanguageModelConfig, Precision, SearchOptions
from seq2seq.data.padding import pad
from seq2seq.data.progress import ProgressCallback, no_progress, run_in_chunks
from seq2seq.data.tokenizer import BOS_ID, EOS_ID, PAD_ID, Tokenizer, Tokenizers
from seq2seq.devices.device import set_tf32, set_up_device
from seq2seq.errors import ArgumentError, ConfigError
from seq2seq.inference.members import Paths, load_members
from seq2seq.inference.pair_score import PairScore
from seq2seq.inference.step_factory import StepSourceFactory
from seq2seq.inference.step_sources import normalized_weights
from seq2seq.inference.teacher_forcing import ForcedTokens, Ids, TeacherForcing
from seq2seq.model_directory.directory import load_model_config
from seq2seq.model_directory.model import load_language_model
from seq2seq.model_directory.pretrained import find_model
from seq2seq.models.base import DecoderModel
from seq2seq.models.language_model import LanguageModel
from seq2seq.plurals import pluralize
from seq2seq.search import SearchConstraints, average_attention, average_log_probs
from seq2seq.text.cleaning import clean

CHUNK_PAIRS = 2_000  # pairs in memory at once when streaming


class Scorer:
    """Score given translations with one model, an ensemble or a language model; threads may share it.

    `Scorer.load` reads models; `Translator.scorer` is the scorer of a translator's models. A score does not depend on
    its batch. A batch that does not fit into memory is processed in halves, and later batches are smaller.

    A pair is scored as a whole, however long it is, with the tokens into which the tokenizer divides its sides. The
    tokens of a translation that search finds may be divided differently; `score_ids` takes them as they are. Search
    options that change only which translation is found have no effect; `shortlist` and `int8`, which approximate the
    model's probabilities, have none either.

    A blank side is read as a sentence without words, which is only `</s>`. If both are blank, the score is 0, like that
    of the translation of a blank line. A language model ignores the text of the source.

    Args:
        step_sources: The models and their tokenizers.
        options: Default options, of which the penalties, the language model and the weights of an ensemble are used.
        on_warning: Called with a warning message when the first batch does not fit into memory.

    Attributes:
        members: Teacher forcing with each model.
    """

    @check_arguments()
    def __init__(
        self,
        step_sources: StepSourceFactory,
        options: SearchOptions | None = None,
        on_warning: Callable[[str], None] = warnings.warn,
    ) -> None:
        self.step_sources, self.options, self.on_warning = step_sources, options or SearchOptions(), on_warning
        self.tokenizers: Tokenizers = step_sources.tokenizers
        self.reads_source = not isinstance(step_sources.models[0], LanguageModel)
        self.languages: tuple[str | None, str | None] = (None, None)
        self.members = [TeacherForcing(model, on_warning) for model in step_sources.models]
        self._lock = threading.Lock()
        self._others: dict[DecoderModel, TeacherForcing] = {}  # of language models in shallow fusion

    @classmethod
    @check_arguments()
    def load(
        cls, path: Paths, precision: Precision = "float32", on_warning: Callable[[str], None] = warnings.warn
    ) -> "Scorer":
        """Read a model directory, or several, which are an ensemble; see `Translator.load`.

        Raises:
            ArgumentError: There is no path.
            ConfigError: The tokenizers of an ensemble differ; or `tf32` is requested and no GPU supports it.
            ModelDirectoryError: See `load_model`.
        """
        paths = [path] if isinstance(path, str | Path) else list(path)
        if len(paths) == 1 and isinstance(load_model_config(find_model(paths[0])), LanguageModelConfig):
            set_up_device()
            set_tf32(precision)
            folder = find_model(paths[0])
            model, tokenizer, recipe = load_language_model(folder, precision)
            same = {key: getattr(recipe.search, key) for key in ("length_penalty", "repetition_penalty")}
            sources = StepSourceFactory([model], Tokenizers(tokenizer, tokenizer), None, [folder])
            scorer = cls(sources, SearchOptions(**same), on_warning)
            scorer.languages = recipe.languages
            return scorer
        models, tokenizers, config, folders, _ = load_members(paths, precision)
        scorer = cls(StepSourceFactory(models, tokenizers, None, folders), config.search, on_warning)
        scorer.languages = config.languages
        return scorer

    def __repr__(self) -> str:
        return f"Scorer({pluralize(len(self.members), 'model')}, vocabulary {self.tokenizers.describe_sizes()})"

    @check_arguments()
    def check(self, options: SearchOptions) -> None:
        """Check that the models support the options.

        Raises:
            ConfigError: There is a coverage penalty and no model with attention; the number of ensemble weights differs
                from that of the models; or the language model has a different tokenizer.
            CorpusError, ModelDirectoryError: See `StepSourceFactory.language_model`.
        """
        self.step_sources.ensemble_weights(options)
        if options.coverage_penalty and not self.step_sources.uses_attention:
            raise ConfigError(
                f"'coverage_penalty: {options.coverage_penalty:g}' needs attention weights, and this model has none. "
                "Use 'coverage_penalty: 0', or a model with attention."
            )
        if options.uses_fusion:
            self._language_model(options)

    @check_arguments(pairs="Pass list(zip(sources, targets)).")
    def score(
        self,
        pairs: Sequence[Pair],
        options: SearchOptions | None = None,
        *,
        prefixes: Sequence[str] = (),
        on_progress: ProgressCallback = no_progress,
    ) -> list[PairScore]:
        """Scores of (source, target) pairs; result N is that of pair N.

        Args:
            pairs: Raw source and target; further elements, such as the origin of a `SentencePair`, are ignored.
            options: Options, by default those of the scorer.
            prefixes: The beginning of each target that is given, not to be scored: tokens that end within it count as
                certain. () for none. The score of a search scores the prefix of a `Request`, too.
            on_progress: Called with the number of pairs done so far.

        Raises:
            ArgumentError: There are not as many prefixes as pairs, or a target does not begin with its prefix.
            ConfigError, CorpusError, ModelDirectoryError: See `check`.
            OutOfMemoryError: A pair does not fit into memory, even alone.
        """
        targets = self.tokenizers.target.encode_batch([pair[1] for pair in pairs])
        sources = self.tokenizers.source.encode_batch([pair[0] for pair in pairs])
        if prefixes and len(prefixes) != len(pairs):
            raise ArgumentError(
                f"prefixes: expected one for each of {pluralize(len(pairs), 'pair')}, found {len(prefixes)}."
            )
        given = [
            self._prefix_length(number, target[1], prefix)
            for number, (target, prefix) in enumerate(zip(pairs, prefixes, strict=False))
        ]
        ended = [[*target, EOS_ID] if source or target else [] for source, target in zip(sources, targets, strict=True)]
        if not self.reads_source:
            sources = [[]] * len(pairs)
        return self.score_ids(sources, ended, options, prefix_lengths=given, on_progress=on_progress)

    @check_arguments()
    def score_stream(
        self,
        pairs: Iterable[Pair],
        options: SearchOptions | None = None,
        *,
        chunk: AtLeastOne = CHUNK_PAIRS,
        on_progress: ProgressCallback = no_progress,
    ) -> Iterator[PairScore]:
        """Score any number of pairs in order, holding at most `chunk` of them in memory; see `score`.

        The scores of all pairs before an error of `pairs` are yielded before it is raised.
        """

        def score(some: list[Pair], advance: ProgressCallback) -> list[PairScore]:
            return self.score(some, options, on_progress=advance)

        return run_in_chunks(pairs, chunk, score, on_progress)

    @check_arguments()
    def score_ids(
        self,
        sources: Sequence[Sequence[int]],
        targets: Sequence[Sequence[int]],
        options: SearchOptions | None = None,
        *,
        prefix_lengths: Sequence[int] = (),
        on_progress: ProgressCallback = no_progress,
    ) -> list[PairScore]:
        """Scores of pairs of token ids, for example of the tokens that a search has found.

        Args:
            sources: Source token ids without EOS; empty ones for a language model.
            targets: Target token ids, EOS included; [] gives the score 0.
            options: See `score`.
            prefix_lengths: Number of tokens at the beginning of each target that count as certain; () for none.
            on_progress: Called with the number of pairs done so far.

        Raises:
            ArgumentError: There are not as many targets, or prefix lengths, as sources; or an id is not in the
                vocabulary.
            ConfigError, CorpusError, ModelDirectoryError, OutOfMemoryError: See `score`.
        """
        options = options or self.options
        self.check(options)
        self._check_ids(sources, targets, prefix_lengths)
        runs, weights = self._forced(sources, targets, options, on_progress)
        lengths = [len(target) for target in targets]
        flat = tf.stack([np.concatenate([forced.log_probs for forced in run] or [np.zeros(0, "f")]) for run in runs])
        members = len(self.members)
        log_probs = average_log_probs(flat[:members], weights, options.ensemble_average).numpy()
        if options.uses_fusion:
            log_probs = log_probs + np.float32(options.language_model_weight) * flat[members].numpy()
        rows = [row.copy() for row in np.split(log_probs, np.cumsum(lengths)[:-1])] if targets else []
        certain = prefix_lengths or [0] * len(rows)
        for row, target, given in zip(rows, targets, certain, strict=True):
            if options.repetition_penalty != 1.0:
                row[_repeated(target)] *= options.repetition_penalty
            row[:given] = 0.0
        scores = self._normalize(rows, sources, runs[:members], weights, options)
        pieces = self.tokenizers.target.pieces
        return [
            PairScore(score, pieces(target), row, min(given, len(target)))
            for score, target, row, given in zip(scores, targets, rows, certain, strict=True)
        ]

    def _forced(
        self, sources: Sequence[Ids], targets: Sequence[Ids], options: SearchOptions, on_progress: ProgressCallback
    ) -> tuple[list[list[ForcedTokens]], tf.Tensor]:
        """Results of each model, last that of the language model, if there is one; and the models' weights."""
        jobs = [(member, sources) for member in self.members]
        if options.uses_fusion:
            jobs.append((self._language_model(options), [()] * len(targets)))
        runs: list[list[ForcedTokens]] = []
        for member, its_sources in jobs:
            before = len(runs)
            runs.append(
                member.run(
                    its_sources,
                    targets,
                    lambda done, before=before: on_progress((before * len(targets) + done) // len(jobs)),  # type: ignore[misc]
                )
            )
        on_progress(len(targets))
        return runs, tf.constant(normalized_weights(self.step_sources.ensemble_weights(options)))

    def _normalize(
        self,
        rows: Sequence[np.ndarray],
        sources: Sequence[Ids],
        runs: Sequence[Sequence[ForcedTokens]],
        weights: tf.Tensor,
        options: SearchOptions,
    ) -> list[float]:
        """Scores by the rule of search; 0 for a target without tokens."""
        if not rows:
            return []
        lengths = np.array([len(row) for row in rows], np.int32)
        mask, coverage = None, tf.zeros([len(rows), 1, 0])
        if options.coverage_penalty:
            mask = pad([[*source, EOS_ID] for source in sources]) != PAD_ID
            attending = [n for n, member in enumerate(self.members) if member.model.uses_attention]
            padded = {n: np.zeros(mask.shape, np.float32) for n in attending}
            for n in attending:
                for place, forced in enumerate(runs[n]):
                    padded[n][place, : len(forced.coverage)] = forced.coverage
            coverage = average_attention([padded.get(n) for n in range(len(runs))], weights, attending)[:, None]
        rules = SearchConstraints(
            max_lengths=tf.constant(lengths),
            bos_id=BOS_ID,
            eos_id=EOS_ID,
            length_penalty=options.length_penalty,
            coverage_penalty=options.coverage_penalty,
            source_mask=mask,
        )
        sums = np.array([[row.sum(dtype=np.float64)] for row in rows], np.float32)
        scores = rules.score_hypotheses(tf.constant(sums), tf.constant(lengths[:, None]), coverage).numpy()[:, 0]
        return np.where(lengths > 0, scores, 0.0).tolist()

    def _language_model(self, options: SearchOptions) -> TeacherForcing:
        assert options.language_model is not None
        model = self.step_sources.language_model(options.language_model)
        with self._lock:
            return self._others.setdefault(model, TeacherForcing(model, self.on_warning))

    def _prefix_length(self, number: int, target: str, prefix: str) -> int:
        """Number of the target's tokens that end within a prefix of its text."""
        wanted = " ".join(clean(prefix).split())
        whole, count = "", 0
        for place, surface in enumerate(self.tokenizers.target.surfaces(target), start=1):
            whole += surface
            if len(whole.lstrip(" ")) <= len(wanted):
                count = place
        if not whole.lstrip(" ").startswith(wanted):
            raise ArgumentError(f"pair {number + 1}: the target {target!r} does not begin with its prefix {prefix!r}.")
        return count

    def _check_ids(self, sources: Sequence[Ids], targets: Sequence[Ids], prefix_lengths: Sequence[int]) -> None:
        for name, values in (("targets", targets), ("prefix_lengths", prefix_lengths)):
            if len(values) != len(sources) and (values or name == "targets"):
                raise ArgumentError(f"{name}: expected {len(sources)}, one for each source, found {len(values)}.")
        for side, rows, tokenizer in zip(Tokenizers._fields, (sources, targets), self.tokenizers, strict=True):
            _check_range(side, rows, tokenizer)


def _check_range(side: str, rows: Sequence[Ids], tokenizer: Tokenizer) -> None:
    for number, row in enumerate(rows, start=1):
        for token in row:
            if not PAD_ID < token < tokenizer.vocabulary_size:
                raise ArgumentError(
                    f"pair {number}: the {side} has the token id {token}, expected ids from 1 to "
                    f"{tokenizer.vocabulary_size - 1}."
                )


def _repeated(tokens: Ids) -> np.ndarray:
    """Which tokens occur earlier, (L,) bool."""
    ids = np.asarray(tokens)
    first = np.full(len(ids), True)
    first[np.unique(ids, return_index=True)[1]] = False
    return first
