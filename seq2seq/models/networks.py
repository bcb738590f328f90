"""Encoder and decoder, made from their sections of a recipe."""

from typing import Any

import keras

from seq2seq.config import DecoderConfig, EncoderConfig
from seq2seq.config.network import LanguageModelDecoderConfig, RecurrentStackConfig
from seq2seq.layers import (
    ConditionalDecoder,
    Decoder,
    Dropout,
    Encoder,
    Initializers,
    InputFeedingDecoder,
    LuongDecoder,
    RandomStream,
)
from seq2seq.layers.attention import make_attention
from seq2seq.layers.bridge import Bridge, BridgeKind
from seq2seq.layers.pointwise import Readout
from seq2seq.layers.stack import RecurrentStack

DECODERS: dict[str, type[Decoder]] = {
    "luong": LuongDecoder,
    "input_feeding": InputFeedingDecoder,
    "cgru": ConditionalDecoder,
}


def make_encoder(
    config: EncoderConfig, stream: RandomStream, initializers: Initializers, dtype: keras.DTypePolicy
) -> Encoder:
    """Make the encoder of a recipe."""
    shared: dict[str, Any] = {"stream": stream, "initializers": initializers, "dtype": dtype}
    return Encoder(bidirectional=config.bidirectional, name="encoder", **_stack_options(config), **shared)


def make_decoder(
    config: LanguageModelDecoderConfig,
    readout_size: int,
    stream: RandomStream,
    initializers: Initializers,
    dtype: keras.DTypePolicy,
) -> Decoder:
    """Make the decoder of a recipe with a readout of width `readout_size`; a language model's starts from zeros."""
    drawn: dict[str, Any] = {"initializers": initializers, "dtype": dtype}
    attention, kind, vector_size, attention_dropout = None, DECODERS["luong"], None, 0.0
    bridge_kind: BridgeKind = "zero"
    if isinstance(config, DecoderConfig):
        attention = make_attention(
            config.attention,
            config.attention_units or config.units,
            heads=config.heads,
            coverage=config.coverage,
            name="attention",
            **drawn,
        )
        kind, bridge_kind = DECODERS[config.type], config.bridge
        vector_size = config.units if config.context == "every_step" else None
        attention_dropout = config.attention_dropout
    options = _stack_options(config)
    stack = RecurrentStack(
        bottom_transition_depth=kind.bottom_transition_depth, stream=stream, name="stack", **options, **drawn
    )
    rate = config.dropout if config.readout_dropout is None else config.readout_dropout
    sizes = [cell.state_size[: cell.num_states] for cell in stack.cells]
    return kind(
        stack=stack,
        attention=attention,
        readout=Readout(readout_size, Dropout(rate, stream, "decoder/readout", dtype=dtype), name="readout", **drawn),
        bridge=Bridge(bridge_kind, sizes, vector_size, name="bridge", **drawn),
        attention_dropout=Dropout(attention_dropout, stream, "decoder/attention", dtype=dtype),
        dtype=dtype,
        name="decoder",
    )


def _stack_options(config: RecurrentStackConfig) -> dict[str, Any]:
    """Options that the stacks of encoder and decoder have in common."""
    return {
        "cell": config.cell,
        "layers": config.layers,
        "units": config.units,
        "transition_depth": config.transition_depth,
        "residual": config.residual,
        "layer_norm": config.layer_norm,
        "dropout": config.dropout,
        "variational_dropout": config.variational_dropout,
        "recurrent_dropout": config.recurrent_dropout,
    }
