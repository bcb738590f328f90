"""From a recipe to tokenizers, encoded corpora and validation text."""

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seq2seq.config import Config, FilterConfig, TextConfig
from seq2seq.corpora import Corpus, SentencePair, TargetSide, open_corpus
from seq2seq.corpora.filters import FilterReport, filter_pairs
from seq2seq.data.encoded import UNFILTERED, EncodedCorpus, encode_corpus
from seq2seq.data.mixture import EncodedMixture
from seq2seq.data.tokenizer import Tokenizer, Tokenizers
from seq2seq.errors import TokenizerError, TrainingError
from seq2seq.model_directory.directory import load_tokenizers
from seq2seq.storage.paths import expand, find_file
from seq2seq.training.display import Display


@dataclass(frozen=True)
class Prepared:
    """What training reads.

    facts  of `train`, a list of corpora, and of `valid`: `name`; pairs `read` and `kept`, and `dropped` by reason;
           `source_tokens` (a language model has none) and `target_tokens`, EOS included; of `train` also its
           `share` of an epoch, 0 to 1
    """

    tokenizers: Tokenizers
    train: EncodedMixture
    valid: EncodedCorpus
    valid_pairs: list[SentencePair]
    facts: dict[str, Any]
    alone: bool  # for a language model, which has no source

    def size(self, source: int, target: int) -> str:
        """Numbers of tokens in words, without those of a source that there is not."""
        return f"{target} tokens" if self.alone else f"{source} source and {target} target tokens"

    def fingerprint(self) -> str:
        """Changes with the text, the filters and the tokenizers of all corpora."""
        return f"{self.train.fingerprint} {self.valid.fingerprint}"


def prepare(config: Config, folder: Path, display: Display, tokenizers: Tokenizers | None = None) -> Prepared:
    """Read, filter, tokenize and encode the corpora of a recipe; a language model's by their target side.

    Encoded corpora stay in `folder/encoded` and are made again only when the text, the filters or a tokenizer
    changed.

    Args:
        config: The recipe.
        folder: The model directory.
        display: Where to show progress.
        tokenizers: Those of a run that goes on. By default they are those that the recipe names, or else are
            trained on the filtered training corpus.

    Raises:
        CorpusError, TokenizerError, ModelDirectoryError: See the readers.
        TrainingError: Nothing is left of a corpus.
    """
    data = config.corpora
    alone = config.task == "language_model"

    def open_side(spec: TextConfig) -> Corpus:
        return TargetSide(open_corpus(spec)) if alone else open_corpus(spec)

    parts, valid = [open_side(part) for part in data.train.parts()], open_side(data.valid)
    if data.test is not None:
        open_side(data.test)
    tokenizers = tokenizers or _tokenizers(config, parts, display)

    def encode(key: str, corpus: Corpus, filters: FilterConfig) -> EncodedCorpus:
        ids = _encode(key, corpus, filters, tokenizers, folder / "encoded", display, alone)
        if not len(ids):
            name, hint = key.partition(".")[0], " and data.filters" if key.startswith("train") else ""
            unit = "sentences" if alone else "pairs"
            raise TrainingError(
                f"no {name} {unit} are left of {ids.report.read} read; dropped: {ids.report or 'none'}. "
                f"Check data.{key}{hint}."
            )
        return ids

    keys = ["train"] if data.train.mixture is None else [f"train.mixture.{number}" for number in range(len(parts))]
    train = EncodedMixture(
        [encode(key, corpus, data.filters) for key, corpus in zip(keys, parts, strict=True)],
        data.train.weights(),
        data.train.temperature,
    )
    # Measured as it is; only what cannot be scored by teacher forcing is left out of the loss.
    valid_ids = encode("valid", valid, UNFILTERED)
    shares = (train.counts / len(train)).tolist()
    facts = {
        "train": [
            _facts(part.name(), ids, alone) | {"share": share}
            for part, ids, share in zip(data.train.parts(), train.parts, shares, strict=True)
        ],
        "valid": _facts(data.valid.name(), valid_ids, alone),
    }
    return Prepared(tokenizers, train, valid_ids, list(valid), facts, alone)


def _facts(name: str, ids: EncodedCorpus, alone: bool) -> dict[str, Any]:
    source = {} if alone else {"source_tokens": int(ids.source.lengths.sum())}
    return {
        "name": name,
        "read": ids.report.read,
        "kept": ids.report.kept,
        "dropped": dict(ids.report.dropped),
        **source,
        "target_tokens": int(ids.target.lengths.sum()),
    }


def _tokenizers(config: Config, corpora: Sequence[Corpus], display: Display) -> Tokenizers:
    options, alone = config.tokenizer, config.task == "language_model"
    if options.from_model is not None:
        folder = expand(options.from_model)
        return _one(load_tokenizers(folder).target) if alone else _tokenizers_of(folder, options.joint)
    if alone and options.target_model is not None:
        return _one(Tokenizer.load(find_file(options.target_model)))
    if options.source_model is not None:
        source = Tokenizer.load(find_file(options.source_model))
        return Tokenizers(
            source, source if options.target_model is None else Tokenizer.load(find_file(options.target_model))
        )

    def train(sides: tuple[int, ...], what: str) -> Tokenizer:
        pairs = (pair for corpus in corpora for pair in filter_pairs(corpus, config.data.filters, FilterReport()))
        with display.waiting(f"training the {what} tokenizer"):
            return Tokenizer.train((pair[side] for pair in pairs for side in sides), options)

    if alone:
        return _one(train((1,), config.tokenizer.model))
    if options.joint:
        return _one(train((0, 1), "joint"))
    return Tokenizers(train((0,), "source"), train((1,), "target"))


def _one(tokenizer: Tokenizer) -> Tokenizers:
    return Tokenizers(tokenizer, tokenizer)


def _tokenizers_of(folder: Path, joint: bool) -> Tokenizers:
    tokenizers = load_tokenizers(folder)
    found = tokenizers.source is tokenizers.target
    if found != joint:
        raise TokenizerError(
            f"tokenizer.from_model: {folder} has {'one joint tokenizer' if found else 'two tokenizers'}, and "
            f"tokenizer.joint is {str(joint).lower()}. Set it to {str(found).lower()}."
        )
    return tokenizers


def _encode(
    key: str,
    corpus: Corpus,
    filters: FilterConfig,
    tokenizers: Tokenizers,
    folder: Path,
    display: Display,
    alone: bool,
) -> EncodedCorpus:
    what = f"data.{key}"
    with display.waiting(f"reading {what}"):
        parts = [
            corpus.fingerprint(),
            filters.model_dump_json(),
            *(tokenizer.fingerprint() for tokenizer in tokenizers),
        ]
    fingerprint = hashlib.sha256("\n".join(parts).encode()).hexdigest()
    with suppress(OSError, ValueError, KeyError, TypeError):  # absent or damaged: encode
        stored = EncodedCorpus(folder / key)
        if stored.fingerprint == fingerprint:
            return stored
    source, target = (None if alone else tokenizers.source), tokenizers.target
    with display.counting(f"filtering and tokenizing {what}", "sentences" if alone else "pairs") as advance:
        return encode_corpus(corpus, source, target, folder / key, fingerprint, filtering=filters, progress=advance)
