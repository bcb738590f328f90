"""The recurrent family: each cell with its equations, the order of its weights and its paper."""

from typing import Any

import keras

from seq2seq.layers.cells.base import Cell, masked
from seq2seq.layers.cells.clockwork import ClockworkCell
from seq2seq.layers.cells.gru import GRUCell, MinimalGatedCell, ResetBeforeGRUCell
from seq2seq.layers.cells.lstm import CIFGCell, LSTMCell, PeepholeLSTMCell, SRUCell
from seq2seq.layers.cells.normalized import LayerNormGRUCell, LayerNormLSTMCell
from seq2seq.layers.cells.simple import ElmanCell, IRNNCell, JordanCell, ReLUElmanCell, SigmoidElmanCell
from seq2seq.layers.cells.transition import DeepTransitionCell

__all__ = [
    "CELLS",
    "CIFGCell",
    "Cell",
    "ClockworkCell",
    "DeepTransitionCell",
    "ElmanCell",
    "GRUCell",
    "IRNNCell",
    "JordanCell",
    "LSTMCell",
    "LayerNormGRUCell",
    "LayerNormLSTMCell",
    "MinimalGatedCell",
    "PeepholeLSTMCell",
    "ReLUElmanCell",
    "ResetBeforeGRUCell",
    "SRUCell",
    "SigmoidElmanCell",
    "make_cell",
    "masked",
]

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
    "lstm": LSTMCell,
    "peephole_lstm": PeepholeLSTMCell,
    "cifg": CIFGCell,
    "layer_norm_lstm": LayerNormLSTMCell,
    "sru": SRUCell,
}


def make_cell(kind: str, units: int, transition_depth: int = 1, **kwargs: Any) -> keras.layers.Layer:
    """A cell by its name in a recipe, or several of them as one deep transition."""
    if transition_depth == 1:
        return CELLS[kind](units, **kwargs)
    dtype = kwargs.get("dtype")
    return DeepTransitionCell(
        [CELLS[kind](units, dtype=dtype, name=f"transition_{i}") for i in range(transition_depth)], **kwargs
    )
