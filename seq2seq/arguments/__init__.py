"""Arguments at the outer doors: compared with their annotations before a function begins, and refused in words.

pydantic checks the values of a recipe. Arguments need less and more than it does: one text must not pass for a list of
texts, an iterator must not be read, and a list of a million sentences not be copied.
"""

from seq2seq.arguments.annotations import AtLeastOne, NonNegative, NotEmpty, Pair
from seq2seq.arguments.door import check_arguments, door
from seq2seq.arguments.kinds import Dims, describe

__all__ = ["AtLeastOne", "Dims", "NonNegative", "NotEmpty", "Pair", "check_arguments", "describe", "door"]
