"""Encoder and decoder from their sections of a recipe."""

from typing import Any

import keras

from seq2seq.config import DecoderConfig, EncoderConfig
from seq2seq.layers import (
    ConditionalDecoder,
    Decoder,
    DefaultDecoder,
    Dropout,
    Encoder,
    Initializers,
    InputFeedingDecoder,
    RandomStream,
)
from seq2seq.layers.attention import make_attention
from seq2seq.layers.bridge import Bridge, Summary
from seq2seq.layers.readout import Readout
from seq2seq.layers.stack import RecurrentStack

DECODERS: dict[str, type[Decoder]] = {
    "default": DefaultDecoder,
    "input_feeding": InputFeedingDecoder,
    "conditional": ConditionalDecoder,
}


def make_encoder(
    config: EncoderConfig, stream: RandomStream, initializers: Initializers, dtype: keras.DTypePolicy
) -> Encoder:
    """The encoder of a recipe."""
    shared: dict[str, Any] = {"stream": stream, "initializers": initializers, "dtype": dtype}
    return Encoder(bidirectional=config.bidirectional, name="encoder", **_stack_options(config), **shared)


def make_decoder(
    config: DecoderConfig,
    readout_size: int,
    summary: Summary,
    stream: RandomStream,
    initializers: Initializers,
    dtype: keras.DTypePolicy,
) -> Decoder:
    """The decoder of a recipe, whose readout has a width R, and whose first state is made from a `summary`."""
    kind, drawn = DECODERS[config.form], {"initializers": initializers, "dtype": dtype}
    attention = make_attention(
        config.attention,
        config.attention_units or config.units,
        heads=config.heads,
        coverage=config.coverage,
        name="attention",
        **drawn,
    )
    options = _stack_options(config)
    stack = RecurrentStack(bottom_depth=kind.bottom_depth, stream=stream, name="stack", **options, **drawn)
    rate = config.dropout if config.readout_dropout is None else config.readout_dropout
    readout = Readout(readout_size, Dropout(rate, stream, "decoder/readout", dtype=dtype), name="readout", **drawn)
    sizes = [cell.state_size[: cell.states] for cell in stack.cells]
    vector_size = config.units if config.context == "every_step" and summary != "zero" else None
    return kind(
        stack=stack,
        attention=attention,
        bridge=Bridge(summary, sizes, vector_size, name="bridge", **drawn),
        readout=readout,
        attention_dropout=Dropout(config.attention_dropout, stream, "decoder/attention", dtype=dtype),
        dtype=dtype,
        name="decoder",
    )


def _stack_options(config: EncoderConfig | DecoderConfig) -> dict[str, Any]:
    """What the stacks of encoder and decoder have in common."""
    return {
        "cell": config.cell,
        "layers": config.layers,
        "units": config.units,
        "transition_depth": config.transition_depth,
        "residual": config.residual,
        "layer_norm": config.layer_norm,
        "dropout": config.dropout,
        "variational": config.variational,
        "recurrent_dropout": config.recurrent_dropout,
    }
