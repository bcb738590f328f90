"""Reference implementations in plain NumPy, written from the equations, not from the layers."""

import numpy as np


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1.0 / (1.0 + np.exp(-x))


def gru_step(x, h, kernel, recurrent_kernel, bias):
    """Gate by gate; weights in the order z, r, n."""
    u = h.shape[-1]
    w = [kernel[:, i * u : (i + 1) * u] for i in range(3)]
    r = [recurrent_kernel[:, i * u : (i + 1) * u] for i in range(3)]
    b = [bias[0, i * u : (i + 1) * u] for i in range(3)]
    c = [bias[1, i * u : (i + 1) * u] for i in range(3)]
    update = sigmoid(x @ w[0] + b[0] + h @ r[0] + c[0])
    reset = sigmoid(x @ w[1] + b[1] + h @ r[1] + c[1])
    candidate = np.tanh(x @ w[2] + b[2] + reset * (h @ r[2] + c[2]))
    return update * h + (1 - update) * candidate


def lstm_step(x, h, c, kernel, recurrent_kernel, bias):
    """Gate by gate; weights in the order i, f, g, o."""
    u = h.shape[-1]
    a = [
        x @ kernel[:, i * u : (i + 1) * u] + h @ recurrent_kernel[:, i * u : (i + 1) * u] + bias[i * u : (i + 1) * u]
        for i in range(4)
    ]
    c = sigmoid(a[1]) * c + sigmoid(a[0]) * np.tanh(a[2])
    return sigmoid(a[3]) * np.tanh(c), c


def per_gate(x, scale, gates):
    """Each gate's part of (N, G * U) normalised on its own, then scaled."""
    return np.concatenate([normalize(part) for part in np.split(x, gates, axis=-1)], axis=-1) * np.asarray(scale)


def layer_norm_step(cell, products, states):
    """One step of a LayerNormGRUCell or LayerNormLSTMCell from products W x."""
    gates, bias = 3 if len(states) == 1 else 4, np.asarray(cell.bias)
    from_input = per_gate(products, cell.scales["input"], gates)
    from_state = per_gate(states[0] @ np.asarray(cell.recurrent_kernel), cell.scales["recurrent"], gates)
    if gates == 3:
        x, h = np.split(from_input + bias[0], 3, axis=-1), np.split(from_state + bias[1], 3, axis=-1)
        update, reset = sigmoid(x[0] + h[0]), sigmoid(x[1] + h[1])
        return [update * states[0] + (1 - update) * np.tanh(x[2] + reset * h[2])]
    i, f, g, o = np.split(from_input + from_state + bias, 4, axis=-1)
    c = sigmoid(f) * states[1] + sigmoid(i) * np.tanh(g)
    return [sigmoid(o) * np.tanh(normalize(c) * np.asarray(cell.content_scale) + np.asarray(cell.content_shift)), c]


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def log_softmax(x: np.ndarray) -> np.ndarray:
    shifted = x - x.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def normalize(x: np.ndarray) -> np.ndarray:
    """Mean 0 and variance 1 along the last axis."""
    return (x - x.mean(axis=-1, keepdims=True)) / np.sqrt(x.var(axis=-1, keepdims=True) + 1e-5)


def additive_scores(query, memory, layer, coverage=None):
    """(B, Q), (B, S, M) -> (B, S), position by position."""
    w_q, w_m, v = (np.asarray(part.kernel) for part in (layer.query, layer.key, layer.score))
    scores = np.zeros(memory.shape[:2])
    for b in range(memory.shape[0]):
        for s in range(memory.shape[1]):
            hidden = query[b] @ w_q + memory[b, s] @ w_m
            if coverage is not None:
                hidden = hidden + coverage[b, s] * np.asarray(layer.coverage.kernel)[0]
            scores[b, s] = np.tanh(hidden) @ v[:, 0]
    return scores


def attend(scores, memory, mask):
    """Context (B, M) and weights (B, S) of scores (B, S)."""
    weights = softmax(np.where(mask, scores, -1e9))
    return np.einsum("bs,bsm->bm", weights, memory), weights


def cell_step(cell, x, states, kernel=None):
    """One step of a cell by its weights, or with another kernel; x is None for a transition."""
    recurrent, bias = np.asarray(cell.recurrent_kernel), np.asarray(cell.bias)
    if x is None:
        x, kernel = np.zeros((len(states[0]), 1)), np.zeros((1, recurrent.shape[1]))
    elif kernel is None:
        kernel = np.asarray(cell.kernel)
    if hasattr(cell, "scales"):
        return layer_norm_step(cell, x @ kernel, states)
    if len(states) == 1:
        return [gru_step(x, *states, kernel, recurrent, bias)]
    return list(lstm_step(x, *states, kernel, recurrent, bias))
