"""From somebody's own pairs to a translator, in one call."""

import json
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import keras
from rich.console import Console

from seq2seq.config import CorpusConfig, TranslationConfig, dump_config, parse_config_text
from seq2seq.config.data import DataConfig, ValidConfig
from seq2seq.corpora.in_memory import collect_pairs, pair_files, write_pairs
from seq2seq.errors import ConfigError, TrainingError
from seq2seq.inference.translator import Translator
from seq2seq.model_directory.directory import CONFIG, METADATA
from seq2seq.storage.files import sha256
from seq2seq.training.run import TrainingReport, train

HELD_OUT = 0.02  # share of the sources


class TrainedTranslator(Translator):
    """A translator, and how it was trained.

    report     how the run ended; `plot_history` draws it
    directory  where the run and its recipe lie; a temporary one goes with the translator, so `save` what is to stay
    """

    report: TrainingReport
    directory: Path
    _temporary: TemporaryDirectory[str] | None = None

    def _repr_html_(self) -> str:
        return super()._repr_html_() + self.report._repr_html_()


def train_pairs(
    pairs: Any,
    directory: str | Path | None = None,
    *,
    valid: Any = None,
    minutes: float | None = None,
    languages: str | tuple[str, str] | None = None,
    columns: Sequence[str | int] | None = None,
    overrides: Sequence[str] | Mapping[str, Any] = (),
    console: Console | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> TrainedTranslator:
    """Train a translator on pairs of sentences: `seq2seq train PAIRS` as a function.

    How much text there is, and `minutes`, decide vocabulary, width, dropout, batches, schedule and length of the run.
    The directory then has the complete recipe, `config.yaml`, and pairs that came from memory as `pairs.tsv`, so that
    `seq2seq train DIRECTORY/config.yaml` trains the same model again. The same call resumes an interrupted run.

    Args:
        pairs: (source, target) tuples, dicts or `SentencePair`s from any iterable; a data frame; a dict of two lists;
            the path of a TSV file; or the paths of two files that answer each other line by line.
        directory: The model directory; by default a temporary one that is deleted with the translator.
        valid: What is measured while training: pairs in the same shapes, a number of pairs to hold out of `pairs`, or
            their share as a fraction; by default a share that the amount of text decides.
        minutes: How long to train; by default as long as the amount of text makes sense of.
        languages: Of source and target, as `"en-de"`; by default those that the columns' or files' names tell, if any.
        columns: Which two hold source and target: names of a data frame's or dicts', numbers from 1 of a file's.
        overrides: Keys of the recipe to decide otherwise: `{"encoder.cell": "lstm"}`, or `["encoder.cell=lstm"]`.
        console, callbacks: See `train`.

    Raises:
        CorpusError: `pairs` is something else, or what should be a sentence is not text.
        TrainingError: The directory holds a run on other pairs; the run was interrupted before its first validation;
            or see `train`.
        ConfigError: See `load_config`.
    """
    temporary = TemporaryDirectory(prefix="seq2seq-") if directory is None else None
    folder = Path(temporary.name if directory is None and temporary else directory or "")
    plan = plan_pairs(pairs, folder, valid=valid, minutes=minutes, languages=languages, columns=columns)
    report = train(override_recipe(plan, overrides), folder, callbacks, console)
    if not (folder / METADATA).exists():
        raise TrainingError(f"{folder}: interrupted before the first validation. The same call resumes the run.")
    translator = TrainedTranslator.load(folder)
    translator.report, translator.directory, translator._temporary = report, folder, temporary
    return translator


def plan_pairs(
    pairs: Any,
    folder: Path,
    *,
    valid: Any = None,
    minutes: float | None = None,
    languages: str | tuple[str, str] | None = None,
    columns: Sequence[str | int] | None = None,
) -> TranslationConfig:
    """The recipe that fits pairs, which are written into `folder` if they come from memory; see `train_pairs`."""
    return TranslationConfig(data=_data(pairs, valid, folder, _languages(languages), columns))


def _data(pairs: Any, valid: Any, folder: Path, languages: tuple[str, str] | None, columns: Any) -> DataConfig:
    """The recipe's section, once what came from memory is written into the model directory."""
    train, named = _corpus(pairs, folder, "pairs", columns)
    source, target = languages or named or (None, None)
    if valid is None:
        held_out = ValidConfig(fraction=HELD_OUT)
    elif isinstance(valid, (int, float)):
        held_out = ValidConfig(pairs=valid) if isinstance(valid, int) else ValidConfig(fraction=valid)
    else:
        corpus, _ = _corpus(valid, folder, "valid", columns)
        held_out = ValidConfig(**corpus.model_dump(exclude_unset=True))
    return DataConfig(train=train, valid=held_out, source_language=source, target_language=target)


def _corpus(
    pairs: Any, folder: Path, name: str, columns: Sequence[str | int] | None
) -> tuple[CorpusConfig, tuple[str, str] | None]:
    """What a recipe says of pairs, and their languages if they tell them."""
    if files := pair_files(pairs):
        paths = [str(file.resolve()) for file in files]
        corpus = CorpusConfig(tsv=paths[0]) if len(paths) == 1 else CorpusConfig(source=paths[0], target=paths[1])
        return corpus, None
    found = collect_pairs(pairs, columns)
    path = folder.resolve() / f"{name}.tsv"
    folder.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    if changed := write_pairs(found.pairs, new):
        warnings.warn(
            f"{changed:,} of {len(found.pairs):,} pairs have tabs, line breaks or broken characters within a sentence; "
            f"{path} has spaces in their place.",
            stacklevel=3,
        )
    if path.exists() and (folder / CONFIG).exists() and sha256(path) != sha256(new):
        new.unlink()
        raise TrainingError(f"{path}: holds the pairs of another run. Train into another directory.")
    new.replace(path)
    return CorpusConfig(tsv=str(path)), found.languages


def override_recipe(config: TranslationConfig, overrides: Sequence[str] | Mapping[str, Any]) -> TranslationConfig:
    """The recipe with some keys decided otherwise, as by `--set`, and checked."""
    if isinstance(overrides, Mapping):
        overrides = [f"{key}={json.dumps(value)}" for key, value in overrides.items()]
    changed = parse_config_text(dump_config(config).encode(), "the planned recipe", overrides)
    assert isinstance(changed, TranslationConfig)
    return changed


def _languages(given: str | tuple[str, str] | None) -> tuple[str, str] | None:
    """`("en", "de")` of `"en-de"`.

    Raises:
        ConfigError: It is something else.
    """
    parts = tuple(given.split("-")) if isinstance(given, str) else given
    if parts is None or len(parts) == 2:
        return parts  # type: ignore[return-value]
    raise ConfigError(f"languages: expected source and target, as 'en-de', found {given!r}.")
