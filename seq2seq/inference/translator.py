"""Text in, text out, order kept: tokenize, sort by length, search in batches, detokenize."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from textwrap import shorten
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from seq2seq.config import Precision, SearchOptions
from seq2seq.data.tokenizer import EOS_ID, PAD_ID, UNK_ID, Tokenizer, Tokenizers
from seq2seq.devices.defaults import SearchBudget, search_budget
from seq2seq.devices.device import find_device, runs_on_gpu, use_precision
from seq2seq.devices.out_of_memory import MemoryLimit, warn
from seq2seq.errors import ConfigError
from seq2seq.inference.int8 import load_int8_step
from seq2seq.inference.long_lines import divide
from seq2seq.inference.results import Hypothesis, Translation, blank, join
from seq2seq.inference.searcher import find_hypotheses, graph_key, length_limits, search_rules, traced
from seq2seq.inference.shortlist import Shortlist, load_shortlist
from seq2seq.model_directory.model import load_language_model, load_model
from seq2seq.models.language_model import LanguageModel
from seq2seq.models.translation import Seq2Seq
from seq2seq.search import IMPOSSIBLE, Rules, SearchResult, StepFunction, draw_uniforms, fused
from seq2seq.storage.paths import expand

CHUNK = 2_000  # sentences in memory at once when streaming


class _Part(NamedTuple):
    """What the model translates at once: some of a line's tokens, without EOS."""

    line: int
    text: str  # of the whole line
    ids: list[int]
    surfaces: Sequence[str] | None = None  # of these tokens, if the line has more pieces


class Translator:
    """Translate with a model.

    A batch that does not fit into memory is searched in halves, and no later one is as large.

    Args:
        model: With its weights.
        source_tokenizer, target_tokenizer: The ones it was trained with.
        options: Used where `translate` gets none.
        shortlist: For the option of this name.
        folder: The model directory, for the option `int8`.
        notice: Called with a sentence when the first batch does not fit into memory; by default a `UserWarning`.
    """

    def __init__(
        self,
        model: Seq2Seq,
        source_tokenizer: Tokenizer,
        target_tokenizer: Tokenizer,
        options: SearchOptions | None = None,
        shortlist: Shortlist | None = None,
        folder: Path | None = None,
        notice: Callable[[str], None] = warn,
    ) -> None:
        self.model = model
        self.tokenizers = Tokenizers(source_tokenizer, target_tokenizer)
        self.options = options or SearchOptions()
        self.shortlist = shortlist
        self.folder = folder
        self.notice = notice
        self._memory = MemoryLimit()  # in the unit of `batch_tokens`
        self._searches: dict[tuple[Any, ...], Callable[..., SearchResult]] = {}
        self._language_models: dict[str, LanguageModel] = {}

    @classmethod
    def load(
        cls, path: str | Path, precision: Precision = "float32", notice: Callable[[str], None] = warn
    ) -> "Translator":
        """Read a model directory; its recipe's `search` section gives the default options.

        Args:
            path: The directory.
            precision: `float32` keeps translations independent of their batch; the others are for speed on a GPU.
            notice: As for the constructor.

        Raises:
            ConfigError: `tf32` is asked for where there is no GPU that has it.
            ModelDirectoryError: See `load_model`.
        """
        find_device()
        use_precision(precision)
        model, tokenizers, config = load_model(Path(path), precision)
        shortlist = load_shortlist(Path(path), tokenizers)
        return cls(model, *tokenizers, options=config.search, shortlist=shortlist, folder=Path(path), notice=notice)

    def check(self, options: SearchOptions) -> None:
        """Refuse what this model cannot do.

        Raises:
            ConfigError: An option looks at attention, and the model has none; a shortlist is asked for; or int8; or
                the language model's tokenizer is another than the target's.
            ModelDirectoryError: The language model is not there, damaged, or none.
        """
        if options.fusion:
            assert options.language_model is not None
            self.language_model(options.language_model)
        if options.shortlist is not None and self.shortlist is None:
            raise ConfigError(
                f"'shortlist' is {options.shortlist}, and the model has none. Make one: seq2seq shortlist MODEL"
            )
        if options.int8:
            self._check_int8()
        asked = options.looks_at_attention()
        if asked and not self.model.attends:
            raise ConfigError(
                f"'{asked}' looks at attention weights, and this model was made with 'decoder.attention: none'. "
                "Use 'unk: keep' or 'suppress' and 'coverage_penalty: 0', or a model with attention."
            )

    def _check_int8(self) -> None:
        if self.folder is None:
            raise ConfigError("'int8' is true: it needs a model directory. Make the translator with Translator.load.")
        if self.model.precision != "float32":
            raise ConfigError(
                f"'int8' is true, and the model is loaded in {self.model.precision}: the 8-bit decoder goes with "
                "float32. Leave one of the two out."
            )
        if runs_on_gpu():
            raise ConfigError(
                "'int8' is true, and the model runs on a GPU: the 8-bit decoder runs on the CPU, and every step would "
                "copy all states there. Leave 'int8' out, or hide the GPU: CUDA_VISIBLE_DEVICES=-1."
            )

    def language_model(self, path: str) -> LanguageModel:
        """The language model of a directory, read once.

        Raises:
            ConfigError, ModelDirectoryError: See `check`.
        """
        if path not in self._language_models:
            model, tokenizer, _ = load_language_model(expand(path), self.model.precision)
            theirs, ours = tokenizer.fingerprint(), self.tokenizers.target.fingerprint()
            if theirs != ours:
                raise ConfigError(
                    f"{path}: the language model's tokenizer (SHA-256 {theirs[:8]}) is not the translator's target "
                    f"tokenizer ({ours[:8]}), so their tokens are not the same. Train the language model with "
                    f"'tokenizer.from_model: {self.folder or 'TRANSLATOR'}'."
                )
            self._language_models[path] = model
        return self._language_models[path]

    def translate(
        self,
        sentences: Iterable[str],
        options: SearchOptions | None = None,
        *,
        attention: bool = True,
        progress: Callable[[int], None] = lambda sentences: None,
    ) -> list[Translation]:
        """Translate sentences; result N answers sentence N.

        A sentence's translation does not depend on the others; a sampled one depends on the seed and the sentence. A
        sentence that gives no tokens, like a blank one, is answered with an empty translation. One with too many is
        translated in pieces (`Translation.pieces`) or cut off (`Translation.cut_tokens`), as the options say;
        limits of length hold for each piece.

        Args:
            sentences: Raw text, one sentence each.
            options: How to search.
            attention: Keep attention weights, which take most of the memory.
            progress: Called with the number of sentences done so far.

        Raises:
            TypeError: `sentences` is one string, which would be taken letter by letter.
            ConfigError: See `check`.
            OutOfMemoryError: A sentence does not fit into memory, even alone.
        """
        if isinstance(sentences, str):
            raise TypeError("translate takes a list of sentences, found one string. Pass [text].")
        options = options or self.options
        self.check(options)
        use_precision(self.model.precision)
        sentences = list(sentences)
        encoded = self.tokenizers.source.encode_all(sentences)
        lines = enumerate(zip(sentences, encoded, strict=True))
        parts = [part for line, (text, ids) in lines for part in self._parts(line, text, ids, options)]
        translations: list[Translation | None] = [None] * len(parts)
        counts = Counter(part.line for part in parts)
        waiting, done = Counter(counts), len(sentences) - len(counts)
        budget = search_budget(options, self.model.output_embedding.vocabulary_size, find_device())
        for batch in _batches(parts, options, budget):
            for rows, answers in self._search_within_memory(parts, batch, options, attention):
                for row, translation in zip(rows, answers, strict=True):
                    translations[row] = translation
                    waiting[parts[row].line] -= 1
                    done += not waiting[parts[row].line]
                progress(done)
        found = (translation for translation in translations if translation is not None)
        results = []
        for line, ids in enumerate(encoded):
            result = join(list(islice(found, counts[line]))) if line in counts else blank()
            cut = len(ids) - options.max_source_tokens + 1 if options.long_lines == "cut" else 0
            results.append(replace(result, cut_tokens=cut) if cut > 0 else result)
        return results

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

    def _parts(self, line: int, text: str, ids: list[int], options: SearchOptions) -> Iterator[_Part]:
        most = options.max_source_tokens - 1  # EOS takes one
        if len(ids) > most and options.long_lines == "split":
            surfaces = self.tokenizers.source.surfaces(text)
            for piece in divide(surfaces, most):
                here = slice(piece.start, piece.stop)
                yield _Part(line, text, ids[here], surfaces[here])
        elif ids:
            yield _Part(line, text, ids[:most])

    def _search_within_memory(
        self, parts: Sequence[_Part], batch: Sequence[int], options: SearchOptions, attention: bool
    ) -> Iterator[tuple[Sequence[int], list[Translation]]]:
        """Search places of parts, all at once or in halves; yields places and their translations."""

        def at(places: Sequence[int]) -> list[_Part]:
            return [parts[place] for place in places]

        return self._memory.run(
            batch,
            lambda places: list(self._search(at(places), options, attention)),
            size=lambda places: len(places) * _width(at(places), options),
            explain=lambda places, shortage: _explain(at(places), options, shortage),
            notice=self.notice,
        )

    def _search(self, parts: list[_Part], options: SearchOptions, attention: bool) -> Iterator[Translation]:
        lengths = np.array([len(part.ids) + 1 for part in parts])
        shortest, longest = length_limits(lengths, options)
        inputs = [_pad([[*part.ids, EOS_ID] for part in parts]), shortest, longest]
        if options.shortlist is not None:
            assert self.shortlist is not None
            inputs.append(self.shortlist.of([part.ids for part in parts], options.shortlist))
        if options.sample:
            inputs.append(draw_uniforms(options.seed, [part.ids for part in parts], options.n_best, longest.tolist()))
        result = self._search_function(options, attention)(*map(tf.constant, inputs))
        tokens, target_lengths, scores, log_probs, weights = (np.asarray(values) for values in result)
        for row, (part, length) in enumerate(zip(parts, lengths, strict=True)):
            hypotheses = []
            for n in range(tokens.shape[1]):
                end = int(target_lengths[row, n])
                if end == 0 and n:
                    continue  # there are fewer hypotheses than asked for
                ids = tokens[row, n, :end].tolist()
                attended = weights[row, n, :end, :length]
                hypotheses.append(
                    Hypothesis(
                        text=self._text(ids, attended, part, options),
                        score=float(scores[row, n]),
                        tokens=self.tokenizers.target.pieces(ids),
                        # Copies: a view would keep the whole padded batch alive.
                        token_log_probs=log_probs[row, n, :end].copy(),
                        attention=attended.copy() if attention else attended[:, :0].copy(),
                    )
                )
            yield Translation(self.tokenizers.source.pieces([*part.ids, EOS_ID]), hypotheses)

    def _text(self, ids: list[int], weights: np.ndarray, part: _Part, options: SearchOptions) -> str:
        if options.unk == "replace" and UNK_ID in ids:
            surfaces = part.surfaces or self.tokenizers.source.surfaces(part.text)[: len(part.ids)]
            unknown = [_most_attended(surfaces, weights[t]) for t, token in enumerate(ids) if token == UNK_ID]
            return self.tokenizers.target.decode_with(ids, unknown)
        return self.tokenizers.target.decode(ids)

    def _search_function(self, options: SearchOptions, attention: bool) -> Callable[..., SearchResult]:
        key = (*graph_key(options), attention)
        if key not in self._searches:
            self._searches[key] = traced(self._make_search(options, attention), options)
        return self._searches[key]

    def _make_search(self, options: SearchOptions, attention: bool) -> Callable[..., SearchResult]:
        keep_weights = attention or options.unk == "replace"
        helper = self.language_model(options.language_model) if options.fusion and options.language_model else None

        def search(source: tf.Tensor, shortest: tf.Tensor, longest: tf.Tensor, *more: tf.Tensor) -> SearchResult:
            rules = search_rules(source, shortest, longest, options, scored=helper is not None)
            with self.model.weights_read_once(*[helper] if helper else []):
                return run(rules, source, *more)

        def run(rules: Rules, source: tf.Tensor, *more: tf.Tensor) -> SearchResult:
            memory: Any
            state: Any
            memory, state = self.model.encode(source)
            step: StepFunction
            if options.shortlist is not None:
                among = tf.cast(more[0], tf.int64)
                memory = (memory, among, *self.model.output_layer(among))
                step = partial(_step_among, self.model.decode_step)
            elif options.int8:
                assert self.folder is not None
                step = load_int8_step(self.folder, self.model.output_embedding.vocabulary_size)
            else:
                step = partial(self.model.decode_step, output=self.model.output_layer())
            if helper is not None:
                language_step = partial(helper.decode_step, output=helper.output_layer())
                step = fused(step, language_step, options.language_model_weight)
                memory, state = zip((memory, state), helper.encode(source[:, :1]), strict=True)
            result = find_hypotheses(step, state, memory, rules, options, more, keep_weights)
            if options.shortlist is not None:
                result = result._replace(tokens=tf.gather(more[0], result.tokens, batch_dims=1))
            return result

        return search


def _step_among(
    step: Callable[..., Any], tokens: tf.Tensor, state: Any, memory: Any
) -> tuple[tf.Tensor, Any, tf.Tensor]:
    """A step over a shortlist: it reads and gives places in memory's `among` (B, C), which is 0 behind the last."""
    source, among, *output = memory
    logits, state, weights = step(tf.gather(among, tokens, batch_dims=1), state, source, output)
    there = (among > PAD_ID) | (tf.range(tf.shape(among, tf.int64)[1]) == PAD_ID)
    return tf.where(there[:, None], logits, IMPOSSIBLE), state, weights


def _most_attended(surfaces: Sequence[str], weights: np.ndarray) -> str:
    """The text of the source token with the greatest weight, of those that have any; EOS, the last, has none."""
    texts = list(surfaces)
    for s in reversed(range(len(texts) - 1)):
        texts[s] = texts[s] or texts[s + 1]  # the bytes of a character: the last one has its text
    candidates = [s for s, text in enumerate(texts) if text.strip()]
    return texts[max(candidates, key=lambda s: weights[s])] if candidates else " ⁇ "


def _batches(parts: Sequence[_Part], options: SearchOptions, budget: SearchBudget) -> Iterator[list[int]]:
    """Places of parts by falling length, as many at once as the budget allows."""
    rows = sorted(range(len(parts)), key=lambda row: -len(parts[row].ids))
    while rows:
        width = _width([parts[rows[0]]], options)
        size = max(1, min(budget.tokens // width, budget.hypotheses // options.hypotheses))
        yield rows[:size]
        rows = rows[size:]


def _width(parts: Sequence[_Part], options: SearchOptions) -> int:
    """Source tokens of the longest part, EOS included, times hypotheses."""
    return (max(len(part.ids) for part in parts) + 1) * options.hypotheses


def _explain(parts: Sequence[_Part], options: SearchOptions, shortage: str) -> str:
    """What to say of parts that did not fit into memory at once."""
    key = "n_best" if options.sample else "beam_size"
    width, hypotheses = _width(parts, options), f"'{key}' {options.hypotheses}"
    length = width // options.hypotheses
    if len(parts) > 1:
        return (
            f"{shortage} at a batch of {len(parts)} sentences of up to {length} tokens with {hypotheses}: smaller "
            f"batches from here on. A 'search.batch_tokens' (--batch-tokens) well below {len(parts) * width:,} saves "
            "the attempts that fail."
        )
    fewer = f"'{key}', or " if options.hypotheses > 1 else ""
    return (
        f"{shortage} at one sentence of {length} tokens with {hypotheses}, alone in its batch: "
        f"{shorten(parts[0].text, 60)!r}. Lower {fewer}'max_source_tokens' below {length}."
    )


def _pad(sequences: list[list[int]]) -> np.ndarray:
    padded = np.full((len(sequences), max(map(len, sequences))), PAD_ID, np.int32)
    for row, ids in enumerate(sequences):
        padded[row, : len(ids)] = ids
    return padded
