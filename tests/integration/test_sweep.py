"""`seq2seq sweep`: whole sweeps, in this process and in processes of their own that are killed."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from seq2seq.config import load_config
from seq2seq.model_directory.directory import read_metadata
from seq2seq.model_directory.history import read_history
from seq2seq.storage.files import sha256
from seq2seq.sweeps.record import SweepRecord
from tests.command import run
from tests.runs import assert_same_run
from tests.toy import toy_values, write_corpus

pytestmark = pytest.mark.usefixtures("shared_graphs")


def write_recipe(folder, **training):
    write_corpus(folder, train=60)
    values = toy_values(folder)
    values["data"]["test"] = {"tsv": str(folder / "valid.tsv")}
    values["training"] |= {"epochs": 1, **training}
    path = folder / "toy.yaml"
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return path


@pytest.fixture
def in_process(monkeypatch):
    """Commands run in this process; those whose arguments contain an entry of the set fail, with its text."""
    failing = set()

    def run_here(arguments, log):
        with log.open("a", encoding="utf-8") as file:
            for text in failing:
                if any(text in argument for argument in arguments):
                    file.write(f"error: {text} is not wanted\n")
                    return 1
        return run(*arguments)

    monkeypatch.setattr("seq2seq.sweeps.sweep.run_process", run_here)
    return failing


def test_a_sweep_from_failure_to_test(tmp_path, in_process, capsys):
    recipe, folder = write_recipe(tmp_path), tmp_path / "sweep"
    command = ("sweep", recipe, "--grid", "training.learning_rate=0.01,0.03", "--seeds", 2, "-o", folder)
    in_process.add("learning_rate=0.03-seed2")
    assert run(*command) == 1
    said = capsys.readouterr().out
    assert "failed: training.learning_rate=0.03-seed2: learning_rate=0.03-seed2 is not wanted" in said
    assert "best: setting 1, training.learning_rate=0.01" in said
    first = folder / "training.learning_rate=0.01-seed1" / "metadata.json"
    trained = first.stat().st_mtime_ns

    in_process.clear()
    assert run(*command, "--test", "--json") == 0
    shown = json.loads(capsys.readouterr().out.rpartition("\n{\n")[2].join(["{", ""]))
    assert first.stat().st_mtime_ns == trained, "what was done is not done again"
    assert [row["done"] for row in shown["settings"]] == [2, 2]
    runs = SweepRecord(folder).runs.values()
    assert [(one.overrides[0][-4:], one.seed, one.state, one.error) for one in runs] == [
        (rate, seed, "done", None) for seed in (1, 2) for rate in ("0.01", "0.03")
    ]
    for one in runs:
        last = read_history(folder / one.name)[-1]
        assert one.cpu_minutes == round(last["cpu_seconds"] / 60, 2)
        assert last["cpu_seconds"] > 0
        assert one.validation["loss"] == last["valid_loss"]
        assert one.validation["BLEU_signature"].startswith("nrefs:1|case:mixed")
        assert one.recipe_sha256 == sha256(folder / one.recipe)
        assert load_config(folder / one.recipe).seed == one.seed
        assert one.environment["versions"] == read_metadata(folder / one.name)["versions"]
        assert one.environment["directory"] == str(Path.cwd())
        assert [command.split()[1] for command in one.commands[:3]] == ["train", "translate", "evaluate"]
    tested = [one for one in runs if one.test]
    assert len(tested) == (2 if shown["best"].endswith("0.01") else 4)
    for one in tested:
        assert one.test["BLEU"] == one.validation["BLEU"], "here, both are the same text"
        assert "case:lc" in one.test["BLEU_lowercased_signature"]
        assert ("p_bootstrap" in one.test) == one.overrides[0].endswith("0.03")

    assert run("sweep", folder) == 0
    assert "best: " in capsys.readouterr().out
    assert run("sweep", folder, "--grid", "a=1") == 2
    assert "--grid: is for a recipe, but" in capsys.readouterr().err
    assert run("sweep", folder, "--seeds", 3) == 2
    assert "--seeds: is for a recipe, but" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
def test_a_killed_sweep_continues_within_its_run(tmp_path, in_process):
    recipe, folder = write_recipe(tmp_path, epochs=30, checkpoint_minutes=1e-9), tmp_path / "sweep"
    arguments = ("sweep", str(recipe), "--seeds", "1", "--set", "validation.interval_updates=5", "-o", str(folder))
    for stop in (signal.SIGTERM, signal.SIGKILL):
        command = [sys.executable, "-m", "seq2seq", *arguments]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        before = _validations(folder)
        while _validations(folder) < before + 2:
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.05)
        process.send_signal(stop)
        assert process.wait() == (130 if stop == signal.SIGTERM else -signal.SIGKILL)
        (record,) = SweepRecord(folder).runs.values()
        assert record.state == ("interrupted" if stop == signal.SIGTERM else "running")
    # The process that the killed one has left still trains; its end is waited for.
    assert run(*arguments) == 0
    (record,) = SweepRecord(folder).runs.values()
    assert record.state == "done"
    whole = tmp_path / "whole"
    # In a process of its own, too: the number of threads decides the last bits.
    train = ("train", str(folder / "recipe.yaml"), "--set", "seed=1", "--output", str(whole))
    subprocess.run([sys.executable, "-m", "seq2seq", *train], check=True, capture_output=True)
    assert_same_run(whole, folder / record.name)


def _validations(folder):
    return sum(len(read_history(run)) for run in folder.glob("recipe-seed1"))
