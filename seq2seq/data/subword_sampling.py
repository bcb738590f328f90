"""Subword sampling: in each epoch, training reads the same sentences in newly drawn segmentations."""

from typing import Protocol

import numpy as np

from seq2seq.config.corpus import SIDES
from seq2seq.config.data import SubwordMethod, TargetSubwordSamplingConfig
from seq2seq.data.bpe_dropout import BPEDropoutSampler
from seq2seq.data.encoded import ArraySide, EncodedSide
from seq2seq.data.mixture import EncodedMixture
from seq2seq.data.subword_units import CHUNK_SENTENCES, SubwordUnits, Vocabulary
from seq2seq.data.tokenizer import Tokenizer, Tokenizers
from seq2seq.data.unigram_sampler import UnigramSampler
from seq2seq.errors import TokenizerError


class UnitSampler(Protocol):
    """A method of segmenting units at random."""

    def sample(self, numbers: np.ndarray, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Draw a segmentation of each unit.

        Args:
            numbers: (U,) the units, by their place in `SubwordUnits.distinct`.
            generator: Source of random numbers.

        Returns:
            Concatenated token ids, int32, and the number of tokens of each unit, (U,) int64.
        """
        ...


def draw_side(
    side: EncodedSide, units: SubwordUnits, sampler: UnitSampler, generator: np.random.Generator, max_tokens: int
) -> ArraySide:
    """Draw a segmentation of every sentence of a side.

    A sentence that would have more than `max_tokens` tokens, EOS included, is taken as it is stored, so that the limits
    of sentences and batches hold.
    """
    parts, counts = [], []
    for start in range(0, len(side.lengths), CHUNK_SENTENCES):
        sentences = np.arange(start, min(start + CHUNK_SENTENCES, len(side.lengths)))
        bounds = units.offsets[start : sentences[-1] + 2]
        ids, lengths = sampler.sample(units.numbers[bounds[0] : bounds[-1]], generator)
        lengths = np.add.reduceat(lengths, bounds[:-1] - bounds[0])
        long = lengths > max_tokens
        final = np.where(long, side.lengths[sentences], lengths)
        tokens, is_long = np.empty(final.sum(), units.dtype), np.repeat(long, final)
        tokens[~is_long], tokens[is_long] = ids[~np.repeat(long, lengths)], side.ids(sentences[long])
        parts.append(tokens)
        counts.append(final)
    return ArraySide(np.concatenate(parts), np.cumsum(np.concatenate([[0], *counts])))


class SubwordSampling:
    """The training corpora in random segmentations, which are a pure function of seed and epoch.

    A sentence that occurs several times in an epoch has the same segmentation each time. The token ids of an epoch are
    held in memory, at 2 bytes per token (4 if the vocabulary has more than 65,536).

    Args:
        train: The training corpora.
        tokenizers: Source and target tokenizer.
        options: Methods of the sides, and the last epoch with random segmentations.
        seed: Seed of the recipe.
        max_tokens: Maximum length of a sentence, see `draw_side`.

    Raises:
        TokenizerError: A method is not for the subword algorithm of its tokenizer.
    """

    def __init__(
        self,
        train: EncodedMixture,
        tokenizers: Tokenizers,
        options: TargetSubwordSamplingConfig,
        seed: int,
        max_tokens: int,
    ) -> None:
        self._train, self._last_epoch, self._seed, self._max_tokens = train, options.last_epoch, seed, max_tokens
        self._drawn: tuple[int, EncodedMixture] | None = None
        self._sides = {
            side: _prepare(getattr(train, side), getattr(tokenizers, side), method, f"tokenizer.sampling.{side}")
            for side, method in options.methods().items()
        }

    def read_epoch(self, epoch: int) -> EncodedMixture:
        """The corpora in the segmentations of an epoch, counted from 1; as they are stored, if sampling is over.

        The epoch that was read last is kept.
        """
        if self._last_epoch is not None and epoch > self._last_epoch:
            return self._train
        if self._drawn is not None and self._drawn[0] == epoch:
            return self._drawn[1]
        self._drawn = None  # not two epochs in memory
        drawn: dict[str, EncodedSide] = {"source": self._train.source, "target": self._train.target}
        for side, (units, sampler) in self._sides.items():
            # The 1 makes the key longer than those of batches and mixtures, to which NumPy adds zeros.
            generator = np.random.default_rng([self._seed, epoch, SIDES.index(side), 1])
            drawn[side] = draw_side(drawn[side], units, sampler, generator, self._max_tokens)
        self._drawn = epoch, self._train.with_sides(**drawn)
        return self._drawn[1]


def _prepare(
    side: EncodedSide, tokenizer: Tokenizer, method: SubwordMethod, prefix: str
) -> tuple[SubwordUnits, UnitSampler]:
    """Divide a side into units, and prepare a method for them."""
    vocabulary = Vocabulary(tokenizer)
    if vocabulary.model_type != method.model_type:
        keys = {"unigram": "alpha", "bpe": "bpe_dropout"}
        other = keys.get(vocabulary.model_type)
        remedy = f"Use {prefix}_{other} instead" if other else "Leave it out"
        raise TokenizerError(
            f"{prefix}_{method.key} is for {method.model_type} models, but the tokenizer is a {vocabulary.model_type} "
            f"model. {remedy}."
        )
    units = SubwordUnits(side, vocabulary)
    sampler = UnigramSampler if method.key == "alpha" else BPEDropoutSampler
    return units, sampler(units.distinct, vocabulary, method.strength)
