"""Models of equal size: the width at which one has as many parameters as another."""

from collections.abc import Callable, Sequence

import numpy as np

from seq2seq.config import TranslationConfig
from seq2seq.models.translation import Seq2Seq

SAMPLED_WIDTHS = (32, 64, 96)
MAX_UNITS = 4096


def count_parameters(recipe: TranslationConfig, vocabulary_sizes: Sequence[int]) -> int:
    """Number of weights of a recipe's model for vocabularies of source and target."""
    source, target = vocabulary_sizes
    return Seq2Seq(source, target, recipe.embeddings, recipe.encoder, recipe.decoder).count_params()


def units_of_size(
    recipe_of: Callable[[int], TranslationConfig], parameters: int, vocabulary_sizes: Sequence[int], step: int = 2
) -> int:
    """The width with which a model comes closest to a number of parameters.

    These are a polynomial of second degree in the width, so three models tell it.

    Args:
        recipe_of: Gives the recipe of a width, a multiple of `step`.
        parameters: Wanted.
        vocabulary_sizes: Of source and target.
        step: Between the widths to choose from, which begin at twice as much.
    """
    widths = [-(-width // step) * step for width in SAMPLED_WIDTHS]
    counts = [count_parameters(recipe_of(units), vocabulary_sizes) for units in widths]
    polynomial = np.polynomial.Polynomial.fit(widths, counts, 2)
    choices = np.arange(2 * step, MAX_UNITS, step)
    return int(choices[np.abs(polynomial(choices) - parameters).argmin()])
