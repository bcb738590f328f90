"""Counts in encoded corpora before training: token frequencies, rare pieces, validation and test text in training."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from seq2seq.config.corpus import SIDES
from seq2seq.data.encoded import EncodedCorpus, MemoryMappedSide
from seq2seq.data.mixture import EncodedMixture
from seq2seq.data.tokenizer import EOS_ID, Tokenizer, Tokenizers
from seq2seq.inference.segments import SourceLines
from seq2seq.text.sentences import split_sentences

MAX_COUNTED_TOKENS = 10_000_000  # tokens of each training corpus, enough for frequencies
MAX_COMPARED_SENTENCES = 1_000_000  # sentences of each training corpus, enough for the most frequent one
CHUNK_SENTENCES = 200_000  # sentences hashed at once
SAMPLED_LINES = 2_000  # lines whose sentences are counted
USUAL = 0.99  # share of the lines that count as usual
RARE_COUNT = 5  # pieces with fewer occurrences are hardly learnt


class VocabularyUse(NamedTuple):
    """Use of the pieces of a trained tokenizer in the training text.

    Attributes:
        size: Number of pieces, including the special ones.
        rare: Number of pieces that occur fewer than `RARE_COUNT` times.
        tokens: Number of tokens of the text, without EOS.
        smallest: Approximate size of the smallest vocabulary with all characters of the text.
    """

    size: int
    rare: int
    tokens: int
    smallest: int


class Overlap(NamedTuple):
    """Sentences of a validation or test corpus that are also in the training corpora.

    Attributes:
        total: Number of sentences of the corpus.
        sources: Number of sentences whose source is in the training corpora.
        pairs: Number of sentences whose source and target are a training pair.
    """

    total: int
    sources: int
    pairs: int


def unigram_loss(train: EncodedMixture, valid: EncodedCorpus, vocabulary_size: int) -> float:
    """The loss of a model that predicts every target token by its frequency in the training corpora.

    Frequencies are counted on at most `MAX_COUNTED_TOKENS` tokens of each corpus, EOS included, weighted by the
    corpora's shares of an epoch, with add-one (Laplace) smoothing.

    Returns:
        Mean negative log-likelihood per target token of the validation corpus, in nats.
    """
    counts = np.ones(vocabulary_size)
    for part, sentences in zip(train.parts, train.counts, strict=True):
        tokens = part.target.tokens[:MAX_COUNTED_TOKENS]
        share = sentences / len(part) * len(part.target.tokens) / len(tokens)
        counts += np.bincount(tokens, minlength=vocabulary_size) * share
    nll = np.log(counts.sum()) - np.log(counts)
    found = np.bincount(valid.target.tokens, minlength=vocabulary_size)
    return float((found * nll).sum() / found.sum())


def vocabulary_use(train: EncodedMixture, tokenizers: Tokenizers) -> VocabularyUse:
    """Vocabulary use of the tokenizer with the larger share of rare pieces; a joint one is counted on both sides.

    At most `MAX_COUNTED_TOKENS` tokens of each side of each corpus are counted. Byte pieces, which spell unknown
    characters, are left out: they are expected to be rare.
    """
    source, target = (_count(train, side, tokenizer) for side, tokenizer in zip(SIDES, tokenizers, strict=True))
    if tokenizers.is_joint:
        return _use(tokenizers.target, source + target)
    uses = [_use(*pair) for pair in zip(tokenizers, (source, target), strict=True)]
    return max(uses, key=lambda use: use.rare / use.size)


def _count(train: EncodedMixture, side: str, tokenizer: Tokenizer) -> np.ndarray:
    counts = np.zeros(tokenizer.vocabulary_size, np.int64)
    for part in train.parts:
        counts += np.bincount(getattr(part, side).tokens[:MAX_COUNTED_TOKENS], minlength=len(counts))
    return counts


def _use(tokenizer: Tokenizer, counts: np.ndarray) -> VocabularyUse:
    pieces = tokenizer.pieces(range(EOS_ID + 1, tokenizer.vocabulary_size))
    spelling = np.array([piece.startswith("<0x") and piece.endswith(">") for piece in pieces], bool)
    learnt = counts[EOS_ID + 1 :]
    characters = sum(len(piece) == 1 for piece in pieces)
    return VocabularyUse(
        size=tokenizer.vocabulary_size,
        rare=int(((learnt < RARE_COUNT) & ~spelling).sum()),
        tokens=int(learnt.sum()),
        smallest=int(1.1 * (EOS_ID + 1 + characters + spelling.sum())),
    )


def measure_source_lines(train: EncodedMixture, tokenizer: Tokenizer, language: str | None) -> SourceLines:
    """Lengths of the source lines of an epoch, and numbers of sentences per line in a random sample of them.

    Args:
        train: Training corpora.
        tokenizer: Source tokenizer.
        language: Source language (ISO 639); None if unknown.
    """
    lines = train.epoch_indices(seed=0, epoch=1)
    lengths = train.source.lengths if lines is None else train.source.lengths[lines]
    sample = np.random.default_rng(0).permutation(len(train))[:SAMPLED_LINES]
    sample = np.sort(sample if lines is None else lines[sample])
    ids = np.split(train.source.ids(sample), train.source.lengths[sample].cumsum()[:-1])
    sentences = [split_sentences(tokenizer.decode(line.tolist()), language) for line in ids]
    counts = np.array([max(len(line), 1) for line in sentences])
    return SourceLines(
        max_tokens=int(lengths.max()),
        usual_tokens=int(np.quantile(lengths, USUAL, method="higher")),
        usual_sentences=int(np.quantile(counts, USUAL, method="higher")),
        several_sentences=float(np.mean(counts > 1)),
        language=language,
    )


def count_overlaps(train: EncodedMixture, corpora: Sequence[EncodedCorpus]) -> list[Overlap]:
    """The overlap of each corpus with the training corpora; sentences are equal if their token ids are."""
    wanted = np.concatenate([_hash_pairs(corpus, 0, len(corpus)) for corpus in corpora], axis=1)
    found = np.zeros(wanted.shape, bool)
    for part in train.parts:
        for start in range(0, len(part), CHUNK_SENTENCES):
            seen = _hash_pairs(part, start, min(start + CHUNK_SENTENCES, len(part)))
            found |= [np.isin(*hashes) for hashes in zip(wanted, seen, strict=True)]
    ends = np.cumsum([len(corpus) for corpus in corpora])
    counts = [rows.sum(axis=1).tolist() for rows in np.split(found, ends[:-1], axis=1)]
    return [Overlap(len(corpus), *count) for corpus, count in zip(corpora, counts, strict=True)]


def _hash_pairs(corpus: EncodedCorpus, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
    """Hashes of the sources, and of the pairs, of some sentences."""
    source, target = (hash_sentences(side, start, stop) for side in (corpus.source, corpus.target))
    return source, source * np.uint64(0xD6E8FEB86659FD93) + target


def hash_sentences(side: MemoryMappedSide, start: int, stop: int) -> np.ndarray:
    """64-bit hashes of sentences, (stop - start,) uint64: sums of a hash of each token with its position."""
    offsets = np.asarray(side.offsets[start : stop + 1])
    starts, lengths = offsets[:-1] - offsets[0], np.diff(offsets)
    positions = (np.arange(lengths.sum()) - np.repeat(starts, lengths)).astype(np.uint64)
    bits = side.tokens[offsets[0] : offsets[-1]].astype(np.uint64) + (positions << np.uint64(32))
    for factor in (0xBF58476D1CE4E5B9, 0x94D049BB133111EB):  # SplitMix64's finalizer (Steele et al. 2014)
        bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(factor)
    bits ^= bits >> np.uint64(31)
    return np.add.reduceat(bits, starts) if len(starts) else bits


def most_frequent_target(train: EncodedMixture, tokenizer: Tokenizer) -> str:
    """The most frequent target sentence of the training corpora; the first one of several."""
    hashes = np.concatenate(list(_target_hashes(train)))
    _, first, counts = np.unique(hashes, return_index=True, return_counts=True)
    place = int(first[counts == counts.max()].min())
    for part in train.parts:
        if place < (size := min(len(part), MAX_COMPARED_SENTENCES)):
            return tokenizer.decode(part.target.ids(np.array([place])).tolist())
        place -= size
    raise AssertionError("every target is in one of the parts")


def _target_hashes(train: EncodedMixture) -> Iterator[np.ndarray]:
    for part in train.parts:
        size = min(len(part), MAX_COMPARED_SENTENCES)
        for start in range(0, size, CHUNK_SENTENCES):
            yield hash_sentences(part.target, start, min(start + CHUNK_SENTENCES, size))
