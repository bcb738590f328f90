"""Gradients before and after a training, by the benchmark: by hand for one sequence, of a batch, and of a seed."""

import numpy as np
import pytest
import tensorflow as tf
from gradients import NORMS, gradient_flow, measure_gradient_flow

from seq2seq.analysis.gradients import state_slices
from seq2seq.analysis.memory_tasks.tasks import TemporalOrderTask
from seq2seq.analysis.memory_tasks.trainer import Budget, MemoryTrainer

TASK, STEPS = TemporalOrderTask(), 10
TINY = Budget(parameters=150, max_updates=2, batch_size=4, eval_every=2, eval_sequences=8)


@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_norms_of_one_sequence_equal_derivatives_taken_of_it_alone(kind):
    """From one step on, by TensorFlow's Jacobian of a loop over the cell's own call."""
    trainer = MemoryTrainer(kind, TASK, TINY)
    batch = TASK.sample(STEPS, 1, np.random.default_rng(1))
    table = gradient_flow(trainer, batch)
    cell, distance = trainer.network.recurrence.cell, 3
    now = [tf.zeros([1, size]) for size in cell.state_size]
    for step in range(STEPS - distance):
        _, now = cell(batch.inputs[:, step], now)
    whole = tf.concat(now, axis=-1)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(whole)
        later = tf.split(whole, cell.state_size, axis=-1)
        for step in range(STEPS - distance, STEPS):
            output, later = cell(batch.inputs[:, step], later)
        last = tf.concat(later, axis=-1)[0]
        logits = trainer.network.output_layer(output)
        loss = tf.nn.sparse_softmax_cross_entropy_with_logits(batch.targets[:, 0], logits)[0]
    jacobian = np.asarray(tape.jacobian(last, whole))[:, 0]
    assert table["state"].unique().tolist() == ["h", "c"][: len(now)]
    for state, part in zip("hc", state_slices(cell), strict=False):
        row = table[(table["state"] == state) & (table["distance"] == distance)].iloc[0]
        assert row["spectral"] == pytest.approx(np.linalg.svd(jacobian[part, part])[1][0], rel=1e-4)
        assert row["frobenius"] == pytest.approx(np.linalg.norm(jacobian[part, part]), rel=1e-4)
    if kind == "gru":  # an LSTM's h and c count apart here, and c with its h in `state_gradients`
        assert row["loss"] == pytest.approx(np.linalg.norm(tape.gradient(loss, whole)), rel=1e-4)


def test_a_batch_has_the_geometric_mean_of_its_sequences():
    trainer = MemoryTrainer("lstm", TASK, TINY)
    batch = TASK.sample(STEPS, 3, np.random.default_rng(1))
    alone = [gradient_flow(trainer, type(batch)(*(part[[row]] for part in batch)))[NORMS] for row in range(3)]
    expected = np.exp(np.mean([np.log(table) for table in alone], axis=0))
    np.testing.assert_allclose(gradient_flow(trainer, batch)[NORMS], expected, rtol=1e-4)


def test_before_and_after_are_those_of_the_same_seed():
    flow = measure_gradient_flow("sru", TASK, STEPS, TINY, seed=4, batch_size=3)
    batch = TASK.sample(STEPS, 3, np.random.default_rng([4, 2]))
    trainer = MemoryTrainer("sru", TASK, TINY)
    trainer.reset(seed=4)
    for when, make in (("before", lambda: None), ("after", lambda: trainer.train(STEPS, seed=4))):
        make()
        found = flow.norms[flow.norms["when"] == when]
        assert set(found["state"]) == {"c"}
        np.testing.assert_array_equal(found[NORMS], gradient_flow(trainer, batch)[NORMS])
    assert flow.run.updates == 2
