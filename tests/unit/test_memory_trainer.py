"""Training on memory tasks: equal sizes, reproducible, resumable, and counted right."""

import json
import math
from dataclasses import asdict
from typing import ClassVar

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from seq2seq.analysis.gradients import unroll, weight_gradients
from seq2seq.analysis.memory_tasks.experiments import COLUMNS, memory_span, memory_span_at_best_rate, run_experiments
from seq2seq.analysis.memory_tasks.tasks import AddingTask, CopyTask, TemporalOrderTask
from seq2seq.analysis.memory_tasks.trainer import Budget, MemoryTrainer, TrainingRun, units_for_parameters
from seq2seq.analysis.records import RECORDS
from seq2seq.evaluation.intervals import mean_confidence_interval
from seq2seq.layers.cells import CELLS, make_cell

TINY = Budget(parameters=150, max_updates=4, batch_size=5, eval_every=2, eval_sequences=20)


@pytest.mark.parametrize("kind", sorted(CELLS))
def test_no_other_width_comes_closer(kind):
    """Against every width that the cell accepts, one by one."""
    parameters, width = 700, 3
    found = units_for_parameters(kind, parameters, width)

    def off(units):
        try:
            cell = make_cell(kind, units)
        except ValueError:
            return math.inf
        cell.build((None, width))
        return abs(cell.count_params() - parameters)

    assert found == min(range(1, found + 9), key=off)


def test_units_need_a_cell_and_sizes():
    with pytest.raises(ValueError, match="no cell 'lstn'"):
        units_for_parameters("lstn", 100, 3)
    with pytest.raises(ValueError, match="input_size 0"):
        units_for_parameters("lstm", 100, 0)


@pytest.mark.parametrize("kind", ["clockwork", "gru"])
def test_a_training_is_a_function_of_its_seed_whatever_came_before(kind):
    task = CopyTask(num_symbols=3, length=2)
    used, fresh = MemoryTrainer(kind, task, TINY), MemoryTrainer(kind, task, TINY)
    other = used.train(6, seed=2)
    again, first = used.train(9, seed=3), fresh.train(9, seed=3)
    np.testing.assert_array_equal(again.losses, first.losses)
    np.testing.assert_array_equal(again.gradient_norms, first.gradient_norms)
    assert again.score == first.score
    assert len(other.losses) == TINY.max_updates
    assert (other.losses[0] != again.losses[0]).all()


@pytest.mark.parametrize("task", [AddingTask(), TemporalOrderTask()], ids=lambda task: task.name)
def test_a_network_learns_a_short_task_and_stops(task):
    budget = Budget(parameters=500, max_updates=300, eval_every=25, eval_sequences=200, target_score=0.6)
    run = MemoryTrainer("gru", task, budget).train(10)
    assert 0.6 <= run.score <= 1.0
    assert run.updates < 300
    assert run.updates % 25 == 0
    assert run.losses[-10:].mean() < run.losses[:10].mean()


def test_only_h_is_read_of_a_cell_that_hands_up_its_memory():
    task = CopyTask(num_symbols=3, length=2)
    network = MemoryTrainer("depth_gated_lstm", task, TINY).network
    batch = task.sample(6, 4, np.random.default_rng(1))
    outputs, _ = network.recurrence(batch.inputs, tf.fill([4], 8))
    hidden = np.asarray(outputs)[:, -2:, : network.recurrence.cell.units]
    kernel, bias = (np.asarray(weight) for weight in network.output_layer.weights)
    np.testing.assert_allclose(network(batch.inputs), hidden @ kernel + bias, atol=1e-6)


@pytest.mark.parametrize("task", [AddingTask(), TemporalOrderTask()], ids=lambda task: task.name)
def test_plain_gradient_descent_takes_steps_of_the_losss_gradient(task):
    """With another optimizer, and without clipping; the loss is that of `loss_function`."""
    budget = Budget(parameters=150, max_updates=1, batch_size=5, eval_sequences=8, learning_rate=0.5, clip_norm=None)
    trainer = MemoryTrainer("gru", task, budget, keras.optimizers.SGD)
    trainer.reset(seed=3)
    cell = trainer.network.recurrence.cell
    before = {weight.path: np.array(weight) for weight in cell.weights}
    batch = task.sample(10, 5, np.random.default_rng([3, 0]))
    loss = trainer.loss_function(batch)
    gradients = weight_gradients(cell, batch.inputs, loss)
    value = float(loss(unroll(cell, batch.inputs).stacked_outputs()))
    run = trainer.train(10, seed=3)
    assert run.losses[0] == pytest.approx(value, rel=1e-5)
    for weight in cell.weights:
        np.testing.assert_allclose(before[weight.path] - weight, 0.5 * gradients[weight.path], atol=1e-6)


FAR = {("lstm", 1): 40, ("lstm", 2): 20, ("elman", 1): 5, ("elman", 2): 10, ("elman", 3): 40}


class Scripted:
    """Stands in for a trainer: solves what is at most `FAR` steps away for a seed."""

    units, num_parameters = 4, 100
    calls: ClassVar[list[tuple]]

    def __init__(self, cell, task, budget):
        self.cell = cell

    def train(self, distance, seed):
        self.calls.append((self.cell, distance, seed))
        score = 0.95 if distance <= FAR[self.cell, seed] else 0.3
        return TrainingRun(score, 7, 0.5, np.zeros(7), np.zeros(7))


@pytest.fixture
def scripted(monkeypatch):
    Scripted.calls = []
    monkeypatch.setattr("seq2seq.analysis.memory_tasks.experiments.MemoryTrainer", Scripted)
    return Scripted.calls


def test_longer_distances_are_not_tried_once_all_seeds_fail(scripted):
    entries = []
    scores = run_experiments(["elman"], [AddingTask()], [40, 10, 20, 80], [1, 2], on_progress=entries.append)
    assert scripted == [("elman", 10, 1), ("elman", 10, 2), ("elman", 20, 1), ("elman", 20, 2)]
    assert list(scores.columns) == COLUMNS
    assert scores["distance"].tolist() == [10, 10, 20, 20, 40, 40, 80, 80]
    assert scores["score"].isna().tolist() == [False] * 4 + [True] * 4
    assert [entry["score"] for entry in entries] == [0.3, 0.95, 0.3, 0.3, None, None, None, None]


def test_a_second_call_goes_on_where_the_first_ended(scripted):
    call = (["lstm", "elman"], [AddingTask()], [10, 20], [1, 2])
    lines = []
    whole = run_experiments(*call, on_progress=lambda entry: lines.append(json.dumps(entry)))
    done, entries = len(scripted), [json.loads(line) for line in lines]
    pd.testing.assert_frame_equal(run_experiments(*call, known=entries), whole)
    assert len(scripted) == done
    more = entries[:3]  # stopped after three trainings
    pd.testing.assert_frame_equal(run_experiments(*call, known=list(more), on_progress=more.append), whole)
    assert scripted[done:] == scripted[3:done]
    assert more == entries
    assert {entry["setting"]["learning_rate"] for entry in more} == {Budget.learning_rate}
    run_experiments(*call, budget=Budget(max_updates=3), known=more)
    assert len(scripted) == 3 * done - 3, "another budget is another training"


def test_what_was_not_tried_is_when_a_new_seed_gets_further(scripted):
    known = []
    run_experiments(["elman"], [AddingTask()], [20, 40], [1, 2], on_progress=known.append)
    assert ("elman", 40, 1) not in scripted
    scores = run_experiments(["elman"], [AddingTask()], [20, 40], [1, 2, 3], known=known)
    assert scripted[2:] == [("elman", 20, 3), ("elman", 40, 1), ("elman", 40, 2), ("elman", 40, 3)]
    assert not scores["score"].isna().any()


def test_the_recorded_runs_have_settings_of_today():
    """Or a benchmark that resumes would repeat them all."""
    tasks = {task.name: task for task in (CopyTask(num_symbols=4, length=2), AddingTask(), TemporalOrderTask())}
    entries = [json.loads(line) for line in (RECORDS / "memory.jsonl").read_text("utf-8").splitlines()]
    assert {entry["task"] for entry in entries} == set(tasks)
    for entry in entries:
        budget = Budget(learning_rate=entry["setting"]["learning_rate"])
        assert entry["setting"] == asdict(budget) | vars(tasks[entry["task"]])


def test_how_far_cells_remember():
    def rows(cell, solved_by_seed):
        return [
            {"cell": cell, "task": "copy", "distance": d, "seed": s, "score": 0.95 if d in solved else math.nan}
            for s, solved in enumerate(solved_by_seed)
            for d in (10, 20, 40)
        ]

    scores = pd.DataFrame(rows("lstm", [{10, 20}, {10, 20, 40}, {10}]) + rows("elman", [set(), set(), set()]))
    lstm, elman = memory_span(scores).to_dict("records")
    assert (lstm["cell"], lstm["seeds"], lstm["at_least"]) == ("lstm", 3, True)
    assert lstm["mean"] == pytest.approx(70 / 3)
    assert lstm["spans"] == (20, 40, 10)
    assert (lstm["low"], lstm["high"]) == (0, 40), "Student's interval is wider than what is possible"
    assert (elman["mean"], elman["low"], elman["high"], elman["at_least"]) == (0, 0, 0, False)


def test_the_interval_of_a_memory_span_is_students():
    distances = [10, 20, 30, 40]
    rows = [{"distance": d, "seed": s, "score": d <= span} for s, span in enumerate((20, 20, 30)) for d in distances]
    (found,) = memory_span(pd.DataFrame(rows).assign(cell="gru", task="copy").astype({"score": float})).to_dict(
        "records"
    )
    # Student's t of two degrees of freedom is 4.3027 at 0.975; the standard deviation of 20, 20, 30 is 5.7735.
    half = 4.3027 * 5.7735 / math.sqrt(3)
    assert (found["low"], found["high"]) == pytest.approx((70 / 3 - half, 70 / 3 + half), rel=1e-4)


def test_what_is_solved_beyond_a_failure_does_not_count():
    scores = pd.DataFrame({"distance": [40, 10, 20], "score": [1.0, 0.95, 0.5]})
    (found,) = memory_span(scores.assign(cell="jordan", task="long distance", seed=1)).to_dict("records")
    assert (found["mean"], found["at_least"]) == (10, False)


def test_a_single_seed_has_no_interval():
    assert all(math.isnan(end) for end in mean_confidence_interval([3.0]))


def test_the_best_learning_rate_is_taken_for_each_task():
    def rows(cell, task, rate, furthest):
        return [
            {"cell": cell, "task": task, "distance": d, "seed": s, "score": 0.9 + 0.05 * (d <= f) - 0.1 * (d > f)}
            | {"learning_rate": rate}
            for s, f in enumerate(furthest)
            for d in (10, 20)
        ]

    scores = pd.DataFrame(
        [
            *rows("lstm", "copy", 1e-2, [10, 10]),
            *rows("elman", "copy", 1e-2, [20, 20]),
            *rows("lstm", "copy", 3e-3, [10, 20]),
            *rows("elman", "copy", 3e-3, [20, 20]),
            *rows("lstm", "adding", 3e-3, [0, 0]),
        ]
    )
    found = memory_span_at_best_rate(scores)[["cell", "task", "mean", "learning_rate"]]
    assert sorted(found.itertuples(index=False, name=None)) == [
        ("elman", "copy", 20.0, 1e-2),
        ("lstm", "adding", 0.0, 3e-3),
        ("lstm", "copy", 15.0, 3e-3),
    ]
    assert list(found["cell"].unique()) == ["lstm", "elman"]
