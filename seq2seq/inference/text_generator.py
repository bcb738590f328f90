"""Score and generate text with a language model."""

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from seq2seq.arguments import check_arguments
from seq2seq.config import GenerationOptions, Precision, SearchOptions
from seq2seq.config.search import MAX_LENGTH
from seq2seq.data.progress import ProgressCallback, no_progress
from seq2seq.data.tokenizer import EOS_ID, UNK_ID, Tokenizer, Tokenizers
from seq2seq.devices.device import set_tf32, set_up_device
from seq2seq.errors import EvaluationError, TokenizerError
from seq2seq.inference.copies import reduce_with_models
from seq2seq.inference.results import Hypothesis, make_hypotheses
from seq2seq.inference.searcher import Searcher
from seq2seq.inference.step_sources import Batch, ModelSteps, PrefixSteps
from seq2seq.inference.teacher_forcing import TeacherForcing
from seq2seq.model_directory.model import Origin, load_language_model, read_origin, saved_model
from seq2seq.model_directory.pretrained import find_model
from seq2seq.models.base import check_tokenizers
from seq2seq.models.language_model import LanguageModel
from seq2seq.notebook_html import html_facts
from seq2seq.plurals import pluralize
from seq2seq.text.cleaning import clean


@dataclass(frozen=True, repr=False)
class PerplexityReport:
    """Perplexity of a text under a language model; lower is better.

    The end of each sentence is predicted too: it counts as one token, one word and one character. White space counts
    as one space between words.

    Attributes:
        sentences: Number of sentences that are not blank; blank ones are skipped.
        tokens: Number of tokens, EOS included.
        words: Number of words of the clean text, separated by white space, plus one for the end of each sentence.
        characters: Number of characters of the clean text, plus one for the end of each sentence.
        unknown_tokens: Number of tokens for text that the tokenizer does not know; they make perplexity look better
            than it is.
        nll: Negative log-likelihood of all tokens, in nats.
    """

    sentences: int
    tokens: int
    words: int
    characters: int
    unknown_tokens: int
    nll: float

    @property
    def per_token(self) -> float:
        """exp(nll / tokens): comparable between models with the same tokenizer."""
        return math.exp(min(self.nll / self.tokens, 700.0))

    @property
    def per_word(self) -> float:
        """exp(nll / words): comparable between any two models, on the same text."""
        return math.exp(min(self.nll / self.words, 700.0))

    @property
    def bits_per_character(self) -> float:
        """nll / (characters * ln 2): comparable between any two models, on the same text."""
        return self.nll / self.characters / math.log(2.0)

    def as_dict(self) -> dict[str, Any]:
        """JSON-serializable values."""
        return asdict(self) | {
            "perplexity_per_token": self.per_token,
            "perplexity_per_word": self.per_word,
            "bits_per_character": self.bits_per_character,
        }

    def __repr__(self) -> str:
        return (
            f"PerplexityReport({self.per_token:.2f} per token, {self.per_word:.2f} per word, "
            f"{self.bits_per_character:.3f} bits per character, {pluralize(self.sentences, 'sentence')})"
        )

    def _repr_html_(self) -> str:
        return html_facts(
            pluralize(self.sentences, "sentence"),
            {
                "perplexity per token": f"{self.per_token:.2f}",
                "perplexity per word": f"{self.per_word:.2f}",
                "bits per character": f"{self.bits_per_character:.3f}",
                "tokens": f"{self.tokens:,}, {self.unknown_tokens:,} of them unknown",
            },
        )


class TextGenerator:
    """Score and generate text with a language model.

    A batch that does not fit into memory is processed in halves, and later batches are smaller.

    Args:
        model: Model with weights loaded.
        tokenizer: Tokenizer that it was trained with.
        options: Default options of `generate`; if None, it samples one text.
        on_warning: Called with a warning message when the first batch does not fit into memory; by default a
            `UserWarning`.

    Raises:
        ArgumentError: The tokenizer's vocabulary size differs from the model's.
    """

    @check_arguments()
    def __init__(
        self,
        model: LanguageModel,
        tokenizer: Tokenizer,
        options: GenerationOptions | None = None,
        on_warning: Callable[[str], None] = warnings.warn,
    ) -> None:
        self.model, self.tokenizer = model, tokenizer
        check_tokenizers(model, Tokenizers(tokenizer, tokenizer))
        self.options = options or GenerationOptions()
        self.on_warning = on_warning
        self.teacher_forcing = TeacherForcing(model, on_warning)
        self.searcher = Searcher()
        self._origin: Origin | None = None  # where `load` read the model

    @classmethod
    @check_arguments()
    def load(
        cls, path: str | Path, precision: Precision = "float32", on_warning: Callable[[str], None] = warnings.warn
    ) -> "TextGenerator":
        """Read a model directory; its recipe's `search` section gives the default options.

        Raises:
            ConfigError: `tf32` is requested and no GPU supports it.
            ModelDirectoryError: See `load_language_model`.
        """
        set_up_device()
        set_tf32(precision)
        folder = find_model(path)
        origin = read_origin(folder)
        model, tokenizer, config = load_language_model(folder, precision)
        generator = cls(model, tokenizer, options=config.search, on_warning=on_warning)
        generator._origin = origin
        return generator

    def __repr__(self) -> str:
        parameters = pluralize(self.model.count_params(), "parameter")
        return f"TextGenerator({parameters}, vocabulary {self.tokenizer.vocabulary_size:,})"

    def __reduce__(self) -> tuple[Any, ...]:
        """Support `pickle` and `copy.deepcopy`; graphs are traced again."""
        return reduce_with_models(
            self, [self.model], self.tokenizer, self.options, self.on_warning, _origin=self._origin
        )

    @check_arguments()
    def save(self, directory: str | Path) -> Path:
        """Write a model directory that `load` reads, as `Translator.save` does, and return its path.

        Raises:
            ModelDirectoryError: The directory is not empty.
            StorageError: It cannot be written.
        """
        tokenizers, directory = Tokenizers(self.tokenizer, self.tokenizer), Path(directory)
        with saved_model(directory, self.model, tokenizers, self.options, self._origin):
            return directory

    @check_arguments()
    def token_log_probs(self, lines: Sequence[str], on_progress: ProgressCallback = no_progress) -> list[np.ndarray]:
        """Log-probabilities of the tokens of each line, EOS included, (L,) float32 in nats; (0,) for a blank line.

        Layer outputs are held for whole lines, probabilities for one block of tokens at a time.

        Args:
            lines: Sentences; the state is reset before each.
            on_progress: Called with the number of sentences done so far.

        Raises:
            OutOfMemoryError: A line does not fit into memory, even alone.
        """
        return self._log_probs(self.tokenizer.encode_batch(lines), on_progress)

    @check_arguments()
    def perplexity(self, lines: Sequence[str], on_progress: ProgressCallback = no_progress) -> PerplexityReport:
        """Perplexity of a text.

        Args:
            lines: Sentences; the state is reset before each.
            on_progress: Called with the number of sentences done so far.

        Raises:
            EvaluationError: Every line is blank.
            OutOfMemoryError: A line does not fit into memory, even alone.
        """
        ids = self.tokenizer.encode_batch(lines)
        read = [line for line, tokens in zip(lines, ids, strict=True) if tokens]
        if not read:
            raise EvaluationError(f"there is nothing to measure: none of {pluralize(len(ids), 'line')} has text.")
        words = [clean(line).split() for line in read]
        nll = -sum(float(log_probs.sum(dtype=np.float64)) for log_probs in self._log_probs(ids, on_progress))
        return PerplexityReport(
            sentences=len(read),
            tokens=sum(len(tokens) + 1 for tokens in ids if tokens),
            words=sum(len(line) + 1 for line in words),
            characters=sum(len(" ".join(line)) + 1 for line in words),
            unknown_tokens=sum(tokens.count(UNK_ID) for tokens in ids),
            nll=nll,
        )

    @check_arguments()
    def generate(self, prompt: str = "", options: GenerationOptions | None = None) -> list[Hypothesis]:
        """Generate `options.n_best` texts that begin with `prompt`, best first.

        Texts are sampled if `options.sample` is set; otherwise the most likely ones are searched for. A sample depends
        only on the seed and the prompt. Length limits count the tokens after the prompt, EOS included; unknown tokens
        are never generated.

        Args:
            prompt: Beginning of each text. A new token begins after it, so it should end with a whole word.
            options: Generation options; by default the generator's.

        Returns:
            Texts including the prompt. The prompt's tokens have log-probability 0, so the score is that of the
            continuation, normalised by the length of the whole text. There is no attention.

        Raises:
            TokenizerError: The tokenizer does not know a character of the prompt.
        """
        options = options or self.options
        if unknown := self.tokenizer.unknown_surfaces(prompt):
            raise TokenizerError(
                f"the prompt {prompt!r} has text that the model's tokenizer does not know: {unknown[0]!r}. Leave it "
                "out."
            )
        ids = self.tokenizer.encode(prompt)
        longest = options.max_length or max(MAX_LENGTH, options.min_length)
        limits = [np.array([len(ids) + length], np.int32) for length in (options.min_length, longest)]
        set_tf32(self.model.precision)
        result = self.searcher.search(
            PrefixSteps(ModelSteps(self.model)),
            Batch([ids], prefixes=[ids]),
            (limits[0], limits[1]),
            SearchOptions(**options.model_dump(), unk_handling="suppress"),
        )
        return make_hypotheses(result, 0, self.tokenizer)

    def _log_probs(self, ids: Sequence[list[int]], progress: ProgressCallback) -> list[np.ndarray]:
        targets = [[*tokens, EOS_ID] if tokens else [] for tokens in ids]
        return [forced.log_probs for forced in self.teacher_forcing.run([[]] * len(ids), targets, progress)]
