"""Cells, recurrence over time, attention, encoder, decoder and the loss: plain arguments, no config."""

from seq2seq.layers.attention import (
    AdditiveAttention,
    Attention,
    AttentionMemory,
    DotAttention,
    GeneralAttention,
    ScaledDotAttention,
)
from seq2seq.layers.cells import GRUCell, LSTMCell
from seq2seq.layers.decoder import Decoder
from seq2seq.layers.dropout import Dropout, RandomStream
from seq2seq.layers.embedding import Embedding
from seq2seq.layers.encoder import Encoder
from seq2seq.layers.losses import smoothed_cross_entropy
from seq2seq.layers.recurrence import Recurrence

__all__ = [
    "AdditiveAttention",
    "Attention",
    "AttentionMemory",
    "Decoder",
    "DotAttention",
    "Dropout",
    "Embedding",
    "Encoder",
    "GRUCell",
    "GeneralAttention",
    "LSTMCell",
    "RandomStream",
    "Recurrence",
    "ScaledDotAttention",
    "smoothed_cross_entropy",
]
