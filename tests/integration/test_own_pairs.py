"""`seq2seq train pairs.tsv`: from somebody's own sentence pairs to a model, with nothing else given."""

import gzip
import os

import pytest
import yaml

from seq2seq.cli.next_steps import program
from seq2seq.cli.own_pairs import Scores, load_or_plan
from seq2seq.model_directory.directory import load_model_config
from seq2seq.model_directory.history import read_history
from tests.command import run
from tests.toy import pairs

pytestmark = pytest.mark.usefixtures("shared_graphs")

TINY = "encoder.units=12 decoder.units=12 embeddings.size=12 training.updates=6 validation.interval_updates=3"
SMALL = [word for key in TINY.split() for word in ("--set", key)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pairs")
    made = pairs(300, 7)
    (folder / "pairs.tsv").write_text("".join(f"{source}\t{target}\n" for source, target in made), encoding="utf-8")
    with gzip.open(folder / "lines.en.gz", "wt", encoding="utf-8") as english:
        english.writelines(f"{source}\n" for source, _ in made)
    (folder / "lines.de").write_text("".join(f"{target}\n" for _, target in made), encoding="utf-8")
    rows = "".join(f"{number}\t{target}\t{source}\n" for number, (source, target) in enumerate(made))
    (folder / "three.tsv").write_text(rows, encoding="utf-8")
    return folder


@pytest.fixture(autouse=True)
def _stand_in_the_folder(folder, monkeypatch):
    monkeypatch.chdir(folder)


def planned(capsys, *arguments):
    assert run("train", *arguments, "--dump-config") == 0
    captured = capsys.readouterr()
    return yaml.safe_load(captured.out), captured.err


def test_a_file_of_pairs_becomes_a_model_whose_recipe_runs_again(folder, capsys):
    assert run("train", "pairs.tsv", *SMALL) == 0
    said = " ".join(capsys.readouterr().out.split())
    for part in ("pairs.tsv: column 1 (English) to column 2 (German)", "held out from them", "planned: joint"):
        assert part in said, part
    assert "evaluate: seq2seq evaluate runs/pairs --source FILE --reference FILE" in said.replace(program(), "seq2seq")
    config = load_model_config(folder / "runs" / "pairs")
    assert config.data.target_language == "de"
    assert len(read_history(folder / "runs" / "pairs")) == 2
    assert run("train", "runs/pairs/config.yaml", "-o", "runs/again") == 0
    assert load_model_config(folder / "runs" / "again") == config
    assert (
        read_history(folder / "runs" / "again")[-1]["valid_loss"]
        == read_history(folder / "runs" / "pairs")[-1]["valid_loss"]
    )


@pytest.mark.parametrize(("parts", "file"), [("stages=[{},{}]", "stages.yaml"), ("teachers.count=2", "teachers.yaml")])
def test_the_recipe_of_several_runs_has_another_file(parts, file, folder):
    said = []
    load_or_plan(["pairs.tsv"], [*SMALL[1::2], parts], None, None, None, Scores(), None, said.append)
    assert any(text.startswith(f"complete recipe: runs/pairs/{file} ") for text in said)


def test_the_same_command_resumes_and_other_pairs_are_refused(folder, capsys):
    command = ("train", "pairs.tsv", "-o", "runs/resumed", *SMALL)
    assert run(*command, "--set", "training.updates=3") == 0
    assert run(*command) == 0
    said = capsys.readouterr().out
    assert "resuming after update 3" in said
    assert said.count("complete recipe: ") == 1, "the file is there before the second command"
    assert run(*command, "--minutes", "3", "--set", "encoder.dropout=0.77") == 1
    error = " ".join(capsys.readouterr().err.split())
    assert "encoder.dropout" in error
    assert "(a plan depends on training.minutes: none then, 3 now)" in error
    assert "its own recipe: seq2seq train runs/resumed/config.yaml --minutes 3." in error
    text = (folder / "pairs.tsv").read_text(encoding="utf-8")
    (folder / "other.tsv").write_text(text.replace("dog", "cow"), encoding="utf-8")
    assert run("train", "other.tsv", "-o", "runs/resumed", *SMALL) == 1
    assert "changed: data.train.tsv" in capsys.readouterr().err


def test_flags_decide_what_is_planned(folder, capsys):
    recipe, said = planned(capsys, "three.tsv", "--languages", "en-de", "--columns", "3,2", "--minutes", "5")
    assert recipe["data"]["train"]["columns"] == [3, 2]
    assert (recipe["data"]["source_language"], recipe["data"]["target_language"]) == ("en", "de")
    assert recipe["training"]["minutes"] == 5
    assert "5 minutes" in said
    changed, _ = planned(capsys, "pairs.tsv", "--set", "encoder.cell=lstm", "--set", "data.valid.pairs=9")
    assert (changed["encoder"]["cell"], changed["data"]["valid"]["pairs"]) == ("lstm", 9)
    apart, _ = planned(capsys, "pairs.tsv", "--set", "tokenizer.joint=false")
    assert apart["embeddings"]["tied"] == "target"
    named, _ = planned(capsys, "quickstart", "--minutes", "2")
    assert named["training"]["minutes"] == 2
    assert named["data"]["train"]["phrasebook"] == "train"


def test_two_files_are_read_line_by_line(folder, capsys):
    recipe, said = planned(capsys, "lines.en.gz", "lines.de")
    assert (recipe["data"]["train"]["source"], recipe["data"]["train"]["target"]) == ("lines.en.gz", "lines.de")
    assert "aligned line by line" in said
    assert recipe["tokenizer"] == planned(capsys, "pairs.tsv")[0]["tokenizer"], "the same text, the same choices"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["quikstart"], 1, " and no packaged recipe of that name. Did you mean 'quickstart'?"),
        (["en-es"], 1, "To train on sentence pairs, give their file: seq2seq train pairs.tsv."),
        (["runs"], 1, "runs: expected a recipe or a file of sentence pairs, found a folder. "),
        (["runs", "runs"], 1, "runs: expected a file, found a folder."),
        ([os.devnull], 1, "expected a file, found a pipe or device, which cannot be read again."),
        (["pairs.tsv", os.devnull], 1, "expected a file, found a pipe or device, which cannot be read again."),
        (["quickstart", "--columns", "1,2"], 2, "quickstart is a recipe"),
        (["quickstart", "pairs.tsv"], 2, "found both: quickstart is a recipe"),
        (["pairs.tsv", "--columns", "1"], 2, "expected two numbers, e.g. 1,2, or names in the header, found '1'"),
        (["pairs.tsv", "--columns", "a,b"], 1, "expected names of columns in the header, found --columns a,b."),
        (["pairs.tsv", "--languages", "german"], 1, "expected two different languages, e.g. en-de; found german."),
        (["pairs.tsv", "--languages", "xx-yy"], 1, "unknown language 'xx'."),
        (["pairs.tsv", "--set", "encoder.unitss=3"], 1, "the planned recipe: unknown key 'encoder.unitss'"),
        (["pairs.tsv", "--set", "data.train.tsv=o.tsv"], 1, "'data.train.tsv': the recipe is planned for the pairs of"),
    ],
)
def test_what_is_wrong_is_said(arguments, code, message, folder, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "300")
    (folder / "runs").mkdir(exist_ok=True)
    assert run("train", *arguments) == code
    assert message in capsys.readouterr().err
