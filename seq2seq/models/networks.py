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
from seq2seq.layers.bridge import Bridge, Summary
from seq2seq.layers.multi_head import make_attention
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
    return Encoder(
        cell=config.cell,
        layers=config.layers,
        units=config.units,
        bidirectional=config.bidirectional,
        transition_depth=config.transition_depth,
        residual=config.residual,
        layer_norm=config.layer_norm,
        dropout=config.dropout,
        variational=config.variational,
        recurrent_dropout=config.recurrent_dropout,
        stream=stream,
        initializers=initializers,
        dtype=dtype,
        name="encoder",
    )


def make_decoder(
    config: DecoderConfig,
    readout_size: int,
    summary: Summary,
    stream: RandomStream,
    initializers: Initializers,
    dtype: keras.DTypePolicy,
) -> Decoder:
    """The decoder of a recipe.

    Args:
        config: Section of a recipe; its `summary` is not read.
        readout_size: Width of what the output layer reads.
        summary: What the first state is made from, see `Bridge`.
        stream: Source of dropout's seeds.
        initializers: Source of the initial weights.
        dtype: Of all parts.
    """
    kind = DECODERS[config.form]
    drawn: dict[str, Any] = {"initializers": initializers, "dtype": dtype}
    attention = make_attention(
        config.attention,
        config.attention_units or config.units,
        heads=config.heads,
        coverage=config.coverage,
        name="attention",
        **drawn,
    )
    stack = RecurrentStack(
        cell=config.cell,
        layers=config.layers,
        units=config.units,
        transition_depth=config.transition_depth,
        bottom_depth=kind.bottom_depth,
        residual=config.residual,
        layer_norm=config.layer_norm,
        dropout=config.dropout,
        variational=config.variational,
        recurrent_dropout=config.recurrent_dropout,
        stream=stream,
        name="stack",
        **drawn,
    )
    rate = config.dropout if config.readout_dropout is None else config.readout_dropout
    readout = Readout(readout_size, Dropout(rate, stream, "decoder/readout", dtype=dtype), name="readout", **drawn)
    fixed = attention is None and config.context == "every_step" and summary != "zero"
    sizes = [cell.state_size[: cell.states] for cell in stack.cells]
    bridge = Bridge(summary, sizes, config.units if fixed else None, name="bridge", **drawn)
    attention_dropout = Dropout(config.attention_dropout, stream, "decoder/attention", dtype=dtype)
    return kind(
        stack=stack,
        attention=attention,
        bridge=bridge,
        readout=readout,
        attention_dropout=attention_dropout,
        dtype=dtype,
        name="decoder",
    )
