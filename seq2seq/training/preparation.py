"""From a recipe to tokenizers, encoded corpora and validation text."""

import hashlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from seq2seq.batching import EncodedCorpus, encode_corpus
from seq2seq.config import Config, FilterConfig
from seq2seq.corpora import Corpus, FilterReport, SentencePair, filter_pairs, open_corpus
from seq2seq.corpora.pairs import find_file
from seq2seq.errors import TrainingError
from seq2seq.model_directory import Tokenizers
from seq2seq.tokenizer import Tokenizer
from seq2seq.training.display import Display

# Validation text is measured as it is; only what cannot be scored by teacher forcing is left out of the loss.
UNFILTERED = FilterConfig(empty=False, duplicates=False, max_characters=None, max_ratio=None)


@dataclass(frozen=True)
class Prepared:
    """What training reads."""

    tokenizers: Tokenizers
    train: EncodedCorpus
    valid: EncodedCorpus
    valid_pairs: list[SentencePair]

    def fingerprint(self) -> str:
        """Changes with the text, the filters and the tokenizers of both corpora."""
        return f"{self.train.fingerprint} {self.valid.fingerprint}"


def prepare(config: Config, folder: Path, display: Display, tokenizers: Tokenizers | None = None) -> Prepared:
    """Read, filter, tokenize and encode the corpora of a recipe.

    Encoded corpora stay in `folder/encoded` and are made again only when the text, the filters or a tokenizer
    changed.

    Args:
        config: The recipe.
        folder: The model directory.
        display: Where to show progress.
        tokenizers: Those of a run that goes on. By default they are those that the recipe names, or else are
            trained on the filtered training corpus.

    Raises:
        CorpusError, TokenizerError: See the readers.
        TrainingError: Nothing is left of a corpus.
    """
    train, valid = open_corpus(config.data.train), open_corpus(config.data.valid)
    if config.data.test is not None:
        open_corpus(config.data.test)
    tokenizers = tokenizers or _tokenizers(config, train, display)
    encoded = []
    for name, corpus, filters in (("train", train, config.data.filters), ("valid", valid, UNFILTERED)):
        ids = _encode(name, corpus, filters, tokenizers, folder / "encoded", display)
        if not len(ids):
            hint = " and data.filters" if name == "train" else ""
            raise TrainingError(
                f"no {name} pairs are left of {ids.report.read} read; dropped: {ids.report or 'none'}. "
                f"Check data.{name}{hint}."
            )
        encoded.append(ids)
    return Prepared(tokenizers, encoded[0], encoded[1], list(valid))


def _tokenizers(config: Config, corpus: Corpus, display: Display) -> Tokenizers:
    options = config.tokenizer
    if options.source_model is not None:
        source = Tokenizer.load(find_file(options.source_model))
        return Tokenizers(
            source, source if options.target_model is None else Tokenizer.load(find_file(options.target_model))
        )

    def train(sides: tuple[int, ...], what: str) -> Tokenizer:
        pairs = filter_pairs(corpus, config.data.filters, FilterReport())
        with display.waiting(f"training the {what} tokenizer"):
            return Tokenizer.train((pair[side] for pair in pairs for side in sides), options)

    if options.joint:
        joint = train((0, 1), "joint")
        return Tokenizers(joint, joint)
    return Tokenizers(train((0,), "source"), train((1,), "target"))


def _encode(
    name: str, corpus: Corpus, filters: FilterConfig, tokenizers: Tokenizers, folder: Path, display: Display
) -> EncodedCorpus:
    with display.waiting(f"reading the {name} corpus"):
        parts = [
            corpus.fingerprint(),
            filters.model_dump_json(),
            *(tokenizer.fingerprint() for tokenizer in tokenizers),
        ]
    fingerprint = hashlib.sha256("\n".join(parts).encode()).hexdigest()
    with suppress(OSError, ValueError, KeyError):  # absent or damaged: encode
        stored = EncodedCorpus(folder / name)
        if stored.fingerprint == fingerprint:
            return stored
    report = FilterReport()
    with display.counting(f"encoding the {name} corpus", "pairs") as advance:
        return encode_corpus(
            filter_pairs(corpus, filters, report),
            *tokenizers,
            folder / name,
            fingerprint,
            max_tokens=filters.max_tokens if name == "train" else None,
            report=report,
            progress=advance,
        )
