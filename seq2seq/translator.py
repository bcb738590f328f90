"""Text in, text out, order kept: tokenize, sort by length, search in batches, detokenize."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from seq2seq.config import Precision, SearchOptions
from seq2seq.device import find_device
from seq2seq.model import Seq2Seq
from seq2seq.model_directory import Tokenizers, load_model
from seq2seq.search import SearchResult, beam_search, greedy_search
from seq2seq.tokenizer import BOS_ID, EOS_ID, PAD_ID, Tokenizer

CHUNK = 2_000  # sentences in memory at once when streaming


@dataclass(frozen=True)
class Hypothesis:
    """One translation of a sentence.

    text             detokenized
    score            sum of `token_log_probs`, normalised by length
    tokens           L pieces, the last one `</s>`
    token_log_probs  (L,) float32, in nats
    attention        (L, S) float32, over the source's tokens, each row sums to 1; (L, 0) where not asked for
    """

    text: str
    score: float
    tokens: list[str]
    token_log_probs: np.ndarray
    attention: np.ndarray


@dataclass(frozen=True)
class Translation:
    """A sentence's translations, best first, and the S source tokens that attention refers to.

    A blank sentence has one empty hypothesis with score 0 and no tokens.
    """

    source_tokens: list[str]
    hypotheses: list[Hypothesis]

    @property
    def text(self) -> str:
        return self.hypotheses[0].text

    @property
    def score(self) -> float:
        return self.hypotheses[0].score

    @property
    def tokens(self) -> list[str]:
        return self.hypotheses[0].tokens

    @property
    def token_log_probs(self) -> np.ndarray:
        return self.hypotheses[0].token_log_probs

    @property
    def attention(self) -> np.ndarray:
        return self.hypotheses[0].attention


class Translator:
    """Translate with a model.

    Args:
        model: With its weights.
        source_tokenizer, target_tokenizer: The ones it was trained with.
        options: Used where `translate` gets none.
    """

    def __init__(
        self,
        model: Seq2Seq,
        source_tokenizer: Tokenizer,
        target_tokenizer: Tokenizer,
        options: SearchOptions | None = None,
    ) -> None:
        self.model = model
        self.tokenizers = Tokenizers(source_tokenizer, target_tokenizer)
        self.options = options or SearchOptions()
        self._searches: dict[tuple[Any, ...], Callable[..., SearchResult]] = {}

    @classmethod
    def load(cls, path: str | Path, precision: Precision = "float32") -> "Translator":
        """Read a model directory; its recipe's `search` section gives the default options.

        Args:
            path: The directory.
            precision: `float32` keeps translations independent of their batch; the mixed ones are for speed
                on a GPU.

        Raises:
            ModelDirectoryError: See `load_model`.
        """
        find_device()
        model, tokenizers, config = load_model(Path(path), precision)
        return cls(model, *tokenizers, options=config.search)

    def translate(
        self,
        sentences: Iterable[str],
        options: SearchOptions | None = None,
        *,
        attention: bool = True,
        progress: Callable[[int], None] = lambda sentences: None,
    ) -> list[Translation]:
        """Translate sentences; result N answers sentence N.

        A sentence's translation does not depend on the others. A sentence that gives no tokens, like a blank
        one, is answered with an empty translation.

        Args:
            sentences: Raw text, one sentence each.
            options: How to search.
            attention: Keep attention weights, which take most of the memory.
            progress: Called with the number of sentences done so far.

        Raises:
            TypeError: `sentences` is one string, which would be taken letter by letter.
        """
        if isinstance(sentences, str):
            raise TypeError("translate takes a list of sentences, found one string. Pass [text].")
        options = options or self.options
        encoded = self.tokenizers.source.encode_all(list(sentences))
        results: list[Translation | None] = [None if ids else _blank() for ids in encoded]
        done = sum(result is not None for result in results)
        waiting = [row for row, result in enumerate(results) if result is None]
        for rows in _batches(waiting, encoded, options):
            source = _pad([[*encoded[row], EOS_ID] for row in rows])
            for row, translation in zip(rows, self._search(source, options, attention), strict=True):
                results[row] = translation
            done += len(rows)
            progress(done)
        return [result for result in results if result is not None]

    def translate_stream(
        self,
        sentences: Iterable[str],
        options: SearchOptions | None = None,
        *,
        chunk: int = CHUNK,
        attention: bool = False,
        progress: Callable[[int], None] = lambda sentences: None,
    ) -> Iterator[Translation]:
        """Translate any number of sentences in order, holding at most `chunk` of them in memory."""
        iterator = iter(sentences)
        before = 0

        def advance(done: int) -> None:
            progress(before + done)

        while part := list(islice(iterator, chunk)):
            yield from self.translate(part, options, attention=attention, progress=advance)
            before += len(part)

    def _search(self, source: np.ndarray, options: SearchOptions, attention: bool) -> Iterator[Translation]:
        lengths = (source != PAD_ID).sum(axis=1)
        limits = np.ceil(options.max_length_factor * lengths) + options.max_length_extra
        result = self._search_function(options, attention)(tf.constant(source), tf.constant(limits, tf.int32))
        tokens, target_lengths, scores, log_probs, weights = (np.asarray(part) for part in result)
        for row, length in enumerate(lengths):
            hypotheses = []
            for n in range(min(options.n_best, tokens.shape[1])):
                end = int(target_lengths[row, n])
                if end == 0 and n:
                    continue  # there are fewer hypotheses than asked for
                ids = tokens[row, n, :end].tolist()
                # With byte fallback a model can spell a line feed, which would shift all lines after it.
                text = self.tokenizers.target.decode(ids).replace("\n", " ")
                hypotheses.append(
                    Hypothesis(
                        text=text,
                        score=float(scores[row, n]),
                        tokens=self.tokenizers.target.pieces(ids),
                        # Copies: a view would keep the whole padded batch alive.
                        token_log_probs=log_probs[row, n, :end].copy(),
                        attention=weights[row, n, :end, :length].copy(),
                    )
                )
            yield Translation(self.tokenizers.source.pieces(source[row, :length].tolist()), hypotheses)

    def _search_function(self, options: SearchOptions, attention: bool) -> Callable[..., SearchResult]:
        key = (options.beam_size, options.length_penalty, options.n_best, attention)
        if key not in self._searches:
            self._searches[key] = self._make_search(options, attention)
        return self._searches[key]

    def _make_search(self, options: SearchOptions, attention: bool) -> Callable[..., SearchResult]:
        """One graph for all batches, traced once."""

        def search(source: tf.Tensor, limits: tf.Tensor) -> SearchResult:
            memory, state = self.model.encode(source)
            common: Any = {"bos_id": BOS_ID, "eos_id": EOS_ID, "pad_id": PAD_ID, "keep_weights": attention}
            common["length_penalty"] = options.length_penalty
            if options.beam_size == 1:
                return greedy_search(self.model.decode_step, state, memory, limits, **common)
            result = beam_search(self.model.decode_step, state, memory, limits, beam_size=options.beam_size, **common)
            return SearchResult(*(part[:, : options.n_best] for part in result))

        return tf.function(
            search, input_signature=[tf.TensorSpec([None, None], tf.int32), tf.TensorSpec([None], tf.int32)]
        )


def _blank() -> Translation:
    return Translation([], [Hypothesis("", 0.0, [], np.zeros(0, np.float32), np.zeros((0, 0), np.float32))])


def _batches(rows: list[int], encoded: Sequence[list[int]], options: SearchOptions) -> Iterator[list[int]]:
    """Rows by falling length, as many at once as the budget of padded tokens allows."""
    rows = sorted(rows, key=lambda row: -len(encoded[row]))
    while rows:
        width = (len(encoded[rows[0]]) + 1) * options.beam_size
        size = max(1, options.batch_tokens // width)
        yield rows[:size]
        rows = rows[size:]


def _pad(sequences: list[list[int]]) -> np.ndarray:
    padded = np.full((len(sequences), max(map(len, sequences))), PAD_ID, np.int32)
    for row, ids in enumerate(sequences):
        padded[row, : len(ids)] = ids
    return padded
