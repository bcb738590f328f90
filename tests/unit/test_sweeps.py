"""Sweeps without runs: grids, records, tables, what is checked before the first run."""

import json
import math
import sys

import pytest
from scipy import stats

from seq2seq.errors import ConfigError, ModelDirectoryError
from seq2seq.evaluation.intervals import mean_confidence_interval
from seq2seq.sweeps.grid import Setting, parse_grid
from seq2seq.sweeps.processes import explain_exit
from seq2seq.sweeps.record import RunRecord, SweepRecord
from seq2seq.sweeps.sweep import Sweep
from seq2seq.sweeps.table import SweepTable
from tests.toy import toy_config, write_corpus


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


def test_everything_is_checked_before_the_first_run(recipe, tmp_path):
    with pytest.raises(ConfigError, match=r"encoder\.unit=8: unknown key 'encoder\.unit'"):
        plan(recipe, tmp_path / "sweep", ["encoder.unit=8,9"])
    with pytest.raises(ConfigError, match=r"'batching\.max_tokens' 50: such a sentence does not fit"):
        plan(recipe, tmp_path / "sweep", ["batching.max_tokens=200,50"])
    other = tmp_path / "other.tsv"
    other.write_text("a\tb\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"other\.tsv' validates on text that differs"):
        plan(recipe, tmp_path / "sweep", [f"data.valid.tsv={tmp_path / 'valid.tsv'},{other}"])
    assert not (tmp_path / "sweep").exists()


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


def test_why_a_process_failed(tmp_path):
    log = tmp_path / "log"
    log.write_text("error: old\nstep\nerror: x.tsv: no such file\nsecond line\n", encoding="utf-8")
    assert explain_exit(1, log, 0) == "x.tsv: no such file\nsecond line"
    assert explain_exit(1, log, len("error: old\nstep\nerror: x.tsv: no such file\n")) == "second line"
    assert explain_exit(2, log, log.stat().st_size) == "exit code 2"
    if sys.platform != "win32":
        assert explain_exit(-9, log, 0) == "ended by SIGKILL, perhaps by the system for want of memory"
