"""Sweeps without runs: grids, records, tables, what is checked before the first run."""

import json
import math
import re
import shlex
import sys
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console
from scipy import stats

from seq2seq.cli.sweep import print_table
from seq2seq.errors import ConfigError, ModelDirectoryError
from seq2seq.evaluation.comparison import compare_systems
from seq2seq.evaluation.intervals import mean_confidence_interval
from seq2seq.evaluation.metrics import score_texts
from seq2seq.model_directory import LOCK_FILE
from seq2seq.storage.locks import file_lock, is_locked
from seq2seq.sweeps.grid import Setting, check_common_overrides, parse_grid
from seq2seq.sweeps.processes import explain_exit
from seq2seq.sweeps.record import RunRecord, SweepRecord
from seq2seq.sweeps.scores import all_scores, bleu, paired_test
from seq2seq.sweeps.sweep import Sweep
from seq2seq.sweeps.table import SweepTable
from seq2seq.sweeps.texts import TextFiles
from seq2seq.training.display import make_display
from seq2seq.training.preparation import prepare_data
from tests.command import run as command
from tests.toy import pairs, toy_config, toy_values, write_corpus


def test_a_grid_has_all_combinations_and_keeps_lists_together():
    settings = parse_grid(["encoder.units,decoder.units=8, 16", "tokenizer.user_defined_symbols=[],[a,'b,c']"])
    assert [setting.overrides for setting in settings] == [
        (f"encoder.units={units}", f"decoder.units={units}", f"tokenizer.user_defined_symbols={symbols}")
        for units in (8, 16)
        for symbols in ("[]", "[a,'b,c']")
    ]
    assert parse_grid([]) == [Setting(())]
    assert parse_grid(["training.schedule={type: cosine, decay_updates: 5},{type: constant}"])[0].overrides == (
        "training.schedule={type: cosine, decay_updates: 5}",
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["units"], "--grid units: expected section.key=value,value"),
        (["units=1,"], "--grid units=1,: expected section.key=value,value"),
        (["units=1,2,1"], "--grid units=1,2,1: the value 1 is given twice"),
        (["a.b=1", "a.b=2"], "--grid a.b: is given twice"),
        (["seed=1,2"], "--grid seed: give the number of seeds instead"),
    ],
)
def test_malformed_grids(options, message):
    with pytest.raises(ConfigError) as error:
        parse_grid(options)
    assert message in str(error.value)


def test_names_of_runs_are_different_and_safe():
    values = ("a/b", "a_b", "[a,b]", "x" * 300, "x" * 301)
    names = [Setting((f"data.train.tsv={value}",)).run_name(1) for value in values]
    assert len(set(names)) == len(values)
    assert not any("/" in name or len(name) > 255 for name in names)
    assert Setting(("training.learning_rate=1e-3",)).run_name(2) == "training.learning_rate=1e-3-seed2"
    assert Setting(()).run_name(1) == "recipe-seed1"


def run_record(setting, seed, state="done", **results):
    overrides = (setting,) if setting else ()
    return RunRecord(Setting(overrides).run_name(seed), overrides, seed, ("seq2seq train",), "", state, **results)


def test_a_record_is_read_as_it_was_written_and_survives_a_half_written_line(tmp_path):
    first, second = (run_record("a=1", seed, validation={"loss": 0.5}) for seed in (1, 2))
    record = SweepRecord(tmp_path)
    record.append(run_record("a=1", 1, "planned"))
    record.append(first)
    with record.path.open("ab") as file:
        file.write(b'{"name": "a=1')
    again = SweepRecord(tmp_path)
    assert list(again.runs.values()) == [first]
    again.append(second)
    assert list(SweepRecord(tmp_path).runs.values()) == [first, second]
    record.path.write_bytes(b'{"name": 1}\n')
    with pytest.raises(ModelDirectoryError, match=r"sweep\.jsonl:1: damaged"):
        SweepRecord(tmp_path)


def test_the_best_setting_has_the_highest_mean_and_all_its_runs():
    def done(setting, seed, bleu, loss=1.0):
        return run_record(setting, seed, validation={"BLEU": bleu, "loss": loss}, parameters=9, cpu_minutes=2.0 * seed)

    runs = [
        done("a=1", 1, 30.0),
        done("a=1", 2, 32.0),
        done("a=2", 1, 31.5),
        done("a=2", 2, 31.7),
        done("a=3", 1, 50.0),
    ]
    table = SweepTable([*runs, run_record("a=3", 2, "failed", error="no memory"), run_record("a=4", 1, "planned")])
    assert [row.label for row in table.ranked] == ["a=3", "a=2", "a=1", "a=4"]
    assert table.best.label == "a=2"
    mean = table.by_label["a=1"].validation("BLEU")
    assert mean.mean == 31.0
    assert (mean.low, mean.high) == pytest.approx(stats.t.interval(0.95, 1, 31.0, stats.sem([30.0, 32.0])))
    assert table.by_label["a=1"].cpu_minutes.mean == 3.0
    assert [run.error for run in table.failed] == ["no memory"]
    by_loss = SweepTable(
        [run_record("a=1", 1, validation={"loss": 2.0}), run_record("a=2", 1, validation={"loss": 1.0})]
    )
    assert by_loss.best.label == "a=2"
    assert SweepTable([done("a=1", 1, 0.0, loss=2.0), done("a=2", 1, 0.0, loss=1.0)]).best.label == "a=2"
    json.dumps(table.as_dict())


@pytest.mark.parametrize("size", [2, 3, 7, 11, 12, 40, 1000])
def test_intervals_of_means_are_those_of_students_t(size):
    values = [math.sin(number) for number in range(size)]
    expected = stats.t.interval(0.95, size - 1, sum(values) / size, stats.sem(values))
    assert mean_confidence_interval(values) == pytest.approx(expected, rel=1e-4)


@pytest.fixture
def recipe(tmp_path):
    write_corpus(tmp_path)
    return toy_config(tmp_path)


def plan(recipe, folder, grid, seeds=1):
    return Sweep.plan(folder, recipe, parse_grid(grid), seeds, print)


def write_other(folder):
    other = folder / "other.tsv"
    other.write_text("the dog\tder Hund\n", encoding="utf-8")
    return other


def test_everything_is_checked_before_the_first_run(recipe, tmp_path):
    other, valid = write_other(tmp_path), tmp_path / "valid.tsv"
    staged = toy_config(tmp_path, stages=[{"data": {"valid": {"tsv": str(other)}}}, {}])
    for config, grid, message in (
        (recipe, "encoder.unit=8,9", "encoder.unit=8: unknown key 'encoder.unit'"),
        (recipe, "batching.max_tokens=200,50", "'batching.max_tokens' 50: such a sentence does not fit"),
        (recipe, f"data.valid.tsv={valid},{other}", "other.tsv' validates on text that differs from that of"),
        (recipe, f"data.test.tsv={valid},{other}", "other.tsv' is tested on text that differs from that of"),
        (staged, f"stages.1.data.valid.tsv={valid},{other}", "same data.valid in their last stage"),
        (staged, "stages.1.seed=3,4", "stages.1.seed is 3: a sweep trains every setting with the seeds 1 to N"),
        (recipe, "training.learning_rate=1e-3,0.001", "0.001' is the same recipe as 'training.learning_rate=1e-3'"),
    ):
        with pytest.raises(ConfigError, match=re.escape(message)):
            plan(config, tmp_path / "sweep", [grid])
    assert not (tmp_path / "sweep").exists()
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.yaml").touch()
    with pytest.raises(ConfigError, match=r"model: has a model\. Give another --output for the sweep"):
        plan(recipe, tmp_path / "model", [])
    plan(staged, tmp_path / "sweep", [f"stages.0.data.valid.tsv={valid},{other}"])  # it validates another model
    with pytest.raises(ConfigError, match=r"--set seed=7: a sweep trains every setting with the seeds 1 to N"):
        check_common_overrides(["training.epochs=2", "seed=7"], [])
    with pytest.raises(ConfigError, match=r"--set training\.epochs=2: the key is also in the grid"):
        check_common_overrides(["training.epochs=2"], parse_grid(["training.epochs=3,4"]))


def test_settings_are_compared_on_what_is_validated(tmp_path):
    """The text of the last stage, and of held-out pairs those that filters keep."""
    write_corpus(tmp_path)
    staged = toy_config(tmp_path, stages=[{}, {"data": {"valid": {"tsv": str(write_other(tmp_path))}}}])
    plan(staged, tmp_path / "staged", [])
    assert (tmp_path / "staged/valid.source").read_text(encoding="utf-8") == "the dog\n"
    assert (tmp_path / "staged/valid.reference").read_text(encoding="utf-8") == "der Hund\n"

    with (tmp_path / "train.tsv").open("a", encoding="utf-8") as file:
        file.writelines(f"{source}\t{target}\n" * 2 for source, target in [*pairs(40, 9), ("a", ""), ("b", "")])
    held_out = toy_config(
        tmp_path, data={"valid": {"fraction": 0.4}, "filters": {"max_tokens": 60}}, tokenizer={"vocabulary_size": 60}
    )
    plan(held_out, tmp_path / "held-out", [])
    expected = prepare_data(held_out, tmp_path / "run", make_display(Console(quiet=True))).valid_pairs
    files = [tmp_path / "held-out" / f"valid.{side}" for side in ("source", "reference")]
    found = [file.read_text(encoding="utf-8").splitlines() for file in files]
    assert list(zip(*found, strict=True)) == [(pair.source, pair.target) for pair in expected]
    assert len(expected) > 10


@pytest.mark.parametrize("name", ["train", "valid", "test"])
def test_changed_text_is_refused(tmp_path, name):
    write_corpus(tmp_path)
    (tmp_path / "test.tsv").write_bytes((tmp_path / "valid.tsv").read_bytes())
    recipe = toy_config(tmp_path, data={**toy_values(tmp_path)["data"], "test": {"tsv": str(tmp_path / "test.tsv")}})
    sweep = plan(recipe, tmp_path / "sweep", [])
    kept = [(tmp_path / "sweep" / f"{name}.source"), tmp_path / "sweep/sweep.jsonl"]
    before = [file.read_bytes() for file in kept if file.exists()]
    lines = (tmp_path / f"{name}.tsv").read_text(encoding="utf-8").splitlines()
    lines[2] = "a cat\teine Katze"
    (tmp_path / f"{name}.tsv").write_text("\n".join(lines), encoding="utf-8")
    expected = "data.train of 'recipe' has other text than when recipe-seed1 was planned"
    if name != "train":
        expected = f"{name}.source: is the text on which this sweep compares models, but data.{name} of its recipe has"
    with pytest.raises(ConfigError, match=re.escape(expected)) as error:
        plan(recipe, tmp_path / "sweep", [], seeds=2)
    assert name == "train" or "12 pairs, and line 3 is the first that differs" in str(error.value)
    assert [file.read_bytes() for file in kept if file.exists()] == before
    if name == "test":
        sweep.record.append(replace(*sweep.record.runs.values(), state="done", validation={"loss": 1.0}))
        with pytest.raises(ConfigError, match=r"test\.source: is the text on which"):
            sweep.test()


def test_a_sweep_grows_but_keeps_its_recipe(recipe, tmp_path):
    folder = tmp_path / "sweep"
    plan(recipe, folder, ["encoder.dropout=0,0.1"])
    names = list(plan(recipe, folder, ["encoder.dropout=0,0.1,0.2"], seeds=2).record.runs)
    assert names == [
        f"encoder.dropout={value}-seed{seed}"
        for value, seed in (("0", 1), ("0.1", 1), ("0.2", 1), ("0", 2), ("0.1", 2), ("0.2", 2))
    ]
    assert Sweep.open(folder, print).record.runs.keys() == set(names)
    with pytest.raises(ConfigError, match=r"has a sweep of a different recipe; changed: training\.epochs"):
        plan(toy_config(tmp_path, training={"epochs": 9}), folder, [])


def test_the_test_text_waits_for_validation(recipe, tmp_path):
    sweep = plan(recipe, tmp_path / "sweep", [])
    with pytest.raises(ConfigError, match="compares the best setting with the first; neither may lack a run"):
        sweep.test()


def test_a_process_that_a_killed_sweep_has_left_is_waited_for(recipe, tmp_path, monkeypatch):
    """Also if it locks the folder while the command that trains starts."""
    said, calls, orphan = [], [], ExitStack()
    sweep = Sweep.plan(tmp_path / "sweep", recipe, [Setting(())], 1, said.append)
    lock = tmp_path / "sweep/recipe-seed1" / LOCK_FILE
    orphan.enter_context(file_lock(lock, RuntimeError))

    def train(arguments, log):
        calls.append(is_locked(lock))
        if len(calls) == 1:
            orphan.enter_context(file_lock(lock, RuntimeError))
            log.write_text("error: another process is training into it\n", encoding="utf-8")
        return 2 - min(len(calls), 2)

    monkeypatch.setattr("seq2seq.sweeps.sweep.sleep", lambda seconds: orphan.close())
    monkeypatch.setattr("seq2seq.sweeps.sweep.run_process", train)
    monkeypatch.setattr(Sweep, "_validate", lambda sweep, run: run)
    assert sweep.run([Setting(())], 1) == 0
    assert calls == [False, False]
    assert said[1:3] == ["waiting until no other process trains into its folder"] * 2


REFERENCES = [target for _, target in pairs(12, 4)]
BETTER = [line if number % 3 else line.lower() for number, line in enumerate(REFERENCES)]
WORSE = [line if number % 4 else "der Baum" for number, line in enumerate(BETTER)]


def test_scores_are_those_of_the_other_commands(tmp_path):
    text = TextFiles(tmp_path / "unused", tmp_path / "reference")
    for file, lines in ((text.reference, REFERENCES), (tmp_path / "better", BETTER), (tmp_path / "worse", WORSE)):
        file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    plain = {score.name: score for score in score_texts(WORSE, REFERENCES, bootstrap=False, language="de")}
    lowered = [[line.lower() for line in lines] for lines in (WORSE, REFERENCES)]
    (uncased,) = score_texts(*lowered, bootstrap=False, language="de", metrics=["BLEU"])
    found = all_scores(tmp_path / "worse", text, "de")
    for name in ("BLEU", "chrF2"):
        assert (found[name], found[f"{name}_signature"]) == (plain[name].score, plain[name].signature)
    assert found["BLEU_lowercased"] == uncased.score > found["BLEU"]
    assert bleu(tmp_path / "worse", text, "de") == {name: found[name] for name in ("BLEU", "BLEU_signature")}

    report = compare_systems({"worse": WORSE, "better": BETTER}, REFERENCES, language="de", metrics=["BLEU"])
    tested, expected = paired_test(tmp_path / "better", tmp_path / "worse", text, "de"), report["better"]["BLEU"]
    assert tested == {
        "BLEU_difference": expected.difference,
        "p_bootstrap": expected.p_bootstrap,
        "p_randomization": expected.p_randomization,
    }
    assert expected.difference > 10


def test_the_best_setting_is_tested_against_the_first_one(tmp_path, monkeypatch, capsys):
    write_corpus(tmp_path)
    (tmp_path / "test.tsv").write_text("".join(f"a\t{line}\n" for line in REFERENCES), encoding="utf-8")
    recipe = toy_config(tmp_path, data={**toy_values(tmp_path)["data"], "test": {"tsv": str(tmp_path / "test.tsv")}})
    sweep = plan(recipe, tmp_path / "sweep", ["encoder.dropout=0,0.1,0.2"])
    texts = {"0": WORSE, "0.1": BETTER}
    for run in sweep.record.runs.values():
        value = run.overrides[0].partition("=")[2]
        (sweep.folder / run.name).mkdir()
        scores = {"BLEU": 1.0 + (value == "0.1"), "loss": 1.0}
        sweep.record.append(replace(run, state="done", validation=scores))

    def translate(arguments, log):
        lines = texts[Path(arguments[1]).name.partition("=")[2].removesuffix("-seed1")]
        Path(arguments[arguments.index("-o") + 1]).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        return 0

    monkeypatch.setattr("seq2seq.sweeps.sweep.run_process", translate)
    monkeypatch.setenv("COLUMNS", "200")
    sweep.test()
    first, best, other = sweep.record.runs.values()
    assert not other.test
    assert "BLEU_difference" not in first.test
    assert best.test["BLEU_difference"] == best.test["BLEU"] - first.test["BLEU"] > 10
    print_table(SweepTable(sweep.record.runs.values()))
    said = capsys.readouterr().out
    assert "\nsetting 2: encoder.dropout=0.1\n" in said
    _, _, tested = said.partition("test BLEU")
    shown = next(line for line in tested.splitlines() if line.startswith("2 "))
    assert shown.split()[-3:] == [
        f"+{best.test['BLEU_difference']:.2f}",
        f"{best.test['p_bootstrap']:.4f}",
        f"{best.test['p_randomization']:.4f}",
    ]
    _, evaluate, compare = (shlex.split(command)[1:] for command in best.commands[1:])
    assert command(*evaluate, "--json") == 0
    assert json.loads(capsys.readouterr().out)["scores"][0]["score"] == best.test["BLEU"]
    systems = [str(sweep.folder / run.name / "test.hypotheses") for run in (first, best)]
    assert compare == ["compare", *systems, "--reference", str(sweep.folder / "test.reference")]


def test_why_a_process_failed(tmp_path):
    log = tmp_path / "log"
    log.write_text("error: old\nstep\nerror: x.tsv: no such file\nsecond line\n", encoding="utf-8")
    assert explain_exit(1, log, 0) == "x.tsv: no such file\nsecond line"
    assert explain_exit(1, log, len("error: old\nstep\nerror: x.tsv: no such file\n")) == "second line"
    assert explain_exit(2, log, log.stat().st_size) == "exit code 2"
    if sys.platform != "win32":
        assert explain_exit(-9, log, 0) == "ended by SIGKILL, perhaps by the system for want of memory"
