"""A damaged model directory: each command says which file it is and what to do, and ends with 1."""

import os
import shutil

import pytest
import yaml

from seq2seq.model_directory.directory import load_model_config
from tests.command import run
from tests.models import DAMAGE, train_all

pytestmark = pytest.mark.usefixtures("shared_searches")

LAST, KEPT = "checkpoints/last.safetensors", "checkpoints/update-00000008.safetensors"
MODEL = ("config.yaml", "metadata.json", "joint.spm", "model.safetensors")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A model directory, and beside it its corpus, a file of text and recipes that start from it."""
    folder = tmp_path_factory.mktemp("whole")
    model = train_all(folder)
    (folder / "text").write_text("the dog sees bird\n")
    recipe = yaml.safe_load((model / "config.yaml").read_text())
    (folder / "same.yaml").write_text(yaml.safe_dump(recipe))
    recipe["tokenizer"]["from_model"] = "MODEL"
    (folder / "from.yaml").write_text(yaml.safe_dump(recipe))
    return folder


@pytest.fixture
def model(whole, tmp_path):
    """A copy to damage."""
    return shutil.copytree(whole / "model", tmp_path / "a" / "model")


def command(name, model, whole):
    text, new = whole / "text", model.parent / "new"
    warm = ["--set", f"tokenizer.from_model={model}"]
    return {
        "translate": ["translate", model, "-i", text, "-o", model.parent / "out"],
        "shortlisted": ["translate", model, "-i", text, "-o", model.parent / "out", "--shortlist", 3],
        "evaluate": ["evaluate", model, "--source", text, "--reference", text],
        "challenge": ["challenge", model, "--items", 1],
        "inspect": ["inspect", model],
        "quantize": ["quantize", model],
        "shortlist": ["shortlist", model],
        "average": ["average", model, "-o", new, "--last", 2],
        "resume": ["train", whole / "same.yaml", "-o", model],
        "from_model": ["train", whole / "from.yaml", "-o", new, *warm],
        "warm_start": ["train", whole / "from.yaml", "-o", new, *warm, "--set", f"training.warm_start={model}"],
    }[name]


READS = {
    "translate": MODEL,
    "shortlisted": ["shortlist.safetensors"],
    "evaluate": ["model.safetensors"],
    "challenge": ["metadata.json"],
    "inspect": [*MODEL, "history.jsonl"],
    "quantize": ["model.safetensors"],
    "shortlist": ["config.yaml", "joint.spm"],
    "average": ["config.yaml", "joint.spm", "history.jsonl", KEPT],
    "resume": ["config.yaml", "metadata.json", "joint.spm"],
    "from_model": ["metadata.json", "joint.spm"],
    "warm_start": ["model.safetensors"],
}
# No error: a file that need not be there, and the end of a line that was being written.
FINE = {
    ("inspect", "history.jsonl", "missing"),
    *((name, "history.jsonl", damage) for name in ("inspect", "average") for damage in ("truncated", "emptied")),
    ("average", "history.jsonl", "missing"),
    *((name, "metadata.json", "missing") for name in ("resume", "from_model")),
}
THOROUGH = ("translate", "shortlisted", "inspect", "average", "resume")  # the others read in the same ways
CASES = [
    pytest.param(name, file, damage, id=f"{name}: {file} {damage}")
    for name, files in READS.items()
    for file in files
    for damage in DAMAGE
    if (name, file, damage) not in FINE and (name in THOROUGH or damage == "edited")
]


@pytest.mark.parametrize(("name", "file", "damage"), CASES)
def test_a_damaged_file_is_an_error_that_names_it(whole, model, capsys, name, file, damage):
    DAMAGE[damage](model / file)
    assert run(*command(name, model, whole)) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    # Half a recipe may be one, too: another one.
    elsewise = {
        (KEPT, "missing"): "weights of update 8 were not kept",
        ("config.yaml", "truncated"): "has a run with a different recipe",
    }
    assert f"{model / file}" in error or elsewise.get((file, damage), "?") in error
    assert not (model.parent / "out").exists()
    assert not (model.parent / "new" / "model.safetensors").exists()


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_shortlist_stops_nothing_that_asks_for_none(whole, model, capsys, damage):
    DAMAGE[damage](model / "shortlist.safetensors")
    assert run(*command("translate", model, whole)) == 0
    assert run(*command("shortlisted", model, whole)) == 1
    if damage in ("truncated", "emptied", "edited", "missing"):
        assert f"Make it with: seq2seq shortlist {model}" in capsys.readouterr().err
        assert run(*command("shortlist", model, whole)) == 0
        assert run(*command("shortlisted", model, whole)) == 0


@pytest.mark.parametrize("damage", [name for name in DAMAGE if name not in ("missing", "linked to itself")])
def test_a_damaged_checkpoint_stops_a_run_and_leaves_the_rest(whole, model, capsys, damage):
    DAMAGE[damage](model / LAST)
    before = (model / "model.safetensors").read_bytes(), (model / "history.jsonl").read_bytes()
    assert run(*command("resume", model, whole)) == 1
    assert "last.safetensors: " in capsys.readouterr().err
    assert ((model / "model.safetensors").read_bytes(), (model / "history.jsonl").read_bytes()) == before


def test_a_run_without_its_checkpoint_is_not_begun_anew(whole, model, capsys):
    (model / LAST).unlink()
    assert run(*command("resume", model, whole)) == 1
    assert "has a model without a checkpoint" in capsys.readouterr().err


def test_another_file_in_the_place_of_a_checkpoint_is_said(whole, model, capsys):
    shutil.copy(model / "model.safetensors", model / LAST)
    assert run(*command("resume", model, whole)) == 1
    assert "last.safetensors: is not a training checkpoint" in capsys.readouterr().err
    shutil.copy(model / "model.safetensors", model / KEPT)
    assert run(*command("average", model, whole)) == 1
    assert "no weights kept for averaging" in capsys.readouterr().err


def test_a_damaged_encoded_corpus_is_made_again(whole, model, capsys):
    for file in ("train/source.tokens.bin", "valid/target.offsets.bin", "valid/metadata.json"):
        DAMAGE["truncated"](model / "encoded" / file)
    assert run(*command("resume", model, whole), "--set", "training.epochs=3") == 0
    assert "3 epochs are done" in capsys.readouterr().out


def test_a_link_to_a_model_directory_is_as_good_as_itself(whole, model, tmp_path):
    (tmp_path / "link").symlink_to(model)
    shutil.move(model / "joint.spm", model / "tokenizer")
    (model / "joint.spm").symlink_to("tokenizer")
    assert run("translate", tmp_path / "link", "-i", whole / "text", "-o", tmp_path / "out") == 0
    assert len((tmp_path / "out").read_text().splitlines()) == 1


def test_nothing_is_written_through_a_link_that_a_stranger_left(whole, model, tmp_path, capsys):
    victim = tmp_path / "victim"
    victim.write_text("mine")
    for name in ("shortlist.safetensors.partial", "config.yaml.partial"):
        (model / name).symlink_to(victim)
    assert run(*command("shortlist", model, whole)) == 0
    for name in ("history.jsonl", "checkpoints/train.pid", "checkpoints/train.lock"):
        (model / name).unlink(missing_ok=True)
        (model / name).symlink_to(victim)
        assert run(*command("resume", model, whole), "--set", "training.epochs=3") == 1
        assert f"{name}: is a link that leads out of" in capsys.readouterr().err
        (model / name).unlink()
    assert victim.read_text() == "mine"


def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(whole, model, capsys):
    (model / "metadata.json").unlink()
    os.mkfifo(model / "metadata.json")
    assert run(*command("inspect", model, whole)) == 1
    assert "expected a file, found a device or a pipe" in capsys.readouterr().err


def test_the_whole_one_is_read_by_every_command(whole, model):
    for name in ("translate", "shortlisted", "inspect", "average"):
        assert run(*command(name, model, whole)) == 0, name
    assert load_model_config(model)
