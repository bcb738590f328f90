"""SentencePiece tokenizers with fixed ids of special tokens, applied to cleaned text."""

import hashlib
import warnings
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import sentencepiece

from seq2seq.arguments import check_arguments
from seq2seq.config.data import TargetTokenizerConfig
from seq2seq.data.tokenizer_training import SPECIAL_TOKENS, train_model
from seq2seq.errors import TokenizerError
from seq2seq.plurals import pluralize
from seq2seq.storage.files import atomic_write, unreadable
from seq2seq.text.cleaning import clean

PAD_ID, UNK_ID, BOS_ID, EOS_ID = range(len(SPECIAL_TOKENS))


class Tokenizer:
    """Convert text to token ids and back with a SentencePiece model.

    `encode` cleans text first (`text.cleaning`). With `normalization: identity`, decoding restores the clean text,
    except for repeated or outer spaces, characters without a piece, and U+2581, SentencePiece's symbol for a space,
    which becomes a space.

    Args:
        model: A serialised SentencePiece model with ids pad 0, unk 1, bos 2, eos 3.
        origin: Name of the model in errors, usually its path.
        tag: Piece with which the ids of every text begin, except those of a blank one; see `with_tag`.

    Attributes:
        prefix: The id of the tag, or no ids.

    Raises:
        TokenizerError: The bytes are not a SentencePiece model, its special tokens have other ids, or the tag is not
            one of its pieces.
    """

    pad_id, unk_id, bos_id, eos_id = PAD_ID, UNK_ID, BOS_ID, EOS_ID

    @check_arguments()
    def __init__(self, model: bytes, origin: str = "tokenizer", tag: str | None = None) -> None:
        self.model, self.tag, self.origin = model, tag, origin
        if not model:  # to SentencePiece, empty bytes mean that no model is given
            raise TokenizerError(f"{origin}: not a SentencePiece model: it is empty.")
        try:
            self._processor = sentencepiece.SentencePieceProcessor(model_proto=model)
            self.vocabulary_size: int = self._processor.get_piece_size()
            self._processor.id_to_piece(list(range(self.vocabulary_size)))  # in a damaged model, some are not UTF-8
        except (RuntimeError, OSError, UnicodeDecodeError):
            raise TokenizerError(f"{origin}: not a SentencePiece model.") from None
        found = tuple(getattr(self._processor, f"{name}_id")() for name in SPECIAL_TOKENS)
        if found != (PAD_ID, UNK_ID, BOS_ID, EOS_ID):
            raise TokenizerError(
                f"{origin}: expected ids pad 0, unk 1, bos 2, eos 3, found pad {found[0]}, unk {found[1]}, "
                f"bos {found[2]}, eos {found[3]}. Train it again with: "
                f"seq2seq tokenizer train --vocabulary-size {self.vocabulary_size} --output MODEL.spm TEXT..."
            )
        self.prefix: list[int] = [] if tag is None else self.ids([clean(tag)])
        if UNK_ID in self.prefix:
            raise TokenizerError(
                f"{origin}: has no piece {tag!r}, with which every source is to begin. Train it with the tag as one of "
                "its 'user_defined_symbols' (--user-defined-symbols)."
            )

    @check_arguments()
    def with_tag(self, tag: str | None) -> "Tokenizer":
        """The same model with another tag, or with none."""
        return self if tag == self.tag else Tokenizer(self.model, self.origin, tag)

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpickled, (self.model, self.tag)

    @classmethod
    @check_arguments()
    def load(cls, path: str | Path) -> "Tokenizer":
        """Read a SentencePiece model file."""
        try:
            return cls(Path(path).read_bytes(), origin=str(path))
        except OSError as error:
            raise TokenizerError(unreadable(Path(path), error)) from None

    @classmethod
    @check_arguments(config="Pass TokenizerConfig(vocabulary_size=500).")
    def train(
        cls,
        sentences: Iterable[str],
        config: TargetTokenizerConfig,
        on_warning: Callable[[str], None] = warnings.warn,
    ) -> "Tokenizer":
        """Train a model on sentences.

        Args:
            sentences: Raw text, which is cleaned here. If there are more than
                `tokenizer_training.MAX_TRAINING_CHARACTERS`, a random sample is used, the same one each time.
            config: Kind, size and options of the model. A size that the text does not allow is an error if
                `exact_size`; otherwise the nearest possible size is used.
            on_warning: Function called with a message if a different size is used; by default it issues a
                `UserWarning`.

        Raises:
            TokenizerError: There is no text; the text does not allow a vocabulary of exactly this size (the message
                has the smallest and the largest size); or a symbol is white space or invisible.
        """
        return cls(train_model(sentences, config, on_warning))

    @check_arguments(text="encode_batch takes several texts.")
    def encode(self, text: str) -> list[int]:
        """Encode a sentence as token ids, without BOS and EOS, beginning with the tag; [] for a blank one."""
        return self.encode_batch([text])[0]

    @check_arguments()
    def encode_batch(self, texts: Sequence[str], *, are_clean: bool = False) -> list[list[int]]:
        """Encode many sentences, faster than one by one; `are_clean` skips cleaning."""
        encoded = self._processor.encode(list(texts) if are_clean else [clean(text) for text in texts])
        return [self.prefix + ids if ids else ids for ids in encoded] if self.prefix else encoded

    @check_arguments()
    def decode(self, token_ids: Sequence[int]) -> str:
        """Decode token ids to clean text, which is always one line; special ids and the tag before it are omitted.

        Raises:
            TokenizerError: An id is not in the vocabulary.
        """
        self._check_ids(token_ids)
        ids = [int(token) for token in token_ids if token > EOS_ID or token == UNK_ID]
        if self.prefix and ids[:1] == self.prefix:
            ids = ids[1:]
        text = self._processor.decode(ids)
        # With byte fallback, a model can spell any character, e.g. a line feed, which would shift all following lines.
        return clean(text)

    @check_arguments()
    def decode_with_unknowns(self, token_ids: Sequence[int], unknown_surfaces: Sequence[str]) -> str:
        """Decode token ids, with the given texts in place of unknown tokens.

        Args:
            token_ids: See `decode`.
            unknown_surfaces: Text of each unknown token in turn; it begins with a space if it begins a word, and
                adjacent spaces become one.
        """
        texts, result = iter(unknown_surfaces), ""
        tokens = [int(token) for token in token_ids if token > EOS_ID or token == UNK_ID]
        for is_unknown, run in groupby(tokens, key=UNK_ID.__eq__):
            ids = list(run)
            # Decoding removes the space before the first word, which is right only for the first word of the sentence.
            begins_word = self.pieces(ids[:1])[0].startswith("▁")
            for text in [next(texts) for _ in ids] if is_unknown else [" " * begins_word + self.decode(ids)]:
                result += text.lstrip(" ") if result[-1:] in ("", " ") else text
        return result

    @check_arguments()
    def surfaces(self, text: str) -> list[str]:
        """The text of each token of `encode(text)`, before SentencePiece's normalisation.

        The text begins with one space if the token begins a word. If several tokens spell one character, as bytes do,
        the last one has its text, and the others have "", as has the tag.
        """
        pieces = self._parsed(text).pieces
        tag = [""] * len(self.prefix) if pieces else []
        return tag + [" " * piece.piece.startswith("▁") + " ".join(piece.surface.split()) for piece in pieces]

    @check_arguments()
    def unknown_surfaces(self, text: str) -> list[str]:
        """The text of each unknown token of `encode(text)`, without surrounding spaces."""
        return [piece.surface.strip(" ") for piece in self._parsed(text).pieces if piece.id == UNK_ID]

    @check_arguments()
    def unknown_characters(self, text: str) -> tuple[str, ...]:
        """The characters of a text that the tokenizer does not know, each once."""
        return tuple(dict.fromkeys("".join(self.unknown_surfaces(text))))

    def _parsed(self, text: str) -> Any:
        from sentencepiece.sentencepiece_pb2 import SentencePieceText

        return SentencePieceText.FromString(self._processor.encode(clean(text), out_type="serialized_proto"))

    @check_arguments()
    def pieces(self, token_ids: Sequence[int]) -> list[str]:
        """The vocabulary entries of token ids, e.g. `▁the`; errors as in `decode`."""
        self._check_ids(token_ids)
        return [self._processor.id_to_piece(int(token)) for token in token_ids]

    def _check_ids(self, token_ids: Sequence[int]) -> None:
        wrong = [token for token in token_ids if not 0 <= token < self.vocabulary_size]
        if wrong:
            raise TokenizerError(f"id {wrong[0]} is not in the vocabulary of {self.vocabulary_size} tokens.")

    @check_arguments()
    def ids(self, pieces: Sequence[str]) -> list[int]:
        """The token ids of vocabulary entries; unknown ones give `unk_id`."""
        return [self._processor.piece_to_id(piece) for piece in pieces]

    def frequency_scores(self) -> list[float]:
        """For each vocabulary entry, a number that is larger for more frequent ones.

        It is the log-probability in a unigram model, and the negative rank in a BPE model.
        """
        return [self._processor.get_score(token) for token in range(self.vocabulary_size)]

    @check_arguments()
    def save(self, path: str | Path) -> None:
        """Write the SentencePiece model file.

        Raises:
            StorageError: It cannot be written.
        """
        with atomic_write(Path(path), len(self.model)) as partial:
            partial.write_bytes(self.model)

    def __repr__(self) -> str:
        return f"Tokenizer({pluralize(self.vocabulary_size, 'piece')})"

    def file_checksum(self) -> str:
        """SHA-256 of the file that `save` writes, in hexadecimal."""
        return hashlib.sha256(self.model).hexdigest()

    def fingerprint(self) -> str:
        """SHA-256 of the model and the tag, in hexadecimal."""
        return hashlib.sha256(self.model + (self.tag or "").encode()).hexdigest()


@lru_cache(maxsize=4)
def _unpickled(model: bytes, tag: str | None) -> Tokenizer:
    """Make a tokenizer only once in a process that receives it again and again."""
    return Tokenizer(model, tag=tag)


class Tokenizers(NamedTuple):
    """Source and target tokenizer; a joint tokenizer is one model for both, and one object if sources have no tag.

    A language model has one tokenizer, which is used for both.
    """

    source: Tokenizer
    target: Tokenizer

    @property
    def is_joint(self) -> bool:
        """Whether both sides have one model."""
        return self.source.model is self.target.model

    @property
    def vocabulary_sizes(self) -> tuple[int, int]:
        """Vocabulary sizes of source and target."""
        return self.source.vocabulary_size, self.target.vocabulary_size

    def describe_sizes(self) -> str:
        """Describe the sizes as `1,600 joint`, or `1,600 source, 1,700 target`."""
        source, target = (f"{size:,}" for size in self.vocabulary_sizes)
        return f"{source} joint" if self.is_joint else f"{source} source, {target} target"

    def files(self) -> dict[str, Tokenizer]:
        """The tokenizers by their file names in a model directory."""
        return {"joint.spm": self.source} if self.is_joint else {"source.spm": self.source, "target.spm": self.target}
