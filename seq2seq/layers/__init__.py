"""Cells, recurrence over time, attention, encoder, decoder and the loss: plain arguments, no config."""

from seq2seq.layers.attention import Attention, AttentionMemory
from seq2seq.layers.cells import DeepTransitionCell, GRUCell, LayerNormGRUCell, LayerNormLSTMCell, LSTMCell
from seq2seq.layers.conditional import ConditionalDecoder
from seq2seq.layers.decoder import Decoder, DecoderState
from seq2seq.layers.dropout import Dropout, RandomStream
from seq2seq.layers.embedding import Embedding
from seq2seq.layers.encoder import Encoder
from seq2seq.layers.initialization import Initializers
from seq2seq.layers.input_feeding import InputFeedingDecoder
from seq2seq.layers.losses import output_cross_entropy
from seq2seq.layers.recurrence import Recurrence

__all__ = [
    "Attention",
    "AttentionMemory",
    "ConditionalDecoder",
    "Decoder",
    "DecoderState",
    "DeepTransitionCell",
    "Dropout",
    "Embedding",
    "Encoder",
    "GRUCell",
    "Initializers",
    "InputFeedingDecoder",
    "LSTMCell",
    "LayerNormGRUCell",
    "LayerNormLSTMCell",
    "RandomStream",
    "Recurrence",
    "output_cross_entropy",
]
