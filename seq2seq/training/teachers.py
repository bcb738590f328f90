"""Runs with teachers: models that are trained first, and translate the training text for the student."""

from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from time import process_time
from typing import Any

from seq2seq.bulk.diversification import (
    BATCH,
    ORIGINAL,
    TABLE,
    Synthesis,
    copy_sides,
    translate_side,
    write_table,
)
from seq2seq.config import TranslationConfig, override_config, parse_config_text, teacher_recipe
from seq2seq.config.objective import TeachersConfig
from seq2seq.corpora import SentencePair
from seq2seq.corpora.chunks import chunks
from seq2seq.corpora.filters import FilterReport, filter_pairs
from seq2seq.corpora.held_out import open_train, open_valid
from seq2seq.data.encoded import valid_filters
from seq2seq.errors import TrainingError
from seq2seq.model_directory import LAST, TEACHERS
from seq2seq.model_directory.directory import CONFIG, load_model_config
from seq2seq.model_directory.other_models import check_other_models
from seq2seq.plurals import pluralize
from seq2seq.storage.files import atomic_write
from seq2seq.training.checkpoints import CORPUS_PATHS, check_finished, check_recipe, refuse_model_without_checkpoint
from seq2seq.training.display import Display
from seq2seq.training.parts import PartRun, check_files, record_recipe, refuse_other_parts

HELD_OUT = "valid.tsv"  # the held-out pairs of a recipe, which would be others in the table
PAIRS = {"columns": [1, 2], "header": False, "quoted": False}


def teacher_runs(
    config: TranslationConfig, directory: Path, allow_changes: bool = False
) -> tuple[list[PartRun], TranslationConfig]:
    """The runs of all teachers of a recipe, and the recipe, which is written to `teachers.yaml`.

    If teachers have translated already and `allow_changes` is set, the recipe has those teachers.

    Raises:
        TrainingError: The directory has a run without teachers, or one with a different recipe.
        CorpusError, ModelDirectoryError: A file or a model is missing.
    """
    folders = [directory / TEACHERS / str(number) for number in range(1, config.teachers.count + 1)]
    has_begun = [(folder / CONFIG).exists() for folder in folders]
    is_translated, recorded = (directory / TEACHERS / TABLE).exists(), directory / f"{TEACHERS}.yaml"
    if is_translated and recorded.exists():
        config = _check_teachers(recorded, config, allow_changes)
    if (directory / CONFIG).exists() and not is_translated:
        raise TrainingError(
            f"{directory}: has a run without teachers, or without its {TEACHERS}/{TABLE}. Give another --output."
        )
    refuse_model_without_checkpoint(directory)
    refuse_other_parts(directory, TEACHERS, config.teachers.count)
    check_other_models(config, resumes=(directory / LAST).exists())
    runs = []
    for number, folder in enumerate(folders, start=1):
        teacher = teacher_recipe(config, number)
        # The last teacher is looked at again until the table exists, so that changed text is noticed.
        is_done = is_translated or (has_begun[number - 1] and any(has_begun[number:]))
        if number == 1 and not is_done and not has_begun[0]:
            check_files(teacher, TEACHERS)
        changed = check_finished(folder, teacher, allow_changes) if is_done and has_begun[number - 1] else []
        text = [key for key in changed if key.startswith("data.") and not CORPUS_PATHS.fullmatch(key)]
        if text and not is_translated:
            raise TrainingError(
                f"{folder}: this teacher has been trained on other text; changed: {', '.join(text)}. Undo the change, "
                "or give another --output."
            )
        if not is_done and (folder / LAST).exists():
            check_recipe(folder, teacher, allow_changes)
        runs.append(PartRun(f"teacher {number} of {len(folders)}", folder, teacher, is_done, changed))
    if (directory / LAST).exists():
        check_recipe(directory, student_recipe(config, directory), allow_changes)
    record_recipe(config, recorded)
    return runs, config


def _check_teachers(recorded: Path, config: TranslationConfig, allow_changes: bool) -> TranslationConfig:
    """Check that the teachers are those that have translated; with `allow_changes`, return the recipe with those.

    Raises:
        TrainingError: They are not, and `allow_changes` is false.
    """
    before = parse_config_text(recorded.read_bytes(), str(recorded))
    assert isinstance(before, TranslationConfig)
    if before.teachers != config.teachers and not allow_changes:
        raise TrainingError(
            f"{recorded.parent}: the translations of its teachers are made, but 'teachers' has changed since. To "
            "continue with the translations as they are, give --allow-changes; to train other teachers, give another "
            "--output."
        )
    return config.model_copy(update={"teachers": before.teachers})


def student_recipe(config: TranslationConfig, directory: Path) -> TranslationConfig:
    """The recipe of the student: that of the run, with the table of translations as its training corpus.

    It takes the tokenizers of its teachers, which are those of the original text, unless `teachers.changes` changes
    them: so students of other teachers, with other seeds, have the same ones, and can form an ensemble with it.
    """
    data, folder = config.corpora, directory / TEACHERS
    changes: dict[str, Any] = {"data.train": {"tsv": str(folder / TABLE), **PAIRS}}
    if data.valid.held_out:
        changes["data.valid"] = {"tsv": str(folder / HELD_OUT), **PAIRS}
    theirs = teacher_recipe(config, 1).tokenizer.model_copy(update={"sampling": config.tokenizer.sampling})
    if config.tokenizer.are_trained and theirs == config.tokenizer:
        changes["tokenizer.from_model"] = str(folder / "1")
        if (directory / LAST).exists():  # where it was when the run started; the directory may have been moved since
            changes["tokenizer.from_model"] = load_model_config(directory).tokenizer.from_model
    # Those of the phrasebook are not in the recipe.
    changes |= dict(zip(("data.source_language", "data.target_language"), config.languages, strict=True))
    student = override_config(config.model_copy(update={"teachers": TeachersConfig()}), changes)
    assert isinstance(student, TranslationConfig)
    return student


def translate_training_text(config: TranslationConfig, directory: Path, display: Display) -> None:
    """Translate the filtered training text with all teachers together, and write the table, unless it is there.

    An interrupted translation is continued.

    Raises:
        BulkError: Another process is translating.
        StorageError: The table cannot be written.
    """
    folder, data = directory / TEACHERS, config.corpora
    if (folder / TABLE).exists():
        return
    parts = open_train(data)
    kept = chain.from_iterable(filter_pairs(part, data.filters, FilterReport()) for part in parts)
    count = copy_sides(_plain(kept), folder, data.train.name())
    if data.valid.held_out:
        with atomic_write(folder / HELD_OUT) as partial, partial.open("w", encoding="utf-8", newline="\n") as table:
            for pair in filter_pairs(open_valid(data, parts), valid_filters(data), FilterReport()):
                table.write("\t".join(pair[:2]) + "\n")
    models = tuple(folder / str(number) for number in range(1, config.teachers.count + 1))
    part = Synthesis("forward-1", models, "source", teacher_recipe(config, 1).search)
    display.print(f"translating {pluralize(count, 'training pair')} with {pluralize(len(models), 'teacher')}")
    before = process_time()
    with display.progress_bar("translating", "lines", count) as advance:
        file = translate_side(part, folder, "float32", lambda text: display.print(f"warning: {text}"), advance)
    reports = write_table(folder, {part.origin: (part.side, file)})
    original, translated = (reports[origin].describe("pair") for origin in (ORIGINAL, part.origin))
    took = f"{(process_time() - before) / 60:.1f} CPU minutes"
    display.print(f"{folder / TABLE}: original: {original}; translated: {translated}; {took}")


def _plain(pairs: Iterable[SentencePair]) -> Iterator[list[tuple[str, str]]]:
    """Source and target of pairs, in chunks."""
    for chunk in chunks(pairs, BATCH):
        yield [(pair.source, pair.target) for pair in chunk]
