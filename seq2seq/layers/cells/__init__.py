"""Recurrent cells, each with its equations, the order of its weights and its paper."""

from typing import Any

import keras

from seq2seq.arguments import AtLeastOne, check_arguments
from seq2seq.errors import ArgumentError, suggest_similar
from seq2seq.layers.base import UNSEEDED, Initializers
from seq2seq.layers.cells.base import Cell, DeepTransitionCell
from seq2seq.layers.cells.gru import GRUCell, MinimalGatedCell, ResetBeforeGRUCell
from seq2seq.layers.cells.linear import LinearCell, MinGRUCell, MinLSTMCell
from seq2seq.layers.cells.lstm import CIFGCell, DepthGatedLSTMCell, LSTMCell, PeepholeLSTMCell, SLSTMCell, SRUCell
from seq2seq.layers.cells.normalized import LayerNormGRUCell, LayerNormLSTMCell
from seq2seq.layers.cells.simple import ClockworkCell, ElmanCell, IRNNCell, JordanCell, ReLUElmanCell, SigmoidElmanCell

CELLS: dict[str, type[Cell]] = {
    "elman": ElmanCell,
    "elman_sigmoid": SigmoidElmanCell,
    "elman_relu": ReLUElmanCell,
    "irnn": IRNNCell,
    "jordan": JordanCell,
    "clockwork": ClockworkCell,
    "gru": GRUCell,
    "gru_reset_before": ResetBeforeGRUCell,
    "layer_norm_gru": LayerNormGRUCell,
    "mgu": MinimalGatedCell,
    "min_gru": MinGRUCell,
    "lstm": LSTMCell,
    "peephole_lstm": PeepholeLSTMCell,
    "cifg": CIFGCell,
    "depth_gated_lstm": DepthGatedLSTMCell,
    "layer_norm_lstm": LayerNormLSTMCell,
    "slstm": SLSTMCell,
    "min_lstm": MinLSTMCell,
    "sru": SRUCell,
}


@check_arguments()
def make_cell(
    kind: str,
    units: AtLeastOne,
    transition_depth: AtLeastOne = 1,
    *,
    below: bool = False,
    initializers: Initializers = UNSEEDED,
    **kwargs: Any,
) -> keras.layers.Layer:
    """Make a cell by its name in a recipe, or several as one deep transition.

    Args:
        kind: One of `CELLS`.
        units: Width of the states.
        transition_depth: Cells per time step.
        below: Whether there is a layer of the same kind and width below, for cells that read its cell state.
        initializers: Source of the initial weights.
        kwargs: Arguments of `keras.layers.Layer`.

    Raises:
        ArgumentError: There is no such cell, or a deep transition of a cell that reads nothing but its input.
    """
    if kind not in CELLS:
        raise ArgumentError(
            f"make_cell: kind: found '{kind}'.{suggest_similar(kind, CELLS)} Accepted: {', '.join(CELLS)}."
        )
    reads: dict[str, Any] = {"below": True} if below and CELLS[kind].outputs_cell_state else {}
    if transition_depth == 1:
        return CELLS[kind](units, initializers=initializers, **reads, **kwargs)
    if issubclass(CELLS[kind], LinearCell):
        raise ArgumentError(
            f"make_cell: transition_depth: found {transition_depth}. The further cells of a time step read no input, "
            f"and '{kind}' computes its gates and its candidate from nothing else. Use 1."
        )
    shared: dict[str, Any] = {"initializers": initializers, "dtype": kwargs.get("dtype")}
    cells = [
        CELLS[kind](units, name=f"transition_{i}", **shared, **(reads if i == 0 else {}))
        for i in range(transition_depth)
    ]
    return DeepTransitionCell(cells, **kwargs)
