"""Translation with the Transformer by the toolkit's search, and a check of its cached decoding."""

from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf
from network import Shape, Transformer

from seq2seq.config import SearchOptions
from seq2seq.data.padding import batches_by_length, pad
from seq2seq.data.tokenizer import BOS_ID, EOS_ID, PAD_ID, Tokenizers
from seq2seq.devices.device import CPU_DEFAULTS
from seq2seq.inference.searcher import length_limits
from seq2seq.search import SearchConstraints, SearchResult, beam_search, greedy_search

Search = Callable[[tf.Tensor, tf.Tensor], SearchResult]


class TransformerTranslator:
    """Translate text; each beam size and length penalty has one graph, which is traced at its first use."""

    def __init__(self, network: Transformer, tokenizers: Tokenizers) -> None:
        self.network, self.tokenizers = network, tokenizers
        self._graphs: dict[tuple[int, float | str], Search] = {}

    def translate(self, texts: Sequence[str], options: SearchOptions) -> list[str]:
        """Translations of `texts`, in their order, by beam search or, for a beam size of 1, greedy search."""
        beam, key = options.beam_size, (options.beam_size, options.length_penalty)
        if key not in self._graphs:
            self._graphs[key] = trace(self.network, options)
        ids = [[*each, EOS_ID] for each in self.tokenizers.source.encode_batch(texts)]
        lengths, found = list(map(len, ids)), [""] * len(texts)
        for rows in batches_by_length(lengths, lambda longest: CPU_DEFAULTS.search_batch_tokens // (longest * beam)):
            source = pad([ids[row] for row in rows])
            _, longest = length_limits(np.array([lengths[row] for row in rows]), options)
            tokens = self._graphs[key](tf.constant(source), tf.constant(longest)).tokens[:, 0].numpy()
            for row, translation in zip(rows, tokens, strict=True):
                found[row] = self.tokenizers.target.decode(translation.tolist())
        return found


def trace(network: Transformer, options: SearchOptions) -> Search:
    """Graph of a search, for sources (B, S) int32 and maximum lengths (B,) int32."""

    def search(source: tf.Tensor, longest: tf.Tensor) -> SearchResult:
        limits = SearchConstraints(
            max_lengths=longest, bos_id=BOS_ID, eos_id=EOS_ID, length_penalty=options.length_penalty
        )
        start = network.start(source)
        if options.beam_size == 1:
            return greedy_search(*start, limits, keep_attention=False)
        return beam_search(*start, limits, beam_size=options.beam_size, keep_attention=False)

    signature = [tf.TensorSpec([None, None], tf.int32), tf.TensorSpec([None], tf.int32)]
    return tf.function(search, input_signature=signature, autograph=False)


def teacher_forced(network: Transformer, source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Log-probabilities (B, T, V) of all tokens at all positions of given targets."""
    return tf.nn.log_softmax(network.logits(network(tf.constant(source), tf.constant(target)))).numpy()


def check_decoding(shape: Shape) -> None:
    """Check cached decoding with random weights against teacher forcing, which computes all positions at once.

    Raises:
        AssertionError: They differ by more than rounding; or dropout has no effect in training.
    """
    random = np.random.default_rng(1)
    keras.utils.set_random_seed(1)
    network = Transformer(31, shape)
    for weight in network.trainable_variables:  # biases, too, which are 0 at first
        weight.assign(weight + random.normal(0, 0.1, weight.shape))
    source = pad([[*random.integers(4, 31, length), EOS_ID] for length in (6, 3, 1)])
    targets = random.integers(4, 31, (3, 4, 7)).astype(np.int32)  # four hypotheses of each sentence

    repeated = np.repeat(source, 4, axis=0)
    expected = teacher_forced(network, repeated, targets.reshape(12, 7)).reshape(3, 4, 7, 31)
    step, state, memory = network.start(tf.constant(source))
    state = tf.nest.map_structure(lambda part: tf.repeat(part, 4, axis=1), state)
    tokens = tf.fill([3, 4], tf.constant(BOS_ID, tf.int64))
    for t in range(7):
        scores, state, _, *_ = step(tokens, state, memory)
        np.testing.assert_allclose(scores, expected[:, :, t], atol=1e-4, err_msg=f"step {t + 1}")
        tokens = tf.constant(targets[:, :, t], tf.int64)

    for beam in (1, 3):
        result = trace(network, SearchOptions(beam_size=beam))(tf.constant(source), tf.constant([9, 6, 4]))
        for hypothesis in range(beam):
            found, log_probs = result.tokens[:, hypothesis].numpy(), result.log_probs[:, hypothesis].numpy()
            again = np.take_along_axis(teacher_forced(network, source, found), found[..., None], axis=2)[..., 0]
            np.testing.assert_allclose(
                log_probs, np.where(found != PAD_ID, again, 0.0), atol=1e-4, err_msg=f"beam {beam}"
            )

    plain = network(source, targets[:, 0])
    assert np.array_equal(plain, network(source, targets[:, 0]))
    assert not np.allclose(plain, network(source, targets[:, 0], training=True)), "dropout has no effect in training"
