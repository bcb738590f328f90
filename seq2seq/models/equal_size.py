"""Models of equal size: the width at which a model has a given number of parameters."""

from collections.abc import Callable, Sequence

import numpy as np

from seq2seq.config import TranslationConfig
from seq2seq.models.translation import Seq2Seq

SAMPLED_WIDTHS = (32, 64, 96)
MAX_UNITS = 4096


def count_parameters(recipe: TranslationConfig, vocabulary_sizes: Sequence[int]) -> int:
    """Number of parameters of a recipe's model, given the vocabulary sizes of source and target."""
    source, target = vocabulary_sizes
    return Seq2Seq(source, target, recipe.embeddings, recipe.encoder, recipe.decoder).count_params()


def units_of_size(
    recipe_of: Callable[[int], TranslationConfig], parameters: int, vocabulary_sizes: Sequence[int], step: int = 2
) -> int:
    """The width at which the number of parameters of a model is closest to a desired one.

    The number is a polynomial of degree two in the width, so three models determine it.

    Args:
        recipe_of: Function from a width, a multiple of `step`, to its recipe.
        parameters: Desired number of parameters.
        vocabulary_sizes: Vocabulary sizes of source and target.
        step: Difference between possible widths, the smallest of which is `2 * step`.
    """
    widths = [-(-width // step) * step for width in SAMPLED_WIDTHS]
    counts = [count_parameters(recipe_of(units), vocabulary_sizes) for units in widths]
    polynomial = np.polynomial.Polynomial.fit(widths, counts, 2)
    choices = np.arange(2 * step, MAX_UNITS, step)
    return int(choices[np.abs(polynomial(choices) - parameters).argmin()])
