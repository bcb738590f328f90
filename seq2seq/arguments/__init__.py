"""Checks of the arguments of public functions against their annotations, with a message before the function runs.

pydantic checks the values of a recipe. Arguments need less and more than that: a string must not pass for a list of
strings, an iterator must not be read, and a list of a million sentences must not be copied.
"""

from seq2seq.arguments.annotations import AtLeastOne, NonNegative, NotEmpty, Pair
from seq2seq.arguments.door import check_arguments, door
from seq2seq.arguments.kinds import Dims, describe

__all__ = ["AtLeastOne", "Dims", "NonNegative", "NotEmpty", "Pair", "check_arguments", "describe", "door"]
