"""Base class of models that predict a target token by token: embeddings, decoder and output layer."""

import math
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

import keras
import numpy as np
import tensorflow as tf

from seq2seq.config import Precision, TranslationConfig
from seq2seq.config.network import TargetEmbeddingsConfig
from seq2seq.config.recipe import component_of
from seq2seq.config.section import Section
from seq2seq.data.tokenizer import BOS_ID, PAD_ID, Tokenizers
from seq2seq.errors import ArgumentError, ModelDirectoryError
from seq2seq.layers import (
    AttentionMemory,
    Decoder,
    DecoderState,
    Dropout,
    Embedding,
    Initializers,
    RandomStream,
    output_cross_entropy,
)
from seq2seq.layers.recurrent_scan import WeightOverrides
from seq2seq.models.inputs import ids_of_side
from seq2seq.models.trainable import TrainableModel
from seq2seq.notebook_html import html_block, html_table
from seq2seq.plurals import pluralize


class DecoderModel(TrainableModel):
    """Base class of `Seq2Seq` and `LanguageModel`, which differ in what the decoder starts from.

    A subclass sets `decoder` and defines `encode`, which returns what the decoder starts from.

    Train with `compile(optimizer)` and `fit(batch_dataset(...), shuffle=False)` (its batches are already shuffled), or
    with `fit(source, target)`; `fit` processes a batch as `seq2seq train` does.

    Args:
        vocabulary_size: Number of target tokens, including the four special ones.
        embeddings: Section `embeddings` of a recipe.
        name: Name of the model.
        seed: Seed of the initial weights and of dropout, at least 0 and below 2**31. The random generators of the
            process (Python's, NumPy's, TensorFlow's) are neither read nor changed.
        precision: `float32`, `tf32`, `mixed_float16` or `mixed_bfloat16`. Variables, softmax, logits and loss are
            always float32. For layers, `tf32` is `float32`; `device.set_tf32` switches the arithmetic of products.

    Shapes: B batch, S source length, T target length, K hypotheses, V target vocabulary.
        source  (B, S)  int32, right-padded with 0, EOS included, no row empty
        target  (B, T)  int32, likewise; the decoder reads BOS and all tokens but the last
    """

    decoder: Decoder
    uses_attention: bool  # whether the decoder attends to a source
    section_types: ClassVar[dict[str, type[Section]]]
    sections: dict[str, Any]  # sections of the recipe, by the names of the constructor's arguments

    def __init__(
        self, vocabulary_size: int, embeddings: TargetEmbeddingsConfig, *, name: str, seed: int, precision: Precision
    ) -> None:
        super().__init__(name, precision, RandomStream(seed))
        policy = self.dtype_policy
        self.initializers = Initializers(seed)
        size = vocabulary_size, embeddings.size
        self.target_embedding = Embedding(*size, self.initializers, dtype=policy, name="target_embedding")
        self.output_embedding = self.target_embedding
        if embeddings.tied == "none":
            self.output_embedding = Embedding(*size, self.initializers, dtype=policy, name="output_embedding")
        self.target_dropouts = self.embedding_dropouts("target", embeddings.target_word_dropout, embeddings.dropout)

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments as plain values, with all keys of each section."""
        kinds = self.section_types
        sections = {
            name: value.model_dump(include=set(kinds[name].model_fields)) for name, value in self.sections.items()
        }
        return sections | {"seed": self.random_stream.seed, "precision": self.precision}

    def get_build_config(self) -> None:
        """Return None: the constructor builds the model."""

    @classmethod
    def from_config(cls, config: Mapping[str, Any], custom_objects: Any = None) -> Self:
        """Make a new model from the values of `get_config`, with the same initial weights."""
        return cls(**dict(config) | {name: kind(**config[name]) for name, kind in cls.section_types.items()})

    @property
    def vocabulary_sizes(self) -> tuple[int, int]:
        """Vocabulary sizes of source and target; here, both are the target's."""
        target = self.target_embedding.vocabulary_size
        return target, target

    def _repr_html_(self) -> str:
        counts: Counter[str] = Counter()
        for weight in self.weights:
            counts[component_of(weight_name(weight))] += math.prod(weight.shape)
        about = {name: section.describe() for name, section in self.sections.items()}
        about |= {f"{side}_embedding": about["embeddings"] for side in ("source", "target")}
        names = [name for name in TranslationConfig.components if name in counts]
        rows = [(name.replace("_", " "), f"{counts[name]:,}", about.get(name, "")) for name in names]
        rows.append(("total", f"{counts.total():,}", f"computes in {self.precision}"))
        return html_block(type(self).__name__, html_table(rows, ("part", "parameters", ""), numeric=[1]))

    def embedding_dropouts(self, side: str, words: float, numbers: float) -> list[Dropout]:
        """Word dropout and element-wise dropout of embeddings."""
        policy = self.dtype_policy
        return [
            Dropout(words, self.random_stream, f"{side}/words", (-1,), dtype=policy),
            Dropout(numbers, self.random_stream, side, dtype=policy),
        ]

    def build(self, input_shape: Any = None) -> None:
        """Create the weights of the embeddings and the output layer; subclasses add their own."""
        for embedding in (self.target_embedding, self.output_embedding):
            if not embedding.built:
                embedding.build()
        shape = (self.output_embedding.vocabulary_size,)
        self.output_bias = self.add_weight(name="output_bias", shape=shape, initializer="zeros", autocast=False)

    def encode(
        self, source: tf.Tensor, training: bool = False, keep: tf.Tensor | None = None
    ) -> tuple[AttentionMemory, DecoderState]:
        """Read source tokens (B, S); returns the attention memory and the decoder's first state.

        Where `keep` (B, S) bool is given and false, the embedding is zeroed.
        """
        raise NotImplementedError

    def output_weights(self, tokens: tf.Tensor | None = None) -> tuple[tf.Tensor, tf.Tensor]:
        """Matrix (E, V) and bias (V,) of the output layer.

        Given the candidate `tokens` (B, C) of each sentence, they are (B, E, C) and (B, C).
        """
        table, bias = self.output_embedding.table.value, self.output_bias.value
        if tokens is not None:
            table, bias = tf.gather(table, tokens), tf.gather(bias, tokens)
        # Transposed once: small products are slower with a transposed operand.
        return tf.linalg.matrix_transpose(table), bias

    def cached_weights(self, *others: "DecoderModel") -> WeightOverrides:
        """Scope in which loops use values of the weights, of this model and of `others`, that were read once."""
        variables = [variable for model in (self, *others) for variable in model.variables]
        return WeightOverrides(variables, [tf.convert_to_tensor(variable.value) for variable in variables])

    def decode_step(
        self,
        tokens: tf.Tensor,
        state: DecoderState,
        memory: AttentionMemory,
        output: tuple[tf.Tensor, tf.Tensor] | None = None,
    ) -> tuple[tf.Tensor, DecoderState, tf.Tensor]:
        """One step for K hypotheses per sentence.

        Args:
            tokens: (B, K) int32 or int64, the previous token of each hypothesis; BOS at first.
            state: Decoder state, a nest of tensors (B, K, ...).
            memory: Attention memory from `encode`.
            output: Result of `output_weights`, computed once for all steps. Given C candidates per sentence, the logits
                are (B, K, C).

        Returns:
            Logits (B, K, V) float32, the next state, and attention weights (B, K, S) float32, where S is 0 without
            attention.
        """
        readout, state, weights = self.decoder.step(self.target_embedding(tokens), state, memory)
        return self._logits(readout, output), state, weights

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        """Run `call` on one pair of arrays or lists.

        Raises:
            ArgumentError: The inputs are not such a pair.
        """
        pair = inputs[0] if len(inputs) == 1 else None
        if not (isinstance(pair, (tuple, list)) and len(pair) == 2):
            raise ArgumentError(
                f"{type(self).__name__}: expected one pair of source and target ids. Call model((source, target))."
            )
        return super().__call__(tuple(map(ids_of_side, ("source", "target"), pair)), **options)

    def call(self, inputs: tuple[tf.Tensor, tf.Tensor], training: bool = False) -> tf.Tensor:
        """Teacher-forced logits (B, T, V) float32 of `(source, target)`, meaningless at padded positions."""
        readout, _ = self._teach(*inputs, training)
        return self._logits(readout)

    def attention_weights(self, source: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
        """Teacher-forced attention weights (B, T, S) float32; (B, T, 0) without attention."""
        return self._teach(source, target, training=False)[1]

    def loss_sums(
        self, source: tf.Tensor, target: tf.Tensor, label_smoothing: float = 0.0, training: bool = False
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Sums of `token_losses`, and the number N of real target tokens, float32."""
        loss, nll = self.token_losses(source, target, label_smoothing, training)
        return tf.reduce_sum(loss), tf.reduce_sum(nll), tf.cast(tf.size(nll), tf.float32)

    def token_losses(
        self, source: tf.Tensor, target: tf.Tensor, label_smoothing: float = 0.0, training: bool = False
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Smoothed loss and negative log-likelihood (nats) of each real target token, (N,) float32, row by row.

        The output layer and the loss run at real positions only.
        """
        return self.loss_from_readouts(*self.readouts(source, target, training), label_smoothing)

    def readouts(
        self,
        source: tf.Tensor,
        target: tf.Tensor,
        training: bool = False,
        keep: tuple[tf.Tensor, tf.Tensor] | None = None,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Inputs of the output layer at real positions, (N, E) compute dtype, and the tokens there, (N,) int32.

        `keep` (B, S) and (B, T) bool are false at source tokens and at inputs of the decoder, BOS and all target tokens
        but the last, whose embedding is zeroed.
        """
        return _at_real_positions(self._teach(source, target, training, keep)[0], target)

    def logits_of_readouts(self, readout: tf.Tensor) -> tf.Tensor:
        """Logits (N, V) float32 at all or some positions of `readouts`."""
        return self._logits(readout)

    def readouts_and_attention(self, source: tf.Tensor, target: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """`readouts` without dropout, and `attention_weights`, which are 0 at padded positions of the target."""
        readout, weights = self._teach(source, target, training=False)
        real = tf.cast(target != PAD_ID, tf.float32)
        return *_at_real_positions(readout, target), weights * real[:, :, None]

    def loss_from_readouts(
        self, readout: tf.Tensor, labels: tf.Tensor, label_smoothing: float = 0.0
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """`token_losses` from all or some positions of `readouts`; logits and probabilities are (N, V)."""
        table, bias = self.output_embedding.table.value, self.output_bias.value
        return output_cross_entropy(readout, table, bias, labels, label_smoothing)

    def _teach(
        self,
        source: tf.Tensor,
        target: tf.Tensor,
        training: bool,
        keep: tuple[tf.Tensor, tf.Tensor] | None = None,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        memory, state = self.encode(source, training=training, keep=None if keep is None else keep[0])
        target = tf.cast(target, tf.int32)
        previous = tf.concat([tf.fill([tf.shape(target)[0], 1], BOS_ID), target[:, :-1]], axis=1)
        # A replica without sentences gets a row without tokens, and cuDNN accepts no empty row.
        lengths = tf.maximum(tf.reduce_sum(tf.cast(target != PAD_ID, tf.int32), axis=1), 1)
        embedded = self.target_embedding(previous)
        if keep is not None:
            embedded *= tf.cast(keep[1], embedded.dtype)[:, :, None]
        for dropout in self.target_dropouts:
            embedded = dropout(embedded, training=training)
        return self.decoder(embedded, lengths, state, memory, training=training)

    def _logits(self, readout: tf.Tensor, output: tuple[tf.Tensor, tf.Tensor] | None = None) -> tf.Tensor:
        columns, bias = output or self.output_weights()
        columns = tf.cast(columns, readout.dtype)
        if len(columns.shape) == 3:
            return tf.cast(tf.matmul(readout, columns), tf.float32) + bias[:, None]
        products = tf.matmul(tf.reshape(readout, [-1, readout.shape[-1]]), columns)
        logits = tf.nn.bias_add(tf.cast(products, tf.float32), bias)
        return tf.reshape(logits, tf.concat([tf.shape(readout)[:-1], tf.shape(bias)], axis=0))


def _at_real_positions(readout: tf.Tensor, target: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    labels = tf.reshape(tf.cast(target, tf.int32), [-1])
    real = tf.where(labels != PAD_ID)[:, 0]  # computed once: on a GPU, the host waits for their number
    return tf.gather(tf.reshape(readout, [-1, readout.shape[-1]]), real), tf.gather(labels, real)


def check_tokenizers(model: DecoderModel, tokenizers: Tokenizers) -> None:
    """Check that a model and its tokenizers have the same vocabulary sizes.

    Raises:
        ArgumentError: A tokenizer's vocabulary size differs from the model's.
    """
    sizes = tuple(tokenizer.vocabulary_size for tokenizer in tokenizers)
    if sizes != model.vocabulary_sizes:
        raise ArgumentError(
            f"the tokenizers have {sizes} tokens, and the model has {model.vocabulary_sizes}. Pass the tokenizers that "
            "it was trained with."
        )


def named_weights(model: DecoderModel) -> dict[str, np.ndarray]:
    """A model's weights by path, without the name of the model."""
    return {weight_name(weight): np.asarray(weight) for weight in model.weights}


def assign_weights(model: DecoderModel, arrays: Mapping[str, np.ndarray], origin: Path) -> None:
    """Set a model's weights.

    Raises:
        ModelDirectoryError: Names or shapes differ from the model's.
    """
    expected = {weight_name(weight): tuple(weight.shape) for weight in model.weights}
    found = {name: array.shape for name, array in arrays.items()}
    if expected != found:
        differ = sorted(set(expected.items()) ^ set(found.items()))
        name = differ[0][0]
        raise ModelDirectoryError(
            f"{origin}: weights do not fit the model of config.yaml: {name} has shape {found.get(name, 'none')}, "
            f"expected {expected.get(name, 'none')}; {pluralize(len({name for name, _ in differ}), 'weight')} of "
            f"{len(expected)} do not fit. "
            "Do the two files belong together?"
        )
    for weight in model.weights:
        weight.assign(arrays[weight_name(weight)])


def weight_name(variable: keras.Variable) -> str:
    """A variable's path without the name of the model or optimizer that holds it."""
    return variable.path.partition("/")[2]
