"""Train a translator on your own pairs in one call."""

import warnings
from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import keras
from rich.console import Console

from seq2seq.arguments import check_arguments
from seq2seq.config import CorpusConfig, TranslationConfig
from seq2seq.config.corpus import ValidConfig
from seq2seq.config.languages import language_pair
from seq2seq.corpora.in_memory import collect_pairs, pair_files, write_pairs
from seq2seq.corpora.languages import identify_language
from seq2seq.corpora.survey import DetectedPairs, detect_pairs
from seq2seq.errors import ConfigError, TrainingError
from seq2seq.inference.translator import Translator
from seq2seq.model_directory.directory import CONFIG, METADATA
from seq2seq.plurals import pluralize
from seq2seq.storage.files import sha256
from seq2seq.training.callbacks import check_callbacks
from seq2seq.training.display import make_display
from seq2seq.training.planning import Overrides, describe_recipe, plan_training
from seq2seq.training.report import TrainingReport
from seq2seq.training.run import train


class TrainedTranslator(Translator):
    """A translator with the report and the directory of its training run.

    Attributes:
        report: Result of the run; `plot_history` draws it.
        directory: Directory of the run and its recipe.
        temporary: The same directory if it is temporary: it is deleted with the translator, so call `save` to keep the
            model.
    """

    report: TrainingReport
    directory: Path
    temporary: TemporaryDirectory[str] | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        make, parts, state = super().__reduce__()
        return make, parts, state | {"report": self.report, "directory": self.directory}

    def _repr_html_(self) -> str:
        return super()._repr_html_() + self.report._repr_html_()


@check_arguments()
def train_pairs(
    pairs: Any,
    directory: str | Path | None = None,
    *,
    valid: Any = None,
    minutes: float | None = None,
    languages: str | tuple[str, str] | None = None,
    columns: Sequence[str | int] | None = None,
    min_score: float | None = None,
    overrides: Sequence[str] | Mapping[str, Any] = (),
    console: Console | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> TrainedTranslator:
    """Train a translator on sentence pairs: `seq2seq train PAIRS` as a function.

    The amount of text and `minutes` determine vocabulary size, width, dropout, batches, schedule and length of the run.
    The complete recipe, `config.yaml`, and pairs from memory, `pairs.tsv`, are written into the directory, so that
    `seq2seq train DIRECTORY/config.yaml` trains the same model again. The same call resumes an interrupted run.

    Args:
        pairs: (source, target) tuples, dicts or `SentencePair`s from any iterable; a data frame; a dict of two lists;
            the path of a TSV file; or the paths of two line-aligned files.
        directory: The model directory; by default a temporary one that is deleted with the translator.
        valid: Validation pairs, in the same forms; or the number or the fraction of `pairs` to hold out for validation;
            by default a number that depends on the amount of text.
        minutes: Planned duration of training; by default it depends on the amount of text.
        languages: Languages of source and target, e.g. `"en-de"`; by default detected from the names of columns or
            files, or from the text.
        columns: Columns of source and target: names in a data frame, in dicts or in the header of a file; numbers from
            0 in tuples, from 1 in a file.
        min_score: Minimum score of pairs from a file with a column of scores; by default all pairs are used.
        overrides: Keys of the recipe to override: `{"encoder.cell": "lstm"}`, or `["encoder.cell=lstm"]`. Settings that
            are planned from such a key follow its value.
        console, callbacks: See `train`.

    Raises:
        CorpusError: `pairs` has an unsupported format, a sentence is not a string, or `languages` are not two ISO 639
            codes.
        TrainingError: The directory has a run on other pairs; the run was interrupted before its first validation;
            or see `train`.
        ConfigError: See `load_config`.
    """
    check_callbacks(callbacks)
    temporary = TemporaryDirectory(prefix="seq2seq-") if directory is None else None
    folder = Path(temporary.name) if temporary else Path(directory or "")
    recipe = plan_pairs(
        pairs,
        folder,
        valid=valid,
        minutes=minutes,
        languages=languages,
        columns=columns,
        min_score=min_score,
        overrides=overrides,
    )
    make_display(console).print(f"planned: {describe_recipe(recipe)}")
    report = train(recipe, folder, callbacks, console)
    if not (folder / METADATA).exists():
        resume = (
            "The same call resumes the run"
            if temporary is None
            else "Give a directory, so that the same call can resume the run"
        )
        raise TrainingError(f"{folder}: interrupted before the first validation. {resume}.")
    translator = TrainedTranslator.load(folder)
    translator.report, translator.directory, translator.temporary = report, folder, temporary
    return translator


def plan_pairs(
    pairs: Any,
    folder: Path,
    *,
    valid: Any = None,
    minutes: float | None = None,
    languages: str | tuple[str, str] | None = None,
    columns: Sequence[str | int] | None = None,
    min_score: float | None = None,
    overrides: Overrides = (),
) -> TranslationConfig:
    """Plan a recipe for pairs, which are written into `folder` if they come from memory; see `train_pairs`."""
    codes = None if languages is None else language_pair(languages)
    detected = _locate(pairs, folder, "pairs", codes, columns, min_score)
    held_out = None
    if isinstance(valid, Integral) and not isinstance(valid, bool):
        held_out = ValidConfig(pairs=int(valid))
    elif isinstance(valid, Real) and not isinstance(valid, bool):
        held_out = ValidConfig(fraction=float(valid))
    elif valid is not None:
        corpus = _locate(valid, folder, "valid", codes, columns).corpus
        held_out = ValidConfig(**corpus.model_dump(exclude_unset=True))
    recipe, _ = plan_training(detected, minutes, held_out, overrides)
    return recipe


def _locate(
    pairs: Any,
    folder: Path,
    name: str,
    languages: tuple[str, str] | None,
    columns: Any,
    min_score: float | None = None,
) -> DetectedPairs:
    """The corpus section for pairs; pairs from Python objects are written into the model directory."""
    if files := pair_files(pairs):
        return detect_pairs([file.resolve() for file in files], columns, languages, min_score)
    if min_score is not None:
        raise ConfigError(
            f"min_score={min_score:g} is for a file with a column of scores, but these pairs are in memory. Remove "
            "the pairs with low scores yourself, and leave out min_score."
        )
    found = collect_pairs(pairs, columns, name)
    path = folder.resolve() / f"{name}.tsv"
    folder.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    if changed := write_pairs(found.pairs, new):
        warnings.warn(
            f"{changed:,} of {pluralize(len(found.pairs), 'pair')} {'has' if changed == 1 else 'have'} tabs, line "
            f"breaks or broken characters within a sentence; {path} has spaces or U+FFFD in their place.",
            stacklevel=5,
        )
    if path.exists() and (folder / CONFIG).exists() and sha256(path) != sha256(new):
        new.unlink()
        raise TrainingError(f"{path}: has the pairs of another run. Train into another directory.")
    new.replace(path)
    source, target = languages or (
        found.source_language or identify_language([pair.source for pair in found.pairs]),
        found.target_language or identify_language([pair.target for pair in found.pairs]),
    )
    return DetectedPairs(
        CorpusConfig(tsv=str(path), header=False, quoted=False), source, target, f"{path}: {source} to {target}"
    )
