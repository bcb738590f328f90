"""Recipes with teachers: what they and the student learn from, and exact resume."""

import io
import re
import shutil
import signal

import pytest
from rich.console import Console

from seq2seq.bulk import diversification
from seq2seq.config import override_config, parse_config_text, teacher_recipe
from seq2seq.errors import ConfigError, CorpusError, ModelDirectoryError, TrainingError
from seq2seq.inference.translator import Translator
from seq2seq.model_directory.directory import load_model_config, read_metadata
from seq2seq.training import train
from seq2seq.training.checkpoints import lock_run
from seq2seq.training.run_state import resume_command
from seq2seq.training.teachers import student_recipe
from seq2seq.training.validation import Validator
from tests.command import run
from tests.runs import InterruptAfter, assert_same_run
from tests.toy import toy_config

pytestmark = pytest.mark.usefixtures("shared_graphs")
CHANGES = {
    "encoder": {"units": 10}, "decoder": {"units": 10}, "batching": {"max_tokens": 200}, "training": {"epochs": 1},
    "search": {"beam_size": 1},
}  # fmt: skip


@pytest.fixture(scope="module")
def recipe(corpus):
    """Two small teachers, and text that the recipe holds out of its corpus."""
    return toy_config(
        corpus,
        data={
            "valid": {"fraction": 0.1},
            "filters": {"max_tokens": 60},
            "source_language": "en",
            "target_language": "de",
        },
        teachers={"count": 2, "changes": CHANGES},
    )


@pytest.fixture(scope="module")
def whole(recipe, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "run"
    assert train(recipe, folder).end
    return folder


def rows_of(path):
    return [tuple(row.split("\t")) for row in path.read_text(encoding="utf-8").split("\n")[:-1]]


def test_the_same_in_commands_of_their_own(recipe, whole, corpus, tmp_path):
    teachers = whole / "teachers"
    second = train(teacher_recipe(recipe, 2), tmp_path / "second")
    assert_same_run(teachers / "2", second.directory)
    assert load_model_config(teachers / "2").encoder.units == 10
    held_out = {row[0] for row in rows_of(teachers / "valid.tsv")}
    left = [row for row in rows_of(corpus / "train.tsv") if row[0] not in held_out]
    assert 0 < len(held_out) < 40
    facts = [read_metadata(folder)["corpus"]["valid"] for folder in (teachers / "1", whole)]
    assert [len(held_out)] * 2 == [entry["kept"] for entry in facts]
    assert facts[0]["read"] > facts[0]["kept"], "it has a repeated pair"
    (tmp_path / "left.tsv").write_text("".join(f"{source}\t{target}\n" for source, target in left), encoding="utf-8")
    both = "--forward", teachers / "1", "--forward", teachers / "2", "--ensemble"
    assert run("data", "diversify", "-i", tmp_path / "left.tsv", *both, "-q", "-o", tmp_path / "out") == 0
    assert (tmp_path / "out" / "train.tsv").read_bytes() == (teachers / "train.tsv").read_bytes()
    assert {row[2] for row in rows_of(teachers / "train.tsv")} == {"original", "forward-1"}
    student = override_config(
        recipe,
        {
            "teachers": {"count": 0},
            "data.train": {"tsv": str(tmp_path / "out" / "train.tsv"), "columns": [1, 2], "header": False},
            "data.valid": {"tsv": str(teachers / "valid.tsv"), "columns": [1, 2], "header": False},
            "tokenizer.from_model": str(teachers / "1"),
        },
    )
    assert train(student, tmp_path / "student").end
    assert_same_run(whole, tmp_path / "student")
    assert load_model_config(whole).teachers.count == 0
    own = override_config(recipe, {"teachers.changes.tokenizer.vocabulary_size": 38})
    assert student_recipe(own, tmp_path).tokenizer == recipe.tokenizer, "its own tokenizers, not those of other size"
    seeds = {teacher_recipe(override_config(recipe, {"seed": seed}), n).seed for seed in (1, 2) for n in (1, 2)}
    assert seeds == {1, 2, 1_000_001, 1_000_002}


def test_interruptions_in_any_part_change_nothing(recipe, whole, tmp_path, monkeypatch):
    folder, screen = tmp_path / "run", io.StringIO()
    console = Console(file=screen, width=250)
    report = train(recipe, folder, [InterruptAfter(14)], console=console)  # in the second teacher
    assert report.end is None
    assert report.directory == folder / "teachers" / "2"
    assert f"Resume with: seq2seq train {folder}/teachers.yaml\n" in screen.getvalue()
    with pytest.raises(TrainingError, match="has a run with teachers that has begun, but this recipe has none"):
        train(teacher_recipe(recipe, 1), folder)
    translate_shard, translate, calls = diversification.translate_shard, Translator.translate, []

    def in_small_chunks(*arguments, **options):
        return translate_shard(*arguments, **options, chunk=40)

    def interrupted(*arguments, **options):
        calls.append(None)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return translate(*arguments, **options)

    monkeypatch.setattr(diversification, "translate_shard", in_small_chunks)
    monkeypatch.setattr(Translator, "translate", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(recipe, folder, console=console)
    assert not (folder / "teachers" / "train.tsv").exists()
    with pytest.raises(ModelDirectoryError, match="training has not saved a model there yet"):
        read_metadata(folder)
    with pytest.raises(TrainingError, match=r"teachers/1: this teacher has been trained on other text; changed: data"):
        train(override_config(recipe, {"data.valid.fraction": 0.5}), folder, allow_changes=True)
    moved = tmp_path / "moved"
    folder.rename(moved)
    assert train(recipe, moved, [InterruptAfter(13)], console=console).end is None  # in the student
    assert resume_command(moved) == f"seq2seq train {moved}/config.yaml"
    shutil.rmtree(moved / "teachers" / "1")  # is not needed any more
    assert run("train", moved / "teachers.yaml") == 0
    assert_same_run(whole, moved)
    translating = "translating 105 training pairs with 2 teachers"
    assert re.findall(r"^(?:teacher|translating|student).*$", screen.getvalue(), re.MULTILINE) == [
        f"teacher 1 of 2: {folder}/teachers/1",
        f"teacher 2 of 2: {folder}/teachers/2",
        f"teacher 2 of 2: {folder}/teachers/2",
        translating,
        f"teacher 2 of 2: {moved}/teachers/2",
        translating,
        f"student: {moved}",
    ]


def test_students_of_other_teachers_form_an_ensemble(recipe, whole, tmp_path):
    other = override_config(recipe, {"seed": 2, "teachers.count": 1, "teachers.changes.training.updates": 2})
    assert train(override_config(other, {"training.updates": 2}), tmp_path / "other").end
    files = [sorted(folder.glob("*.spm")) for folder in (tmp_path / "other", whole / "teachers" / "1")]
    own, theirs = ([file.read_bytes() for file in found] for found in files)
    assert own == theirs
    assert len(Translator.load([whole, tmp_path / "other"]).translate(["a b"])) == 1


def test_inspection_and_model_card_name_the_teachers(whole, tmp_path, capsys):
    assert run("export", whole, tmp_path / "model", "--model-only") == 0
    assert run("inspect", tmp_path / "model") == 0
    has = (
        "the pairs of train.tsv, and translations of their source sentences by an ensemble of 2 teachers that were "
        "trained on the same pairs"
    )
    assert f"teachers      the training corpus has {has}\n" in capsys.readouterr().out
    assert f"\n\nThe training corpus has {has}.\n" in (tmp_path / "model" / "README.md").read_text(encoding="utf-8")
    assert "teachers" not in read_metadata(whole / "teachers" / "1")["corpus"]


def test_finished_teachers_keep_their_recipe(recipe, whole, tmp_path):
    before = (whole / "teachers.yaml").read_bytes()
    for key, value in (("count", 3), ("changes.search.beam_size", 7), ("changes.encoder.units", 12)):
        with pytest.raises(TrainingError, match=f"^{whole}: the translations of its teachers are made, but 'teachers'"):
            train(override_config(recipe, {f"teachers.{key}": value}), whole)
    with pytest.raises(TrainingError) as error:
        train(override_config(recipe, {"decoder.dropout": 0.3}), whole)
    said = f"{whole}/teachers/1: this teacher is finished, and has been trained with a different recipe; changed: deco"
    assert str(error.value).startswith(said)
    with pytest.raises(TrainingError, match=rf"^{whole}: has a run with a different recipe; changed: batching"):
        train(override_config(recipe, {"batching.max_tokens": 190}), whole)
    assert (whole / "teachers.yaml").read_bytes() == before
    shutil.copytree(whole, tmp_path / "run")
    other = override_config(recipe, {"teachers.count": 1, "training.epochs": 3})
    train(other, tmp_path / "run", allow_changes=True)
    assert parse_config_text((tmp_path / "run" / "teachers.yaml").read_bytes(), "").teachers == recipe.teachers
    (tmp_path / "run" / "teachers" / "train.tsv").unlink()
    with pytest.raises(TrainingError, match=r"has a run without teachers, or without its teachers/train\.tsv"):
        train(recipe, tmp_path / "run")


def test_a_stop_at_the_end_of_a_part_ends_the_run(recipe, tmp_path, monkeypatch):
    loss = Validator.loss

    def interrupted(*arguments):
        signal.raise_signal(signal.SIGINT)
        return loss(*arguments)

    monkeypatch.setattr(Validator, "loss", interrupted)
    screen = io.StringIO()
    report = train(recipe, tmp_path, console=Console(file=screen, width=250))
    assert report.end is None
    assert f"stopped before the next part. Resume with: seq2seq train {tmp_path}/teachers.yaml\n" in screen.getvalue()
    assert not (tmp_path / "teachers" / "2").exists()


def test_longer_training_of_the_student_alone(recipe, whole, corpus, tmp_path):
    folder, screen, text = tmp_path / "run", io.StringIO(), str(shutil.copy(corpus / "train.tsv", tmp_path))
    shutil.copytree(whole, folder)
    shutil.rmtree(folder / "teachers" / "1")
    changed = override_config(
        recipe, {"training.epochs": 3, "training.learning_rate": 0.002, "data.train": {"tsv": text}}
    )
    report = train(changed, folder, console=Console(file=screen, width=250), allow_changes=True)
    assert [entry["epoch"] for entry in report.history] == [1, 2, 3]
    assert read_metadata(folder)["tokenizers"] == {"joint.spm": "unigram"}, "known from before"
    keys = "training.learning_rate, data.train.tsv"
    said = f"warning: teacher 2 is finished, and keeps its model; changed to no effect: {keys}\n"
    assert said in screen.getvalue()


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"stages": [{}, {}]}, "'teachers' are for a recipe without 'stages'"),
        ({"training.distribution": "multi_worker"}, "teachers.changes: 'training.distribution' cannot be multi_worker"),
        ({"data.train": {"mixture": [{"tsv": "a", "weight": 1}, {"tsv": "b", "weight": 2}]}}, "'teachers' make one ta"),
        ({"teachers.changes.training.distribution": "multi_worker"}, "'training.distribution' cannot be multi_worker"),
        ({"teachers.changes.seed": 4}, "recipe: teachers.changes: 'seed' cannot be changed"),
        ({"teachers.changes.data": {"filters": {"max_tokens": 9}}}, "'data.filters.max_tokens' cannot be changed"),
        ({"teachers.changes.search.int8": True}, "recipe: teachers.changes: 'search.int8' cannot be changed"),
        ({"teachers.changes.encoder.unit": 4}, "recipe: teachers.changes: unknown key 'encoder.unit'"),
        ({"teachers.changes.encoder.units": 0}, "recipe: teachers.changes: 'encoder.units': found 0"),
    ],
)
def test_impossible_teachers(recipe, changes, expected):
    with pytest.raises(ConfigError, match=re.escape(expected)):
        override_config(recipe, changes)


def test_options_of_the_students_search_are_not_those_of_teachers(recipe):
    reranked = {"rerank_model": "model", "rerank_weight": 0.5, "candidates": 3, "beam_size": 3, "n_best": 2}
    search = teacher_recipe(
        override_config(recipe, {f"search.{key}": value for key, value in reranked.items()}), 1
    ).search
    assert search == recipe.search.model_copy(update={"beam_size": 1})


def test_missing_text_is_said_before_a_teacher_trains(recipe, tmp_path):
    with pytest.raises(CorpusError, match=r"teachers: nowhere\.tsv: no such file"):
        train(override_config(recipe, {"data.test": {"tsv": "nowhere.tsv"}}), tmp_path / "run")
    assert not (tmp_path / "run" / "teachers.yaml").exists()


def test_a_second_command_changes_nothing(recipe, whole):
    before = (whole / "teachers.yaml").read_bytes()
    with lock_run(whole), pytest.raises(TrainingError, match="is training into it"):
        train(override_config(recipe, {"training.epochs": 4}), whole, allow_changes=True)
    assert (whole / "teachers.yaml").read_bytes() == before
