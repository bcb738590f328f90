"""Cells, recurrences and what stacks of them are made of are made again from their configuration, plain values."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from seq2seq.config import DecoderConfig, EmbeddingsConfig, EncoderConfig
from seq2seq.layers import DeepTransitionCell, Encoder, RandomStream, Recurrence
from seq2seq.layers.base import Initializers
from seq2seq.layers.bridge import Bridge
from seq2seq.layers.cells import CELLS, make_cell
from seq2seq.layers.decoder import Decoder
from seq2seq.layers.pointwise import Dropout, Readout, ResidualConnection
from seq2seq.layers.stack import RecurrentStack
from seq2seq.models.networks import DECODERS, make_decoder
from seq2seq.models.translation import Seq2Seq
from tests.conftest import randomize
from tests.family import READING

B, S, UNITS = 2, 3, 4
STREAM, MASK = RandomStream(7), tf.constant([[True, True, True], [True, False, False]])
STACK = {"cell": "depth_gated_lstm", "layers": 2, "units": UNITS, "transition_depth": 2, "residual": "highway"}


def values(*shape):
    return tf.constant(np.random.default_rng(2).normal(size=shape).astype("f"))


def cell(kind, depth=1):
    return make_cell(kind, UNITS, depth, below=True, initializers=Initializers(3), name="cell")


def decoder(form, **options):
    config = DecoderConfig(units=UNITS, layers=2, type=form, readout_dropout=0.2, **options)
    return make_decoder(config, 5, STREAM, Initializers(3), keras.DTypePolicy("float32"))


# How each is made.
LAYERS = {
    **{kind: (lambda kind=kind: cell(kind)) for kind in CELLS},
    **{f"{kind} 2": (lambda kind=kind: cell(kind, 2)) for kind in READING},
    "recurrence": lambda: Recurrence(cell("lstm"), reverse=True, implementation="hoisted", name="layer_0"),
    "connection": lambda: ResidualConnection("highway", True, Initializers(4), name="connection_1"),
    "bridge": lambda: Bridge("dense", [[4, 4], [4, 4]], 3, Initializers(5)),
    "readout": lambda: Readout(3, Dropout(0.1, STREAM, "decoder/readout"), Initializers(6)),
    "stack": lambda: RecurrentStack(**STACK, bottom_transition_depth=1, dropout=0.1, stream=STREAM),
    "encoder": lambda: Encoder(
        **STACK, bidirectional="alternating", variational_dropout=True, dropout=0.2, stream=STREAM
    ),
    **{form: (lambda form=form: decoder(form, attention="general")) for form in DECODERS},
    "without attention": lambda: decoder("luong", attention="none", context="every_step"),
}


def outputs_of(layer):
    """What a built layer gives for some inputs, as a nest of tensors."""
    states, last = values(B, S, UNITS), [[values(B, UNITS), values(B, UNITS)]] * 2
    lengths = tf.constant([3, 1])
    match layer:
        case Decoder():
            memory, state = layer.start(states, MASK, last)
            found = layer.step(values(B, 1, 3), state, memory)
        case Bridge():
            found = layer(last, states, MASK)
        case RecurrentStack():
            found = layer.run(0, [values(B, S, 3)], lengths, [state[:, None] for state in last[0]], training=False)
        case ResidualConnection():
            found = layer(states, 2 * states)
        case Readout():
            found = layer(states)
        case Encoder() | Recurrence():
            found = layer(states, lengths)
        case _:
            found = layer(values(B, layer.input_size), [values(B, size) for size in layer.state_size])
    return found


def build(layer):
    if isinstance(layer, Decoder):
        layer.build(3, UNITS, 2 * UNITS)
    elif isinstance(layer, Bridge):
        layer.build(UNITS, 2 * UNITS)
    elif isinstance(layer, RecurrentStack):
        layer.build_layers(3, UNITS)
        layer.build_connections()
    else:
        layer.build((None, None, UNITS))
    return layer


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_is_made_again_from_plain_values(name):
    layer = build(LAYERS[name]())
    config = json.loads(json.dumps(layer.get_config()))
    again = build(type(layer).from_config(config))
    assert json.loads(json.dumps(again.get_config())) == config
    assert [weight.path for weight in again.weights] == [weight.path for weight in layer.weights]
    randomize(layer)
    again.set_weights(layer.get_weights())
    for ours, theirs in zip(tf.nest.flatten(outputs_of(layer)), tf.nest.flatten(outputs_of(again)), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("form", DECODERS)
def test_parts_of_a_decoder_made_again_draw_from_one_source(form):
    """No two matrices begin equal, and all dropouts count steps together."""
    config = decoder(form, attention="general").get_config()
    again = build(DECODERS[form].from_config(json.loads(json.dumps(config))))
    matrices = [weight.numpy() for weight in again.trainable_weights if len(weight.shape) > 1]
    drawn = {matrix.tobytes() for matrix in matrices if np.ptp(matrix)}
    assert len(drawn) == sum(bool(np.ptp(matrix)) for matrix in matrices) > 3
    streams = {id(layer.stream) for layer in again._flatten_layers() if isinstance(layer, Dropout)}
    assert len(streams) == 1


def test_names_precision_and_seeds_are_in_a_configuration():
    layer = Recurrence(make_cell("gru", 3, initializers=Initializers(8), dtype="mixed_bfloat16"), name="layer_5")
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    for one in (layer, again):
        one.build((None, None, 2))
    assert again.name == "layer_5"
    assert again.cell.compute_dtype == "bfloat16"
    for ours, theirs in zip(layer.weights, again.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_layers_of_a_shared_list_are_not_tracked_twice():
    cells = [make_cell("gru", 3, name=f"transition_{i}") for i in range(2)]
    layer = DeepTransitionCell(cells)
    layer.build((None, 2))
    assert len(layer.weights) == 5, "the second has no kernel"


def test_a_missing_argument_is_named():
    with pytest.raises(TypeError, match="layer_norm"):
        ResidualConnection(True)


@pytest.mark.parametrize("form", DECODERS)
@pytest.mark.parametrize("coverage", [False, True])
def test_absent_parts_of_a_state_have_width_0(form, coverage):
    options = {"type": form, "attention": "additive", "coverage": coverage, "units": UNITS}
    model = Seq2Seq(11, 13, EmbeddingsConfig(size=5), EncoderConfig(units=6), DecoderConfig(**options))
    memory, state = model.encode(np.array([[4, 5, 3], [8, 3, 0]], np.int32))
    for _ in range(2):
        assert state.feed.shape == (B, 1, 5 * (form == "input_feeding"))
        assert state.coverage.shape == (B, 1, S * coverage)
        assert state.coverage.dtype == tf.float32
        assert [[part.shape for part in layer] for layer in state.cells] == [[(B, 1, UNITS)]]
        _, state, _ = model.decode_step(tf.constant([[2], [2]]), state, memory)


@pytest.mark.parametrize("context", ["initial", "every_step"])
def test_without_attention_the_memory_is_one_vector_or_has_width_0(context):
    options = {"attention": "none", "context": context, "units": UNITS}
    model = Seq2Seq(11, 13, EmbeddingsConfig(size=5), EncoderConfig(units=6), DecoderConfig(**options))
    memory, state = model.encode(np.array([[4, 5, 3], [8, 3, 0]], np.int32))
    assert memory.states.shape == (B, 1, UNITS if context == "every_step" else 0)
    assert memory.keys.shape == state.feed.shape == state.coverage.shape == (B, 1, 0)
