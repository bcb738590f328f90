"""The GPU check at toy size on the CPU: its parts run, and what is wrong makes it fail."""

import json
import subprocess
import sys
from collections import Counter
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

FOLDER = Path(__file__).parents[2] / "benchmarks/gpu"


@pytest.fixture(scope="module")
def modules():
    """Benchmarks are no package: they import from the folder of the command."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(FOLDER))
        yield
    for name in [name for name in sys.modules if name.partition(".")[0] in ("check", "child", "parts")]:
        del sys.modules[name]


@pytest.fixture
def run(modules, tmp_path, capsys):
    """Run the command in this process; returns its exit code, its report and what it printed."""
    import check

    def run(*arguments: str) -> tuple[int, dict, str]:
        code = check.main(["--json", str(tmp_path / "gpu.json"), *arguments])
        return code, json.loads((tmp_path / "gpu.json").read_text(encoding="utf-8")), capsys.readouterr().out

    return run


def statuses(report: dict) -> dict[str, str]:
    return {name: part["status"] for name, part in report["parts"].items()}


def test_parts_pass(run, monkeypatch):
    """All but two, which the slow test has. `loading` loads here: TensorFlow takes seconds to import."""
    import child
    from check import PARTS
    from parts import loading

    monkeypatch.setattr(loading, "start", lambda task, arguments, _: getattr(child, task)(**arguments))
    monkeypatch.setattr(loading, "answer", lambda found, _: found)
    monkeypatch.setattr(loading, "measure", cache(loading.measure))
    names = [name for name in PARTS if name not in ("forms", "determinism")]
    code, report, printed = run("--toy", "--minutes", "60", "--parts", *names)
    assert not report["missed"]
    assert code == 0
    assert statuses(report) == dict.fromkeys(names, "passed")
    about = report["about"]
    assert about["tensorflow"].startswith(tf.__version__)
    assert about["sizes"]["units"] == 32
    assert {"gpu", "driver", "date", "command", "keras"} <= set(about)
    parts = report["parts"]
    errors = {row["row"]: max(row["distances"].values()) for row in parts["recurrences"]["found"]}
    for cell in ("GRUCell", "LSTMCell"):
        assert errors[f"{cell} float32"] < 1e-5 < errors[f"{cell} mixed_float16"] < errors[f"{cell} mixed_bfloat16"]
    assert {row["row"] for row in parts["curves"]["found"]} == {"float32", "mixed_float16", "mixed_bfloat16"}
    assert {row["alone"] for row in parts["decoding"]["found"]} == {1.0}
    assert parts["quickstart"]["found"]["updates"] == 4
    assert "no GPU: cuDNN" in printed


@pytest.mark.slow
def test_the_command_passes_with_processes_of_its_own(tmp_path):
    report = tmp_path / "gpu.json"
    command = [sys.executable, FOLDER / "check.py", "--toy", "--minutes", "60", "--without-training", "--json", report]
    subprocess.run(command, check=True, cwd=FOLDER.parents[1])
    parts = json.loads(report.read_text(encoding="utf-8"))["parts"]
    assert {part["status"] for part in parts.values()} == {"passed"}
    assert {"forms", "loading", "determinism"} < set(parts)
    assert "quickstart" not in parts
    assert parts["loading"]["found"]["here"] == parts["loading"]["found"]["there"]
    assert not parts["determinism"]["found"]["float32"]["differ"]


def noisy(sequence, noise):
    """A recurrence whose gradients are as if parts of them came from memory that nobody wrote, in bfloat16 only."""

    def run(x, *others):
        outputs = sequence(x, *others)
        if outputs.dtype != tf.bfloat16:
            return outputs

        @tf.custom_gradient
        def spoilt(y):
            return tf.identity(y), lambda upstream: upstream + noise(upstream)

        return spoilt(outputs)

    return run


@pytest.mark.parametrize(
    "noise",
    [
        lambda gradient: tf.cast(tf.random.normal(tf.shape(gradient)), gradient.dtype),
        lambda gradient: gradient * 0.2,  # the same each time
        lambda gradient: gradient * float("nan"),
    ],
    ids=["random", "repeatable", "NaN"],
)
def test_gradients_from_memory_that_nobody_wrote_are_found(run, monkeypatch, noise):
    from parts import recurrences

    from seq2seq.layers import recurrence

    tf.random.set_seed(1)  # needed by random numbers if a training has made this process deterministic
    monkeypatch.setattr(recurrence, "gru_sequence", noisy(recurrence.gru_sequence, noise))
    monkeypatch.setattr(recurrences, "precisions", lambda _: ["mixed_bfloat16"])
    code, report, printed = run("--toy", "--parts", "recurrences")
    assert code == 1
    assert statuses(report) == {"recurrences": "missed"}
    verdicts = {row["row"]: row["verdict"] for row in report["parts"]["recurrences"]["found"]}
    assert verdicts == {"GRUCell mixed_bfloat16": "MISSED", "LSTMCell mixed_bfloat16": "pass"}
    assert "MISSED  recurrences: GRUCell mixed_bfloat16" in printed


def test_a_precision_that_learns_less_is_found(run, monkeypatch):
    """Losses whose curve ends 6% of what float32 learnt above it."""
    from parts import curves

    def trained(check, form, precision):
        end = {"float32": 1.0, "mixed_float16": 1.04, "mixed_bfloat16": 1.06}[precision]
        update = type("Update", (), {"skipped": 0, "loss_scale": None})
        model = type("Model", (), {"update": update})
        return type("Trainer", (), {"losses": np.linspace(2.0, end, 11).tolist(), "model": model})

    monkeypatch.setattr(curves, "trained", trained)
    code, report, _ = run("--toy", "--parts", "curves", "--size", "updates=11")
    assert code == 1
    assert [missed.split(":")[1] for missed in report["missed"]] == [" mixed_bfloat16"]


def test_parts_after_the_deadline_are_not_run(run):
    code, report, _ = run("--toy", "--minutes", "0")
    assert code == 1
    assert set(statuses(report).values()) == {"not run"}
    assert report["missed"][0] == "recurrences: not run: the deadline has passed; raise --minutes, or choose --parts"


def test_a_part_that_fails_does_not_hide_the_next(modules, tmp_path, capsys):
    """And a slow one leaves no time for the last; the report is written after each."""
    from parts.report import Check
    from parts.sizes import TOY

    file = tmp_path / "gpu.json"
    check = Check(TOY, minutes=1.0, json_file=file, toy=True)

    def fails(_):
        raise ZeroDivisionError("nothing by nothing")

    def lacks(_):
        raise ModuleNotFoundError("No module named 'pydantic'")

    def slow(check):
        check.deadline -= 60.0
        return 3

    for name, part, expected in (
        ("fails", fails, "failed"),
        ("lacks", lacks, "not run"),
        ("nan", lambda check: check.bound("nan", float("nan"), 1.0), "missed"),
        ("slow", slow, "passed"),
        ("late", slow, "not run"),
    ):
        check.part(name, name, part)
        report = json.loads(file.read_text(encoding="utf-8"))
        assert report["parts"][name]["status"] == expected
        assert "seconds" in report["parts"][name]
    assert "ZeroDivisionError: nothing by nothing" in report["parts"]["fails"]["why"]
    assert report["parts"]["lacks"]["why"] == "No module named 'pydantic'"
    assert report["parts"]["slow"]["found"] == 3
    assert [missed.partition(":")[0] for missed in report["missed"]] == ["fails", "lacks", "nan", "late"]


def test_recurrences_in_bfloat16_and_softmaxes_in_16_bits_are_found(modules):
    from parts.dtypes import troubles

    right = Counter({"CudnnRNNV3 float32": 2, "CudnnRNNBackpropV3 float16": 2, "Softmax float32": 1})
    assert troubles(right, on_gpu=True) == []
    assert troubles(Counter({"MatMul bfloat16": 3}), on_gpu=False) == []
    assert troubles(Counter({"MatMul bfloat16": 3}), on_gpu=True) == ["no CudnnRNNV3 in the graph"]
    wrong = Counter({"CudnnRNNV3 bfloat16": 1, "Softmax float16": 1})
    assert troubles(wrong, on_gpu=True) == ["CudnnRNNV3 in bfloat16", "Softmax in float16"]


def test_sizes_are_changed_by_name(modules):
    from parts.sizes import TOY, changed

    found = changed(TOY, ["units=8", "speed_tokens=50,60", "learning_rate=0.5"])
    assert (found.units, found.speed_tokens, found.learning_rate) == (8, (50, 60), 0.5)
    with pytest.raises(ValueError, match=r"unknown size 'width'\. Accepted: alone, copy_batches"):
        changed(TOY, ["width=3"])
    with pytest.raises(ValueError, match="--size units=wide: expected numbers above 0, as in units=32"):
        changed(TOY, ["units=wide"])
    with pytest.raises(ValueError, match="expected numbers above 0, as in speed_tokens=100,300"):
        changed(TOY, ["speed_tokens=100,0"])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--parts", "quickstart", "--without-training"], "no part is left to run"),
        (["--json", "."], "--json .: "),
    ],
)
def test_what_cannot_be_checked_is_said_at_once(modules, arguments, said, capsys):
    import check

    with pytest.raises(SystemExit):
        check.main(["--toy", *arguments])
    assert said in capsys.readouterr().err
