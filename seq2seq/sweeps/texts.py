"""Text of a sweep: what its settings train on, and on which they are compared."""

import hashlib
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

from seq2seq.config import Config, stage_recipe
from seq2seq.corpora import SentencePair, open_corpus
from seq2seq.corpora.filters import FilterReport, filter_pairs
from seq2seq.corpora.held_out import open_train, open_valid
from seq2seq.corpora.lines import read_lines
from seq2seq.data.encoded import valid_filters
from seq2seq.errors import ConfigError
from seq2seq.plurals import pluralize
from seq2seq.storage.files import atomic_write
from seq2seq.text.cleaning import plain_form


class TextFiles(NamedTuple):
    """Files of line-aligned sources and references; a language model has no sources."""

    source: Path
    reference: Path

    @classmethod
    def of(cls, folder: Path, name: str) -> "TextFiles":
        """The files of `valid` or `test` in the folder of a sweep."""
        return cls(folder / f"{name}.source", folder / f"{name}.reference")


class Texts(NamedTuple):
    """Text of a setting.

    Attributes:
        train: Checksum of the training corpora of all stages.
        valid: Validation pairs of the last stage, whose loss is measured.
        test: Test pairs of the last stage; None if it has no test corpus.
    """

    train: str
    valid: list[SentencePair]
    test: list[SentencePair] | None


def last_stage(config: Config) -> Config:
    """The recipe of the last stage, which delivers the model; without stages, the recipe itself."""
    return _stages(config)[-1]


def _stages(config: Config) -> list[Config]:
    return [stage_recipe(config, number) for number in range(len(config.stages))] or [config]


def read_test(config: Config) -> list[SentencePair] | None:
    """The test pairs of a recipe's last stage; None if it has no test corpus."""
    last = last_stage(config)
    return None if last.corpora.test is None else list(open_corpus(last.corpora.test, last.sides))


def _read_texts(stages: Sequence[Config]) -> Texts:
    opened = [open_train(stage.corpora, stage.sides) for stage in stages]
    train = "\n".join(corpus.fingerprint() for parts in opened for corpus in parts)
    last = stages[-1]
    valid = open_valid(last.corpora, opened[-1], last.sides)
    pairs = list(filter_pairs(valid, valid_filters(last.corpora), FilterReport()))
    return Texts(hashlib.sha256(train.encode()).hexdigest(), pairs, read_test(last))


def texts_of_settings(configs: Mapping[str, Config]) -> dict[str, Texts]:
    """The text of each setting; all of them must have the same validation and test text, to be comparable.

    Args:
        configs: Recipe of each setting, by its label.

    Raises:
        ConfigError: Two settings validate, or are tested, on different text.
        CorpusError: A corpus cannot be read.
    """
    read: dict[str, Texts] = {}  # by the sections `data` of all stages
    found: dict[str, Texts] = {}
    for label, config in configs.items():
        stages = _stages(config)
        data = "\n".join(stage.corpora.model_dump_json() for stage in stages)
        texts = read[data] = read.get(data) or _read_texts(stages)
        first, expected = next(iter(found.items()), (label, texts))
        for name, verb in (("valid", "validates"), ("test", "is tested")):
            mine, others = getattr(texts, name), getattr(expected, name)
            if mine is not others and _plain(mine or (), config) != _plain(others or (), config):
                where = " in their last stage" if config.stages else ""
                raise ConfigError(
                    f"'{label}' {verb} on text that differs from that of '{first}', so they cannot be compared. Give "
                    f"all settings the same data.{name}{where}, a corpus of its own: --set data.{name}='{{tsv: "
                    f"{name}.tsv}}'."
                )
        found[label] = Texts(texts.train, expected.valid, expected.test)
    return found


def _plain(pairs: Sequence[SentencePair], config: Config) -> dict[str, list[str]]:
    """The lines of each side that a recipe reads; white space within a line is one space."""
    return {side: [plain_form(getattr(pair, side)) for pair in pairs] for side in config.sides}


def keep_text(folder: Path, name: str, pairs: Sequence[SentencePair], config: Config) -> TextFiles:
    """Write `NAME.source` and `NAME.reference`, one pair per line; if they exist, check that they have the same text.

    Scores are comparable only on the text with which a sweep began, so its files never change.

    Raises:
        ConfigError: They have other text.
    """
    files = TextFiles.of(folder, name)
    for side, lines in _plain(pairs, config).items():
        file = files.source if side == "source" else files.reference
        if not file.exists():
            with atomic_write(file) as partial:
                partial.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
            continue
        rows = enumerate(zip_longest(read_lines(file), lines), start=1)
        if changed := next((number for number, (old, new) in rows if old != new), None):
            raise ConfigError(
                f"{file}: is the text on which this sweep compares models, but data.{name} of its recipe has "
                f"changed since: it has {pluralize(len(lines), 'pair')}, and line {changed} is the first that differs. "
                "Restore its text, or give another --output."
            )
    return files
