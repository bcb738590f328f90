"""Plain NumPy implementations to compare with, written from the equations and not from the layers."""

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


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def log_softmax(x: np.ndarray) -> np.ndarray:
    shifted = x - x.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
