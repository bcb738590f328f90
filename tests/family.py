"""One step of each cell in plain NumPy, written from the papers' equations: `STEPS[kind](x, states, weights)`.

`weights` has the weights of a cell by name, from which the gates are sliced. The first result is the output.
"""

import numpy as np

from seq2seq.config.network import LINEAR_CELLS
from seq2seq.layers.cells import CELLS
from tests.reference import gru_step, lstm_step, normalize, per_gate, sigmoid


def gate(weights, name, place, count):
    """Part number `place` of `count` of a weight's last axis."""
    return np.split(weights[name], count, axis=-1)[place]


def affine(x, h, weights, place, count):
    """W x + R h + b of one gate."""
    part = (gate(weights, name, place, count) for name in ("kernel", "recurrent_kernel", "bias"))
    kernel, recurrent, bias = part
    return x @ kernel + h @ recurrent + bias


def elman(squash):
    def step(x, states, weights):
        h = squash(x @ weights["kernel"] + states[0] @ weights["recurrent_kernel"] + weights["bias"])
        return h, [h]

    return step


def jordan(x, states, weights):
    hidden = np.tanh(x @ weights["kernel"] + states[0] @ weights["recurrent_kernel"] + weights["bias"])
    y = np.tanh(hidden @ weights["output_kernel"] + weights["output_bias"])
    return y, [y]


def gru(x, states, weights):
    h = gru_step(x, states[0], weights["kernel"], weights["recurrent_kernel"], weights["bias"])
    return h, [h]


def gru_reset_before(x, states, weights):
    (h,) = states
    z = sigmoid(
        x @ gate(weights, "kernel", 0, 3) + h @ gate(weights, "recurrent_kernel", 0, 2) + gate(weights, "bias", 0, 3)
    )
    r = sigmoid(
        x @ gate(weights, "kernel", 1, 3) + h @ gate(weights, "recurrent_kernel", 1, 2) + gate(weights, "bias", 1, 3)
    )
    n = np.tanh(x @ gate(weights, "kernel", 2, 3) + (r * h) @ weights["candidate_kernel"] + gate(weights, "bias", 2, 3))
    h = z * h + (1 - z) * n
    return h, [h]


def mgu(x, states, weights):
    (h,) = states
    f = sigmoid(x @ gate(weights, "kernel", 0, 2) + h @ weights["recurrent_kernel"] + gate(weights, "bias", 0, 2))
    n = np.tanh(x @ gate(weights, "kernel", 1, 2) + (f * h) @ weights["candidate_kernel"] + gate(weights, "bias", 1, 2))
    h = (1 - f) * h + f * n
    return h, [h]


def lstm(x, states, weights):
    h, c = lstm_step(x, *states, weights["kernel"], weights["recurrent_kernel"], weights["bias"])
    return h, [h, c]


def peephole_lstm(x, states, weights):
    h, c = states
    p_i, p_f, p_o = weights["peepholes"]
    i = sigmoid(affine(x, h, weights, 0, 4) + p_i * c)
    f = sigmoid(affine(x, h, weights, 1, 4) + p_f * c)
    c = f * c + i * np.tanh(affine(x, h, weights, 2, 4))
    h = sigmoid(affine(x, h, weights, 3, 4) + p_o * c) * np.tanh(c)
    return h, [h, c]


def cifg(x, states, weights):
    h, c = states
    f = sigmoid(affine(x, h, weights, 0, 3))
    c = f * c + (1 - f) * np.tanh(affine(x, h, weights, 1, 3))
    h = sigmoid(affine(x, h, weights, 2, 3)) * np.tanh(c)
    return h, [h, c]


def depth_gated_lstm(x, states, weights):
    """With depth vectors, x ends with the cell state of the layer below, which has the width of the states."""
    h, c = states
    four = {name: value[..., : 4 * h.shape[-1]] for name, value in weights.items()}
    i, f, o = (sigmoid(affine(x[:, : weights["kernel"].shape[0]], h, four, place, 4)) for place in (0, 1, 3))
    flow = 0.0
    if "depth_vectors" in weights:
        x, below = np.split(x, [-h.shape[-1]], axis=-1)
        p, q = weights["depth_vectors"]
        d = sigmoid(x @ gate(weights, "kernel", 4, 5) + gate(weights, "bias", 4, 5) + p * c + q * below)
        flow = d * below
    c = f * c + i * np.tanh(affine(x, h, four, 2, 4)) + flow
    h = o * np.tanh(c)
    return np.concatenate([h, c], axis=-1), [h, c]


def layer_norm_gru(x, states, weights):
    (h,) = states
    a = np.split(per_gate(x @ weights["kernel"], weights["input_scale"], 3) + weights["bias"][0], 3, axis=-1)
    b = np.split(per_gate(h @ weights["recurrent_kernel"], weights["recurrent_scale"], 3) + weights["bias"][1], 3, -1)
    z, r = sigmoid(a[0] + b[0]), sigmoid(a[1] + b[1])
    h = z * h + (1 - z) * np.tanh(a[2] + r * b[2])
    return h, [h]


def layer_norm_lstm(x, states, weights):
    h, c = states
    a = per_gate(x @ weights["kernel"], weights["input_scale"], 4)
    a = a + per_gate(h @ weights["recurrent_kernel"], weights["recurrent_scale"], 4) + weights["bias"]
    i, f, g, o = np.split(a, 4, axis=-1)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    h = sigmoid(o) * np.tanh(normalize(c) * weights["content_scale"] + weights["content_shift"])
    return h, [h, c]


def sru(x, states, weights):
    (c,) = states
    a = [x @ gate(weights, "kernel", i, 4) + gate(weights, "bias", i, 4) for i in range(4)]
    v_f, v_r = weights["recurrent_vectors"]
    f, r = sigmoid(a[0] + v_f * c), sigmoid(a[1] + v_r * c)
    c = f * c + (1 - f) * a[2]
    return r * c + (1 - r) * a[3], [c]


def min_gru(x, states, weights):
    (h,) = states
    z = sigmoid(x @ gate(weights, "kernel", 0, 2) + gate(weights, "bias", 0, 2))
    h = (1 - z) * h + z * (x @ gate(weights, "kernel", 1, 2) + gate(weights, "bias", 1, 2))
    return h, [h]


def min_lstm(x, states, weights):
    (h,) = states
    i, f = (sigmoid(x @ gate(weights, "kernel", k, 3) + gate(weights, "bias", k, 3)) for k in range(2))
    h = f / (f + i) * h + i / (f + i) * (x @ gate(weights, "kernel", 2, 3) + gate(weights, "bias", 2, 3))
    return h, [h]


def slstm(x, states, weights):
    """As in the paper, whose stabiliser is the larger exponent; the cell keeps c / n, and m + log n."""
    h, c, m = states
    n = np.ones_like(m)
    log_i, z = affine(x, h, weights, 0, 4), np.tanh(affine(x, h, weights, 2, 4))
    log_f = m - np.logaddexp(0, -affine(x, h, weights, 1, 4))
    m = np.maximum(log_f, log_i)
    f, i = np.exp(log_f - m), np.exp(log_i - m)
    c, n = f * c + i * z, f * n + i
    h = sigmoid(affine(x, h, weights, 3, 4)) * c / n
    return h, [h, c / n, m + np.log(n)]


def clockwork(x, states, weights):
    """The second state counts steps; group k moves at multiples of 2^k and reads itself and slower groups."""
    h, clock = states
    new, width = h.copy(), h.shape[-1] // 4
    for row in range(len(h)):
        for k in range(4):
            if clock[row, 0] % 2**k == 0:
                own = slice(k * width, (k + 1) * width)
                a = x[row] @ weights["kernel"][:, own] + weights["bias"][own]
                new[row, own] = np.tanh(a + h[row, k * width :] @ weights[f"recurrent_kernel_{k}"])
    return new, [new, (clock + 1) % 8]


STEPS = {
    "elman": elman(np.tanh),
    "elman_sigmoid": elman(sigmoid),
    "elman_relu": elman(lambda x: np.maximum(x, 0)),
    "irnn": elman(lambda x: np.maximum(x, 0)),
    "jordan": jordan,
    "clockwork": clockwork,
    "gru": gru,
    "gru_reset_before": gru_reset_before,
    "layer_norm_gru": layer_norm_gru,
    "mgu": mgu,
    "lstm": lstm,
    "peephole_lstm": peephole_lstm,
    "cifg": cifg,
    "depth_gated_lstm": depth_gated_lstm,
    "layer_norm_lstm": layer_norm_lstm,
    "slstm": slstm,
    "min_gru": min_gru,
    "min_lstm": min_lstm,
    "sru": sru,
}

# Cells that read their state, and can be further cells of a time step.
READING = sorted(set(CELLS) - set(LINEAR_CELLS))
