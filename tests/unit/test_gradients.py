"""Gradients through time against finite differences of the NumPy loops, in float64."""

import numpy as np
import pytest
import tensorflow as tf

from seq2seq.analysis.gradients import (
    jacobian_products,
    sensitivity,
    state_gradients,
    state_slices,
    step_jacobians,
    truncation_effect,
    weight_gradients,
)
from seq2seq.layers.cells import CELLS, make_cell
from tests.family import STEPS, affine
from tests.reference import sigmoid

B, T, INPUTS, UNITS = 2, 5, 3, 4
NUDGE = 1e-5  # of finite differences
# Layer normalisation computes in float32 whatever the cell's precision.
TOLERANCES = {"layer_norm_gru": 1e-4, "layer_norm_lstm": 1e-4}


def built(kind, transition_depth=1, scale=0.5, units=UNITS, below=False):
    cell = make_cell(kind, units, transition_depth, below=below, dtype="float64")
    cell.build((None, INPUTS))
    generator = np.random.default_rng(5)
    for weight in cell.weights:
        weight.assign(generator.normal(0.0, scale, weight.shape))
    return cell


def weights_of(cell):
    return {weight.name: np.asarray(weight, np.float64) for weight in cell.weights}


def numpy_states(kind, cell, x, first):
    """All states (T + 1, S) of one sequence, counters left out, and its outputs (T, O)."""
    weights = weights_of(cell)
    counted = cell.num_states
    now, states, outputs = [state[None] for state in first], [], []
    states.append(np.concatenate(now[:counted], -1)[0])
    for step in x:
        output, now = STEPS[kind](step[None], now, weights)
        states.append(np.concatenate(now[:counted], -1)[0])
        outputs.append(output[0])
    return np.array(states), np.array(outputs)


def first_states(cell, rng):
    """Random; of counters whole numbers, another for each row."""
    counted = cell.num_states
    return [
        rng.normal(size=(B, size)) if place < counted else np.arange(2.0, 2.0 + B)[:, None]
        for place, size in enumerate(cell.state_size)
    ]


def counted_on(counters, row, steps):
    """A row's counters after so many steps."""
    return [(counter[row] + steps) % 8 for counter in counters]


def split_up(cell, whole, counters):
    """A whole state (S,) as the cell's states."""
    return [whole[part] for part in state_slices(cell)] + counters


ALL = [*((kind, False) for kind in sorted(CELLS)), ("depth_gated_lstm", True)]


@pytest.fixture(params=ALL, ids=lambda param: param[0] + (" above" if param[1] else ""))
def case(request, rng):
    """A kind, its cell, inputs and first states; above another layer the inputs end in that layer's memory."""
    kind, below = request.param
    cell = built(kind, below=below)
    return kind, cell, rng.normal(size=(B, T, INPUTS + below * UNITS)), first_states(cell, rng)


def test_jacobians_and_their_products_equal_finite_differences(case):
    """Of each step, and of the last state by each of those before."""
    kind, cell, x, first = case
    jacobians = step_jacobians(cell, x, first)
    products = jacobian_products(jacobians)
    tolerance = TOLERANCES.get(kind, 1e-7)
    counted = cell.num_states
    for row in range(B):
        states, _ = numpy_states(kind, cell, x[row], [state[row] for state in first])
        for step in range(T):
            counters = counted_on(first[counted:], row, step)
            expected = np.empty((2, states.shape[1], states.shape[1]))  # of the next state, of the last one
            for place in range(states.shape[1]):
                ends = []
                for by in (NUDGE, -NUDGE):
                    moved = states[step].copy()
                    moved[place] += by
                    after, _ = numpy_states(kind, cell, x[row, step:], split_up(cell, moved, counters))
                    ends.append(np.stack([after[1], after[-1]]))
                expected[:, :, place] = (ends[0] - ends[1]) / (2 * NUDGE)
            np.testing.assert_allclose(jacobians[row, step], expected[0], atol=tolerance)
            np.testing.assert_allclose(products[row, T - step], expected[1], atol=tolerance)
    np.testing.assert_array_equal(products[:, 0], np.broadcast_to(np.eye(products.shape[-1]), products[:, 0].shape))


def test_gradients_of_a_loss_equal_finite_differences(case, rng):
    """By first states; and by each weight along a random direction."""
    kind, cell, x, first = case
    seeds = rng.normal(size=(B, T, cell.output_size))
    counted = cell.num_states

    def loss_of(states):
        rows = [numpy_states(kind, cell, x[row], [state[row] for state in states])[1] for row in range(B)]
        return float((seeds * np.stack(rows)).sum())

    def loss(outputs):
        return tf.reduce_sum(outputs * seeds)

    found = state_gradients(cell, x, loss, first)
    assert [gradient.shape for gradient in found] == [(B, T + 1, size) for size in cell.state_size[:counted]]
    tolerance = TOLERANCES.get(kind, 1e-7)
    for place, gradient in enumerate(found):
        for row in range(B):
            for unit in range(UNITS):
                ends = []
                for by in (NUDGE, -NUDGE):
                    moved = [state.copy() for state in first]
                    moved[place][row, unit] += by
                    ends.append(loss_of(moved))
                assert gradient[row, 0, unit] == pytest.approx((ends[0] - ends[1]) / (2 * NUDGE), abs=10 * tolerance)
    gradients = weight_gradients(cell, x, loss, initial=first)
    assert list(gradients) == [weight.path for weight in cell.weights]
    for weight in cell.weights:
        value, direction = np.asarray(weight), rng.normal(size=weight.shape)
        ends = []
        for by in (NUDGE, -NUDGE):
            weight.assign(value + by * direction)
            ends.append(loss_of(first))
        weight.assign(value)
        expected = (ends[0] - ends[1]) / (2 * NUDGE)
        assert (gradients[weight.path] * direction).sum() == pytest.approx(expected, abs=100 * tolerance)


# Of cells with a memory beside h: h as the output gate makes it of a memory c, within a step that came from `h`.
OPENED = {
    "lstm": lambda x, h, c, weights: sigmoid(affine(x, h, weights, 3, 4)) * np.tanh(c),
    "cifg": lambda x, h, c, weights: sigmoid(affine(x, h, weights, 2, 3)) * np.tanh(c),
    "peephole_lstm": lambda x, h, c, weights: (
        sigmoid(affine(x, h, weights, 3, 4) + weights["peepholes"][2] * c) * np.tanh(c)
    ),
    "slstm": lambda x, h, c, weights: sigmoid(affine(x, h, weights, 3, 4)) * c,
}
STATE_IS_OUTPUT = sorted(set(CELLS) - {"sru", "depth_gated_lstm"})


def losses_from(kind, cell, x, seeds, step, state, counters):
    """What a sequence adds to the loss once it is in a state (S,) after so many steps, that step's output included."""
    now = split_up(cell, state, counters)
    _, outputs = numpy_states(kind, cell, x[step:], now) if step < T else (None, np.zeros((0, UNITS)))
    return seeds[step - 1] @ now[0] + (seeds[step:] * outputs).sum()


@pytest.mark.parametrize("kind", STATE_IS_OUTPUT)
def test_gradients_by_each_state_on_the_way_equal_finite_differences(kind, rng):
    """h_k is nudged and counts as the output of its step too; c_k takes the h_k along that is made of it, m_k none."""
    cell, x = built(kind), rng.normal(size=(B, T, INPUTS))
    first, seeds = first_states(cell, rng), rng.normal(size=(B, T, UNITS))
    found = state_gradients(cell, x, lambda outputs: tf.reduce_sum(outputs * seeds), first)
    parts, counters = state_slices(cell), first[cell.num_states :]
    for row in range(B):
        states, _ = numpy_states(kind, cell, x[row], [state[row] for state in first])

        def nudged(step, part, unit, by, row=row, states=states):
            state = states[step].copy()
            state[part][unit] += by
            if part in parts[1:2]:
                state[parts[0]] = OPENED[kind](
                    x[row, step - 1], states[step - 1][parts[0]], state[part], weights_of(cell)
                )
            return losses_from(kind, cell, x[row], seeds[row], step, state, counted_on(counters, row, step))

        for gradient, part in zip(found, parts, strict=True):
            if part == parts[0] or kind in OPENED:
                expected = [
                    [
                        (nudged(step, part, unit, NUDGE) - nudged(step, part, unit, -NUDGE)) / (2 * NUDGE)
                        for unit in range(UNITS)
                    ]
                    for step in range(1, T + 1)
                ]
                np.testing.assert_allclose(gradient[row, 1:], expected, atol=10 * TOLERANCES.get(kind, 1e-7))


@pytest.mark.parametrize("kind", ["elman", "lstm", "gru", "clockwork"])
def test_the_way_back_is_the_product_of_jacobians(kind, rng):
    """A loss on the last output alone: what it leaves at h_k is its row times the derivative of h_T by h_k."""
    cell = built(kind)
    x, row = rng.normal(size=(B, T, INPUTS)), rng.normal(size=UNITS)
    found = state_gradients(cell, x, lambda outputs: tf.reduce_sum(outputs[:, -1] * row))[0]
    products = jacobian_products(step_jacobians(cell, x))[:, :, :UNITS, :UNITS]
    np.testing.assert_allclose(found[:, ::-1], np.einsum("i,bdij->bdj", row, products), atol=1e-12)


def test_a_deep_transition_is_one_step(rng):
    cell, parts = built("gru", transition_depth=2), np.empty((B, T, UNITS, UNITS))
    x, states = rng.normal(size=(B, T, INPUTS)), np.zeros((B, UNITS))
    for step in range(T):
        for place in range(UNITS):
            ends = [cell(x[:, step], [states + by * np.eye(UNITS)[place]])[0] for by in (NUDGE, -NUDGE)]
            parts[:, step, :, place] = (ends[0] - ends[1]) / (2 * NUDGE)
        states = np.asarray(cell(x[:, step], [states])[0])
    np.testing.assert_allclose(step_jacobians(cell, x), parts, atol=1e-8)


def test_sensitivity_of_a_linear_network_is_that_of_a_power(rng):
    """ReLU units that are all on: every Jacobian is the recurrent matrix."""
    cell = built("elman_relu")
    recurrent = np.abs(rng.normal(size=(UNITS, UNITS)))
    cell.recurrent_kernel.assign(recurrent)
    cell.bias.assign(np.full(UNITS, 100.0))
    jacobians = step_jacobians(cell, rng.normal(size=(B, T, INPUTS)), [np.ones((B, UNITS))])
    table = sensitivity(jacobians)
    assert len(table) == B * (T + 1)
    for line in table.itertuples():
        power = np.linalg.matrix_power(recurrent.T, line.distance)
        singular = np.sqrt(np.linalg.eigvalsh(power.T @ power).clip(0))
        assert line.spectral == pytest.approx(singular.max())
        assert line.frobenius == pytest.approx(np.sqrt((power**2).sum()))


def test_parts_of_an_lstms_state_are_blocks(rng):
    cell = built("lstm")
    jacobians = step_jacobians(cell, rng.normal(size=(B, T, INPUTS)))
    hidden, content = state_slices(cell)
    assert (hidden, content) == (slice(0, 4), slice(4, 8))
    blocks = jacobian_products(jacobians)
    for part in (hidden, content):
        found = sensitivity(jacobians, part)["frobenius"].to_numpy().reshape(B, T + 1)
        np.testing.assert_allclose(found, np.sqrt((blocks[:, :, part, part] ** 2).sum((2, 3))))


@pytest.mark.parametrize("kind", ["elman", "lstm"])
@pytest.mark.parametrize("chunk", [1, 2, 3])
def test_a_cut_gradient_is_that_of_a_run_that_starts_at_the_cut(kind, chunk, rng):
    """With the loss on the last output, the last `chunk` steps are all that counts."""
    cell, x = built(kind), rng.normal(size=(B, T, INPUTS))

    def loss(outputs):
        return tf.reduce_sum(tf.square(outputs[:, -1]))

    now = [np.zeros((B, size)) for size in cell.state_size]
    for step in range(T - chunk):
        _, now = cell(x[:, step], now)
    expected = weight_gradients(cell, x[:, T - chunk :], loss, initial=now)
    found = weight_gradients(cell, x, loss, chunk)
    for name, gradient in expected.items():
        np.testing.assert_allclose(found[name], gradient, atol=1e-12)
    assert any(np.abs(found[name] - g).max() > 1e-6 for name, g in weight_gradients(cell, x, loss).items())


def test_truncation_against_the_full_gradient(rng):
    cell, x = built("gru"), rng.normal(size=(B, T, INPUTS))

    def loss(outputs):
        return tf.reduce_sum(outputs)  # on every step: each chunk has its part

    table = truncation_effect(cell, x, loss, [2, T, 2 * T])
    full, cut = weight_gradients(cell, x, loss), weight_gradients(cell, x, loss, 2)
    assert table["weight"].tolist() == 3 * [*full, "all"]
    name = cell.recurrent_kernel.path
    line = table[(table["weight"] == name) & (table["chunk"] == 2)].iloc[0]
    a, b = cut[name].ravel(), full[name].ravel()
    assert line["norm_ratio"] == pytest.approx(np.sqrt(a @ a) / np.sqrt(b @ b))
    assert line["cosine"] == pytest.approx(a @ b / np.sqrt((a @ a) * (b @ b)))
    assert line["cosine"] < 0.999
    whole = table[table["chunk"] >= T]
    np.testing.assert_allclose(whole[["norm_ratio", "cosine"]], 1.0)


def test_wrong_inputs_are_named(rng):
    cell = built("lstm")
    with pytest.raises(ValueError, match=r"shape \(2, 5, 4\), expected \(batch, steps, 3\)"):
        step_jacobians(cell, rng.normal(size=(2, 5, 4)))
    with pytest.raises(ValueError, match="1 initial states, expected 2"):
        step_jacobians(cell, rng.normal(size=(2, 5, 3)), [np.zeros((2, UNITS))])
    with pytest.raises(ValueError, match="chunk is 0"):
        weight_gradients(cell, rng.normal(size=(2, 5, 3)), tf.reduce_sum, 0)
