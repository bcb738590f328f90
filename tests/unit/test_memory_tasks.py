"""Each task's sequences hold their answers where the task says, and guessing gets what it says."""

import numpy as np
import pytest

from seq2seq.analysis.memory_tasks.tasks import AddingTask, CopyTask, TemporalOrderTask

TASKS = [CopyTask(num_symbols=5, length=3), AddingTask(), TemporalOrderTask()]
by_task = pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
ROWS = 400


def draw(task, distance, rows=ROWS, seed=1):
    return task.sample(distance, rows, np.random.default_rng(seed))


def test_copy_asks_for_each_symbol_as_many_steps_after_it():
    distance, task = 9, TASKS[0]
    inputs, answers = draw(task, distance)
    read = inputs.argmax(-1)
    assert inputs.shape == (ROWS, distance + 3, 7)
    np.testing.assert_array_equal(inputs.sum(-1), 1)
    for place in range(3):  # said at the last three steps, the first of which is step `distance`
        np.testing.assert_array_equal(read[:, distance + place - distance], answers[:, place])
    np.testing.assert_array_equal(read[:, 3:8], 5)
    np.testing.assert_array_equal(read[:, 8], 6)
    np.testing.assert_array_equal(read[:, 9:], 5)
    assert {tuple(row) for row in answers[:, :1]} == {(symbol,) for symbol in range(5)}


@pytest.mark.parametrize("distance", [2, 7, 30])
def test_adding_marks_one_number_in_each_half(distance):
    inputs, answers = draw(AddingTask(), distance)
    numbers, marks = inputs[:, :, 0], inputs[:, :, 1]
    half = distance // 2
    assert set(np.unique(marks)) <= {0.0, 1.0}
    np.testing.assert_array_equal(marks[:, :half].sum(1), 1)
    np.testing.assert_array_equal(marks[:, half:].sum(1), 1)
    np.testing.assert_allclose((numbers * marks).sum(1, keepdims=True), answers, rtol=1e-6)
    assert (marks.sum(0) > 0).all(), "every place is marked in some row"


@pytest.mark.parametrize("distance", [10, 25, 100])
def test_temporal_order_has_two_symbols_that_decide(distance):
    inputs, answers = draw(TemporalOrderTask(), distance)
    read = inputs.argmax(-1)
    np.testing.assert_array_equal(read[:, 0], 6)
    np.testing.assert_array_equal(read[:, -1], 7)
    decides = (read == 4) | (read == 5)
    np.testing.assert_array_equal(decides.sum(1), 2)
    first, second = decides.argmax(1), distance - 1 - decides[:, ::-1].argmax(1)
    assert (first.min(), first.max()) == (distance // 10, 2 * distance // 10)
    assert (second.min(), second.max()) == (5 * distance // 10, 6 * distance // 10)
    row = np.arange(ROWS)
    names = np.array(["XX", "XY", "YX", "YY"])
    told = ["XY"[read[r, a] - 4] + "XY"[read[r, b] - 4] for r, a, b in zip(row, first, second, strict=True)]
    assert told == names[answers[:, 0]].tolist()


@by_task
def test_who_guesses_gets_what_the_task_says(task, rng):
    """A constant answer, judged on many sequences, within five standard errors."""
    rows = 4000
    _, answers = draw(task, 12, rows)
    outputs = np.ones((rows, task.target_length, task.output_size))
    if task.output_size > 1:
        outputs[:, :, 1] = 2.0
    right = task.is_correct(outputs, answers)
    assert right.shape == answers.shape
    assert abs(right.mean() - task.chance_accuracy) < 5 * np.sqrt(
        task.chance_accuracy * (1 - task.chance_accuracy) / rows
    )


@by_task
def test_the_right_answers_are_right(task):
    _, answers = draw(task, 12)
    perfect = np.eye(task.output_size)[answers] if task.output_size > 1 else answers[:, :, None]
    assert task.is_correct(perfect, answers).all()


@by_task
def test_sequences_are_a_function_of_the_seed(task):
    same, again, other = draw(task, 12), draw(task, 12), draw(task, 12, seed=2)
    np.testing.assert_array_equal(same.inputs, again.inputs)
    assert (same.inputs != other.inputs).any()


@by_task
def test_too_short_a_distance_is_an_error(task):
    assert draw(task, task.min_distance).inputs.shape[0] == ROWS
    with pytest.raises(ValueError, match=f"distance is {task.min_distance - 1}, expected at least {task.min_distance}"):
        draw(task, task.min_distance - 1)
    with pytest.raises(ValueError, match="batch_size is 0"):
        draw(task, 12, rows=0)
