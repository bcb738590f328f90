"""Initial weights: a function of the seed alone, and the caller's random generators as they were."""

import keras
import numpy as np
import pytest

from seq2seq import DecoderConfig, EmbeddingsConfig, EncoderConfig, LanguageModel, Seq2Seq
from seq2seq.analysis.memory_tasks.tasks import AddingTask
from seq2seq.analysis.memory_tasks.trainer import Budget, MemoryTrainer
from seq2seq.config import LanguageModelDecoderConfig
from seq2seq.config.network import LINEAR_CELLS
from seq2seq.layers import Embedding, Initializers
from seq2seq.layers.cells import CELLS, make_cell
from tests.family import READING
from tests.random_state import DRAWS, random_state_untouched

V, W = 11, 13
VARIANTS = {
    "no attention": ({"cell": "lstm"}, {"cell": "lstm", "attention": "none", "context": "every_step"}),
    "additive": ({"bidirectional": "all"}, {"attention": "additive", "coverage": True, "bridge": "mean"}),
    "general": ({"bidirectional": "alternating"}, {"attention": "general", "bridge": "copy"}),
    "heads": ({}, {"attention": "additive", "heads": 2}),
    "input feeding": ({}, {"type": "input_feeding", "attention": "dot", "layers": 2}),
    "cgru": ({}, {"type": "cgru", "attention": "scaled_dot", "transition_depth": 2}),
    "highway": ({"residual": "highway", "layer_norm": True}, {"residual": "highway", "layers": 2}),
    **{f"cells {cell}": ({"cell": cell, "transition_depth": 2}, {"cell": cell, "layers": 2}) for cell in READING},
    **{f"cells {cell}": ({"cell": cell}, {"cell": cell, "layers": 2}) for cell in LINEAR_CELLS},
    **{f"language model, {cell}": (None, {"cell": cell}) for cell in ("gru", "sru")},
}


def build(name, seed):
    encoder, decoder = VARIANTS[name]
    if encoder is None:
        decoder = LanguageModelDecoderConfig(**{"units": 16} | decoder)
        return LanguageModel(V, EmbeddingsConfig(size=6, tied="none"), decoder, seed=seed)
    decoder = DecoderConfig(**{"units": 16} | decoder)
    encoder = EncoderConfig(**{"units": 16, "layers": 2} | encoder)
    return Seq2Seq(W, V, EmbeddingsConfig(size=6, tied="none"), encoder, decoder, seed=seed)


def random_weights(model):
    """Those that do not start at one value everywhere: zeros, ones, an open forget gate, the identity."""
    fixed = ("bias", "peepholes", "depth_vectors", "scale", "shift")
    identity = [cell.recurrent_kernel for cell in model._flatten_layers() if type(cell) is CELLS["irnn"]]
    return [w for w in model.weights if not w.path.endswith(fixed) and not any(w is other for other in identity)]


@pytest.mark.parametrize("name", VARIANTS)
def test_weights_are_a_function_of_the_seed_alone(name):
    with random_state_untouched():
        model = build(name, seed=3)
    keras.utils.set_random_seed(6)
    again, other = build(name, seed=3), build(name, seed=4)
    for weight, same in zip(model.weights, again.weights, strict=True):
        np.testing.assert_array_equal(weight, same, err_msg=weight.path)
    pairs = list(zip(random_weights(model), random_weights(other), strict=True))
    assert len(pairs) > 2
    for weight, different in pairs:
        assert not np.array_equal(weight, different), weight.path


def test_the_seeds_are_those_of_keras_for_the_same_global_seed():
    """A stack of Keras's own layers that is built after `set_random_seed` starts from the same weights."""
    ours, shape = Initializers(3), (4, 5)
    made = [ours.glorot_uniform(), ours.orthogonal(), ours.uniform(), ours.normal(0.3), ours.orthogonal()]
    keras.utils.set_random_seed(3)
    expected = [
        keras.initializers.get("glorot_uniform"),
        keras.initializers.get("orthogonal"),
        keras.initializers.get("random_uniform"),
        keras.initializers.RandomNormal(stddev=0.3),
        keras.initializers.get("orthogonal"),
    ]
    for initializer, kerass in zip(made, expected, strict=True):
        np.testing.assert_array_equal(initializer(shape), kerass(shape))


def test_no_two_weights_of_a_model_are_alike():
    weights = [np.ravel(weight) for weight in random_weights(build("heads", seed=3))]
    assert len({tuple(weight[:5]) for weight in weights}) == len(weights)


@pytest.mark.parametrize("kind", CELLS)
def test_a_cell_alone_starts_from_kerass_global_seed(kind):
    def built(seed):
        keras.utils.set_random_seed(seed)
        cell = make_cell(kind, 4)
        cell.build((None, 3))
        return np.array(cell.kernel)

    np.testing.assert_array_equal(built(1), built(1))
    assert not np.array_equal(built(1), built(2))


def test_an_embedding_starts_at_the_scale_it_says():
    table = Embedding(2000, 16, Initializers(1))
    table.build()
    assert np.std(table.table) == pytest.approx(0.25, rel=0.02)


def test_memory_experiments_leave_random_state_alone():
    with random_state_untouched():
        trainer = MemoryTrainer(
            "gru", AddingTask(), Budget(parameters=60, max_updates=1, batch_size=2, eval_sequences=2)
        )
        losses = [trainer.train(10, seed).losses[0] for seed in (1, 2, 1)]
    assert losses[0] == losses[2] != losses[1]


@pytest.mark.parametrize("name", DRAWS)
def test_a_generator_that_was_used_is_noticed(name):
    with pytest.raises(AssertionError), random_state_untouched():
        DRAWS[name]()


def test_a_generator_that_was_seeded_is_noticed():
    with pytest.raises(AssertionError), random_state_untouched():
        keras.utils.set_random_seed(1)
