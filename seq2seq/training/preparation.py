"""From a recipe to tokenizers, encoded corpora and validation text."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from seq2seq.batching import EncodedCorpus, encode_corpus
from seq2seq.config import Config, FilterConfig
from seq2seq.corpora import Corpus, FilterReport, SentencePair, filter_pairs, open_corpus
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
    filtered: FilterReport


def prepare(config: Config, folder: Path, display: Display) -> Prepared:
    """Read, filter, tokenize and encode the corpora of a recipe.

    Tokenizers are trained on the filtered training corpus unless the recipe gives them. Encoded corpora stay
    in `folder/encoded` and are made again only when the text, the filters or a tokenizer changed.

    Raises:
        CorpusError, TokenizerError: See the readers.
        TrainingError: Nothing is left after filtering.
    """
    corpus, filters = open_corpus(config.data.train), config.data.filters
    tokenizers = _tokenizers(config, corpus, display)
    encoded = {}
    for name, source, rules in (
        ("train", corpus, filters),
        ("valid", open_corpus(config.data.valid), UNFILTERED),
    ):
        encoded[name] = _encode(name, source, rules, tokenizers, folder / "encoded", display)
        if not len(encoded[name][0]):
            raise TrainingError(
                f"no {name} pairs are left of {encoded[name][1].read} read; dropped: "
                f"{describe_drops(encoded[name][1]) or 'none'}. Check data.{name} and data.filters."
            )
    return Prepared(
        tokenizers,
        encoded["train"][0],
        encoded["valid"][0],
        list(open_corpus(config.data.valid)),
        encoded["train"][1],
    )


def describe_drops(report: FilterReport) -> str:
    """`12 duplicate, 3 empty side`, or ""."""
    return ", ".join(f"{count:,} {reason}" for reason, count in report.dropped.most_common())


def _tokenizers(config: Config, corpus: Corpus, display: Display) -> Tokenizers:
    options = config.tokenizer
    if options.source_model is not None:
        source = Tokenizer.load(options.source_model)
        return Tokenizers(source, source if options.target_model is None else Tokenizer.load(options.target_model))

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
) -> tuple[EncodedCorpus, FilterReport]:
    parts = [
        corpus.fingerprint(),
        filters.model_dump_json(),
        *(tokenizer.fingerprint() for tokenizer in tokenizers),
    ]
    fingerprint = hashlib.sha256("\n".join(parts).encode()).hexdigest()
    target, counts = folder / name, folder / f"{name}.filters.json"
    report = FilterReport()
    if (target / "about.json").exists() and counts.exists() and EncodedCorpus(target).fingerprint == fingerprint:
        encoded = EncodedCorpus(target)
        stored = json.loads(counts.read_text(encoding="utf-8"))
        report.read, report.kept = stored["read"], stored["kept"]
        report.dropped.update(stored["dropped"])
        return encoded, report
    with display.counting(f"encoding the {name} corpus", "pairs") as advance:
        encoded = encode_corpus(
            filter_pairs(corpus, filters, report),
            *tokenizers,
            target,
            fingerprint,
            max_tokens=filters.max_tokens if name == "train" else None,
            progress=advance,
        )
    report.kept -= encoded.dropped.total()
    report.dropped += encoded.dropped
    values = {"read": report.read, "kept": report.kept, "dropped": dict(report.dropped)}
    counts.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
    return encoded, report
