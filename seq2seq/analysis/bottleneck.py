"""What an encoder hands over, one vector or all its states, and what that does to long sentences."""

from collections.abc import Mapping, Sequence

import tensorflow as tf

from seq2seq.analysis.lengths import quality_by_length
from seq2seq.config import SearchOptions
from seq2seq.data.tokenizer import EOS_ID
from seq2seq.extras import from_extra
from seq2seq.inference.translator import Translator
from seq2seq.models.translation import Seq2Seq

with from_extra("analysis", needed_by=__name__):
    import pandas as pd


def handed_over(model: Seq2Seq) -> tuple[int, int]:
    """How many numbers the decoder gets of a sentence: so many for the whole of it, and so many more a source token.

    The first are the decoder's first states, or the one vector that it reads at every step and that these states are
    made from; the second the width of an encoder state, 0 without attention.
    """
    if model.decoder.bridge.vector_size is not None:
        return model.decoder.bridge.width, 0
    _, state = model.encode(tf.constant([[EOS_ID]]))
    first = sum(part.shape[-1] for part in tf.nest.flatten(state.cells))
    return first, model.encoder.units if model.attends else 0


def compare_by_length(
    translators: Mapping[str, Translator],
    pairs: Sequence[tuple[str, ...]],
    edges: Sequence[int],
    options: SearchOptions | None = None,
    *,
    metrics: Sequence[str] = ("BLEU", "chrF2"),
    language: str | None = None,
) -> pd.DataFrame:
    """Translate the same sources with several translators and score each bucket of source length.

    Args:
        translators: By the name to show.
        pairs, edges, metrics, language: See `quality_by_length`.
        options: How to search; each translator's own by default.

    Returns:
        The table of `quality_by_length`, with intervals.

    Raises:
        EvaluationError: See `quality_by_length`.
    """
    sources = [pair[0] for pair in pairs]
    texts = {
        name: [translation.text for translation in translator.translate(sources, options, attention=False)]
        for name, translator in translators.items()
    }
    return quality_by_length(texts, pairs, edges, metrics=metrics, language=language)
