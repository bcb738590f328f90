"""Layers: cells, recurrences, attention, encoder, decoders and the loss, with plain arguments instead of recipes.

Every layer has Keras's `get_config` and `from_config`. Cells, recurrences, embeddings and norms are built from an input
shape, as Keras's own layers are. Encoders, attentions and decoders belong to a model, which builds them from widths and
passes them lengths and states; they are not meant for Keras's functional models.
"""

from seq2seq.layers.attention.base import Attention, AttentionMemory
from seq2seq.layers.base import Initializers
from seq2seq.layers.cells import DeepTransitionCell, GRUCell, LayerNormGRUCell, LayerNormLSTMCell, LSTMCell
from seq2seq.layers.conditional import ConditionalDecoder
from seq2seq.layers.decoder import Decoder, DecoderState, LuongDecoder
from seq2seq.layers.encoder import Encoder
from seq2seq.layers.input_feeding import InputFeedingDecoder
from seq2seq.layers.losses import output_cross_entropy
from seq2seq.layers.pointwise import Dropout, Embedding, RandomStream
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
    "LuongDecoder",
    "RandomStream",
    "Recurrence",
    "output_cross_entropy",
]
