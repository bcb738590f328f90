"""Vectors of tokens and words in a translator, their neighbours and projections, and the size of the bottleneck."""

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
from seq2seq.inference.translator import Translator
from seq2seq.models.translation import Seq2Seq
from seq2seq.text.words import EOS

with require_extra("analysis", needed_by=__name__):
    import pandas as pd

EmbeddingTable = Literal["source", "target", "output"]
RepresentationLayer = Literal["embedding", "encoder"]
BATCH_TOKENS = 8_000  # padded tokens that are read at once


@check_arguments()
def embeddings(translator: Translator, table: EmbeddingTable = "source") -> pd.DataFrame:
    """Embeddings of all tokens: V rows named by the entries of the vocabulary (`▁the`), E columns, float32.

    Args:
        translator: Translator with the model.
        table: `source`: inputs of the encoder; `target`: inputs of the decoder; `output`: matrix of the output layer.
            Tables that the recipe ties are the same.
    """
    tokenizer = translator.tokenizers.source if table == "source" else translator.tokenizers.target
    layer = getattr(translator.model, f"{table}_embedding")
    return pd.DataFrame(np.asarray(layer.table), index=tokenizer.pieces(range(tokenizer.vocabulary_size)))


@check_arguments()
def source_states(
    translator: Translator, sentences: Sequence[str], layer: RepresentationLayer = "encoder"
) -> list[np.ndarray]:
    """Vectors of the source tokens of each sentence.

    Args:
        translator: Translator with the model.
        sentences: Raw text.
        layer: `encoder`: the states that attention reads, after the top layer; `embedding`: the inputs of the bottom
            layer, which do not depend on the rest of the sentence.

    Returns:
        (S, U) float32 for each sentence, where S is its number of tokens, `</s>` as the last one included, and U the
        units of the encoder or the size of the embeddings. Except for rounding, they do not depend on the other
        sentences.
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
    """Vectors of source words, each the mean of the vectors of its pieces. The end of the sentence counts as a word.

    Args:
        translator: See `source_states`.
        sentences: See `source_states`.
        layer: See `source_states`.

    Returns:
        A data frame of N rows, and their vectors (N, U) float32. Columns are:

        sentence  number of the sentence, from 0
        position  position of the word in its sentence, from 0
        word      word as it is written; the last one of a sentence is `</s>`
        subwords  number of tokens that spell it
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
    """Number of values that the decoder gets from the encoder: per sentence, and additionally per source token.

    The first number counts the decoder's initial states or, if it reads a vector at every step, that vector, from which
    the initial states are made. The second is the width of an encoder state, 0 without attention.
    """
    if model.decoder.bridge.context_size is not None:
        return model.decoder.bridge.width, 0
    _, state = model.encode(tf.constant([[EOS_ID]]))
    first = sum(part.shape[-1] for part in tf.nest.flatten(state.cells))
    return first, model.encoder.units if model.uses_attention else 0


@check_arguments()
def nearest_neighbours(vectors: pd.DataFrame, names: Sequence[str], count: int = 8) -> pd.DataFrame:
    """Nearest neighbours of rows, by the cosine of the angle between them.

    Args:
        vectors: N rows with different names, as from `embeddings`. Leave out rows that should not be found.
        names: Names of the rows whose neighbours are wanted.
        count: Number of neighbours of each, at most N - 1.

    Returns:
        Columns name, rank (from 1), neighbour, cosine (-1 to 1); a row is not its own neighbour.

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
    """Project centred vectors onto the directions in which they vary most. The signs of components are arbitrary.

    Returns:
        N rows named as in `vectors`, with columns 1 to `count`; and the share of the variance of each component, in
        descending order.

    Source:
        `PCA` of scikit-learn, with its exact solver.
    """
    with require_extra("analysis", needed_by=__name__):
        from sklearn.decomposition import PCA

    pca = PCA(count, svd_solver="full")
    found = pca.fit_transform(vectors.to_numpy(np.float64))
    return pd.DataFrame(found, vectors.index, range(1, count + 1)), pca.explained_variance_ratio_


@check_arguments()
def tsne(vectors: pd.DataFrame, perplexity: float = 15.0, seed: int = 1) -> pd.DataFrame:
    """Lay out vectors in the plane with t-SNE, so that those with small angles between them are close together.

    Only neighbourhoods are meaningful: the axes, the distances between groups and the sizes of groups are not.

    Args:
        vectors: N rows, at most about a thousand, since time grows with N squared.
        perplexity: Approximate number of neighbours that count for each point, below N.
        seed: Seed of scikit-learn's random numbers; the layout starts from the principal components.

    Returns:
        N rows named as in `vectors`, with columns 1 and 2.

    Raises:
        ValueError: From scikit-learn: `perplexity` is not below N.

    Source:
        Van der Maaten and Hinton (2008), computed exactly by scikit-learn's `TSNE`, with cosine distances.
    """
    with require_extra("analysis", needed_by=__name__):
        from sklearn.manifold import TSNE

    # The approximate method starts threads that wait for each other: on a busy machine it is far slower for so few.
    layout = TSNE(2, perplexity=perplexity, metric="cosine", init="pca", random_state=seed, method="exact")
    return pd.DataFrame(layout.fit_transform(vectors.to_numpy(np.float64)), vectors.index, [1, 2])
