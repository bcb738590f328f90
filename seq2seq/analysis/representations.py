"""Vectors inside a translator: of tokens and of words, their neighbours and projections, and what a decoder gets."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import tensorflow as tf

from seq2seq.analysis.words import subword_positions
from seq2seq.arguments import check_arguments
from seq2seq.data.padding import batches_by_length, pad
from seq2seq.data.tokenizer import EOS_ID, PAD_ID
from seq2seq.devices.device import set_tf32
from seq2seq.errors import EvaluationError, suggest_similar
from seq2seq.extras import require_extra
from seq2seq.inference.results import EOS
from seq2seq.inference.translator import Translator
from seq2seq.models.translation import Seq2Seq

with require_extra("analysis", needed_by=__name__):
    import pandas as pd

EmbeddingTable = Literal["source", "target", "output"]
RepresentationLayer = Literal["embedding", "encoder"]
BATCH_TOKENS = 8_000  # padded, read at once


@check_arguments()
def embeddings(translator: Translator, table: EmbeddingTable = "source") -> pd.DataFrame:
    """The vectors of all tokens: V rows named by the vocabulary's entries (`▁the`), E columns, float32.

    Args:
        translator: Of a model.
        table: `source`: what the encoder reads; `target`: what the decoder reads; `output`: what logits are made with.
            Tables that the recipe ties are the same.
    """
    tokenizer = translator.tokenizers.source if table == "source" else translator.tokenizers.target
    layer = getattr(translator.model, f"{table}_embedding")
    return pd.DataFrame(np.asarray(layer.table), index=tokenizer.pieces(range(tokenizer.vocabulary_size)))


@check_arguments()
def source_states(
    translator: Translator, sentences: Sequence[str], layer: RepresentationLayer = "encoder"
) -> list[np.ndarray]:
    """A vector for each source token of each sentence.

    Args:
        translator: Of a model.
        sentences: Raw text.
        layer: `encoder`: the states that attention reads, after the top layer; `embedding`: what the bottom layer
            reads, which knows nothing of the sentence.

    Returns:
        For each sentence (S, U) float32, S its tokens with `</s>` as the last one; U the units of the encoder, or the
        size of embeddings. They do not depend on what other sentences there are, but for rounding.
    """
    model = translator.model
    set_tf32(model.precision)

    def read(source: tf.Tensor) -> tf.Tensor:
        embedded = model.source_embedding(source)
        if layer == "embedding":
            return tf.cast(embedded, tf.float32)
        lengths = tf.reduce_sum(tf.cast(source != PAD_ID, tf.int32), axis=1)
        return tf.cast(model.encoder(embedded, lengths)[0], tf.float32)

    rows = [[*ids, EOS_ID] for ids in translator.tokenizers.source.encode_batch(list(sentences))]
    states: dict[int, np.ndarray] = {}
    for batch in batches_by_length(list(map(len, rows)), lambda length: BATCH_TOKENS // length):
        found = read(tf.constant(pad([rows[row] for row in batch]))).numpy()
        states |= {row: vectors[: len(rows[row])] for row, vectors in zip(batch, found, strict=True)}
    return [states[row] for row in range(len(rows))]


@check_arguments()
def word_states(
    translator: Translator, sentences: Sequence[str], layer: RepresentationLayer = "encoder"
) -> tuple[pd.DataFrame, np.ndarray]:
    """A vector for each source word: the mean of the vectors of its pieces. The sentence's end counts as a word.

    Args: see `source_states`.

    Returns:
        A data frame of N rows, and their vectors (N, U) float32:
        sentence  its number from 0
        position  of the word in its sentence, from 0
        word      as it is written; the last one is `</s>`
        subwords  how many tokens spell it
    """
    rows, vectors = [], []
    for number, (sentence, states) in enumerate(
        zip(sentences, source_states(translator, sentences, layer), strict=True)
    ):
        words = [*subword_positions(translator.tokenizers.source, sentence), (EOS, [len(states) - 1])]
        for place, (word, pieces) in enumerate(words):
            rows.append((number, place, word, len(pieces)))
            vectors.append(states[pieces].mean(axis=0))
    return pd.DataFrame(rows, columns=["sentence", "position", "word", "subwords"]), np.array(vectors, np.float32)


@check_arguments()
def bottleneck_size(model: Seq2Seq) -> tuple[int, int]:
    """Number of values that the decoder gets: per sentence, and in addition per source token.

    The first are the decoder's first states, or the one vector that it reads at every step and that these states are
    made from; the second the width of an encoder state, 0 without attention.
    """
    if model.decoder.bridge.context_size is not None:
        return model.decoder.bridge.width, 0
    _, state = model.encode(tf.constant([[EOS_ID]]))
    first = sum(part.shape[-1] for part in tf.nest.flatten(state.cells))
    return first, model.encoder.units if model.uses_attention else 0


@check_arguments()
def nearest_neighbours(vectors: pd.DataFrame, names: Sequence[str], count: int = 8) -> pd.DataFrame:
    """The rows that point most nearly in the same direction.

    Args:
        vectors: N rows with different names, as of `embeddings`. Leave out rows that should not be found.
        names: Whose neighbours.
        count: How many, at most N - 1.

    Returns:
        name, rank (from 1), neighbour, cosine (-1 to 1); a row is no neighbour of its own.

    Raises:
        EvaluationError: A name is not among the rows.
    """
    table = vectors.to_numpy(np.float64)
    units = table / np.maximum(np.linalg.norm(table, axis=1, keepdims=True), 1e-12)
    rows = []
    for name in names:
        if name not in vectors.index:
            raise EvaluationError(f"there is no vector of {name!r}.{suggest_similar(name, map(str, vectors.index))}")
        place = vectors.index.get_loc(name)
        cosines = units @ units[place]
        order = [other for other in np.argsort(-cosines, kind="stable") if other != place][:count]
        rows += [(name, rank, vectors.index[other], cosines[other]) for rank, other in enumerate(order, start=1)]
    return pd.DataFrame(rows, columns=["name", "rank", "neighbour", "cosine"])


@check_arguments()
def principal_components(vectors: pd.DataFrame, count: int = 2) -> tuple[pd.DataFrame, np.ndarray]:
    """Project centred vectors on the directions in which they vary most.

    Returns:
        N rows named as in `vectors`, with columns 1 to `count`; and the share of the variance of each, falling.

    Source: scikit-learn's `PCA` with its exact solver. A component's sign means nothing.
    """
    with require_extra("analysis", needed_by=__name__):
        from sklearn.decomposition import PCA

    pca = PCA(count, svd_solver="full")
    found = pca.fit_transform(vectors.to_numpy(np.float64))
    return pd.DataFrame(found, vectors.index, range(1, count + 1)), pca.explained_variance_ratio_


@check_arguments()
def tsne(vectors: pd.DataFrame, perplexity: float = 15.0, seed: int = 1) -> pd.DataFrame:
    """Lay out vectors in the plane so that those with a small angle between them come to lie close together.

    Only who is near whom means something: neither the axes, nor distances between far groups, nor their sizes do.

    Args:
        vectors: N rows, at most about a thousand: time grows with N squared.
        perplexity: About how many neighbours each point minds, below N.
        seed: Of scikit-learn's random numbers; the start is the principal components.

    Returns:
        N rows named as in `vectors`, with columns 1 and 2.

    Raises:
        ValueError: Of scikit-learn: `perplexity` is not below N.

    Source: van der Maaten and Hinton (2008), as scikit-learn's `TSNE` computes it exactly; cosine distances.
    """
    with require_extra("analysis", needed_by=__name__):
        from sklearn.manifold import TSNE

    # The approximate method starts threads that wait for each other: on a busy machine it is far slower for so few.
    layout = TSNE(2, perplexity=perplexity, metric="cosine", init="pca", random_state=seed, method="exact")
    return pd.DataFrame(layout.fit_transform(vectors.to_numpy(np.float64)), vectors.index, [1, 2])
