"""Cells whose state depends linearly on the previous state, so that a parallel scan can replace the loop over time."""

import tensorflow as tf

from seq2seq.layers.cells.base import Cell, Mask, States, Stepped, sigmoid, split_gates


class LinearCell(Cell):
    """Base class of cells without a recurrent product: gates and candidate depend on the input only.

        h_t = a_t * h + b_t                        with h = h_{t-1}, and a_t and b_t computed from x_t alone

    `Recurrence` computes a_t and b_t of all steps at once and then runs `linear_scan`; `step` is the same recurrence,
    for decoding. A subclass defines `coefficients`.

    Raises:
        ValueError: A step gets a mask for recurrent dropout: there is no recurrent product to which it could apply.
    """

    def build_recurrent(self) -> None:
        """Create nothing: there is no recurrent product."""

    def coefficients(self, projected: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """a_t, between 0 and 1, and b_t, each (..., U), from projected inputs (..., gates * U)."""
        raise NotImplementedError

    def step(self, projected: tf.Tensor, states: States, mask: Mask = None) -> Stepped:
        if mask is not None:
            raise ValueError(f"{type(self).__name__} has no recurrent product, and takes no mask for recurrent dropout")
        decay, inflow = self.coefficients(tf.cast(projected, states[0].dtype))
        hidden = decay * states[0] + inflow
        return hidden, [hidden]


class MinGRUCell(LinearCell):
    """Minimal GRU (minGRU): a GRU whose gate and candidate do not read the state.

        z_t = sigmoid(W_z x_t + b_z)               update gate
        n_t = W_n x_t + b_n                        candidate
        h_t = (1 - z_t) * h + z_t * n_t            with h = h_{t-1}

    An open update gate writes the candidate; in `GRUCell`, an open one keeps the state.

    Weights:
        Parts in the order z, n; no recurrent kernel.

    Source:
        Feng et al. (2024), section 3.1.3.

    Departure:
        The candidate is the plain one, as in their section 3 and appendix A. Their appendix B makes it positive by a
        function g, since it scans logarithms; `linear_scan` needs none.
    """

    num_gates = 2

    def coefficients(self, projected: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        z, candidate = split_gates(projected, 2, projected.dtype)
        update = sigmoid("update", z)
        return 1.0 - update, update * candidate


class MinLSTMCell(LinearCell):
    """Minimal LSTM (minLSTM): an LSTM whose gates and candidate do not read the state, and whose gates add up to 1.

        i_t = sigmoid(W_i x_t + b_i)               input gate
        f_t = sigmoid(W_f x_t + b_f)               forget gate
        g_t = W_g x_t + b_g                        candidate
        k_t = f_t / (f_t + i_t)                    normalised forget gate
        h_t = k_t * h + (1 - k_t) * g_t            with h = h_{t-1}

    There is no output gate, and the cell state is the output. k_t is computed as sigmoid(log f_t - log i_t), which is
    the same but never divides 0 by 0; it is recorded as `forget`.

    Weights:
        Parts in the order i, f, g; no recurrent kernel.

    Source:
        Feng et al. (2024), appendix A.1 (minLSTM with length independence scaling).

    Departure:
        The candidate is the plain one, see `MinGRUCell`. The bias of the forget gate starts at 1, as in `LSTMCell`.
    """

    num_gates, forget_gate_index = 3, 1

    def coefficients(self, projected: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        i, f, candidate = split_gates(projected, 3, projected.dtype)
        forget = sigmoid("forget", tf.math.log_sigmoid(f) - tf.math.log_sigmoid(i))
        return forget, (1.0 - forget) * candidate
