"""Validation of the arguments of public functions against their annotations, before the function runs.

pydantic validates the values of a recipe, but arguments have other requirements: a string must not be accepted as a
list of strings, an iterator must not be consumed, and a list of a million sentences must not be copied.
"""

from seq2seq.arguments.annotations import AtLeastOne, NonNegative, NotEmpty, Pair
from seq2seq.arguments.door import check_arguments, door
from seq2seq.arguments.kinds import Dims, describe

__all__ = ["AtLeastOne", "Dims", "NonNegative", "NotEmpty", "Pair", "check_arguments", "describe", "door"]
