"""Units of subword sampling: stretches of text that are segmented independently of each other."""

from itertools import pairwise
from typing import NamedTuple, TypeVar

import numpy as np

from seq2seq.data.encoded import EncodedSide, token_dtype
from seq2seq.data.tokenizer import Tokenizer

CHUNK_SENTENCES = 2**13  # sentences divided into units, or segmented, at once
FIXED = -1  # in place of the characters of a fixed token

Codes = TypeVar("Codes", int, np.ndarray)


class Piece(NamedTuple):
    """A piece of a vocabulary."""

    token: int
    score: float


class Vocabulary:
    """The pieces of a SentencePiece model into which text can be segmented.

    All other tokens are *fixed*: special tokens; user-defined symbols, which are always one token; `<unk>` and bytes,
    which stand for characters without a piece.

    Attributes:
        model_type: Subword algorithm: `unigram`, `bpe`, `word` or `char`.
        pieces: Pieces by their text.
        texts: Text of each token id; None if the token is fixed.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        from sentencepiece.sentencepiece_model_pb2 import ModelProto, TrainerSpec

        model = ModelProto.FromString(tokenizer.model)
        self.model_type: str = TrainerSpec.ModelType.Name(model.trainer_spec.model_type).lower()
        normal = ModelProto.SentencePiece.NORMAL
        self.texts = [piece.piece if piece.type == normal else None for piece in model.pieces]
        self.pieces = {
            text: Piece(token, model.pieces[token].score) for token, text in enumerate(self.texts) if text is not None
        }
        ends = [(FIXED, FIXED) if text is None else (ord(text[0]), ord(text[-1])) for text in self.texts]
        self._firsts, self._lasts = np.array(ends, np.int64).T
        inside = {_pair(ord(a), ord(b)) for text in self.pieces for a, b in pairwise(text)}
        self._inside = np.array(sorted(inside), np.int64)

    def find_cuts(self, ids: np.ndarray) -> np.ndarray:
        """Whether every segmentation of a text is divided between two tokens, for each two adjacent ones.

        It is beside a fixed token, and where no piece has the two characters that meet there: in usual models, before
        every space; in text without spaces, too, at many places.

        Args:
            ids: (N,) token ids of the text.

        Returns:
            (N - 1,) bool.
        """
        return ~np.isin(_pair(self._lasts[ids[:-1]], self._firsts[ids[1:]]), self._inside)

    def text(self, ids: np.ndarray) -> str | None:
        """The text of a unit; None if it is a fixed token."""
        texts = [self.texts[token] for token in ids]
        return None if None in texts else "".join(map(str, texts))


def _pair(first: Codes, second: Codes) -> Codes:
    """One number for two code points; negative, or that of no text, if one of them is `FIXED`."""
    return first * 2**21 + second


class SubwordUnits:
    """The sentences of one side of a corpus, divided into units, at the cuts that all their segmentations share.

    Units are found in the token ids, since these restore the text exactly. Takes 4 bytes of memory per unit, in
    addition to the distinct ones.

    Attributes:
        dtype: Smallest dtype of the vocabulary's token ids.
        distinct: Token ids of each distinct unit, int32.
        numbers: (units of all sentences,) int32, the distinct unit at each place.
        offsets: (N + 1,) int64: sentence i has the units `offsets[i]` to `offsets[i + 1]`; the last one is EOS.
    """

    def __init__(self, side: EncodedSide, vocabulary: Vocabulary) -> None:
        size, self.dtype = len(side.lengths), token_dtype(len(vocabulary.texts))
        known: dict[bytes, int] = {}
        numbers, counts = [np.zeros(0, np.int32)], [np.zeros(1, np.int64)]
        for start in range(0, size, CHUNK_SENTENCES):
            sentences = np.arange(start, min(start + CHUNK_SENTENCES, size))
            ids = np.ascontiguousarray(side.ids(sentences), np.int32)
            begins = np.concatenate([[True], vocabulary.find_cuts(ids)])  # EOS is fixed: no unit spans two sentences
            data, bounds = ids.tobytes(), [*(4 * np.flatnonzero(begins)).tolist(), 4 * len(ids)]
            found = [known.setdefault(data[a:b], len(known)) for a, b in pairwise(bounds)]
            numbers.append(np.array(found, np.int32))
            ends = np.cumsum(side.lengths[sentences], dtype=np.int64)
            counts.append(np.add.reduceat(begins, ends - side.lengths[sentences], dtype=np.int64))
        self.distinct = [np.frombuffer(unit, np.int32) for unit in known]
        self.numbers, self.offsets = np.concatenate(numbers), np.cumsum(np.concatenate(counts))
