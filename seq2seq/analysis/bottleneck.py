"""What an encoder hands over, one vector or all its states."""

import tensorflow as tf

from seq2seq.data.tokenizer import EOS_ID
from seq2seq.models.translation import Seq2Seq


def bottleneck_size(model: Seq2Seq) -> tuple[int, int]:
    """How many numbers the decoder gets of a sentence: so many for the whole of it, and so many more a source token.

    The first are the decoder's first states, or the one vector that it reads at every step and that these states are
    made from; the second the width of an encoder state, 0 without attention.
    """
    if model.decoder.bridge.vector_size is not None:
        return model.decoder.bridge.width, 0
    _, state = model.encode(tf.constant([[EOS_ID]]))
    first = sum(part.shape[-1] for part in tf.nest.flatten(state.cells))
    return first, model.encoder.units if model.uses_attention else 0
