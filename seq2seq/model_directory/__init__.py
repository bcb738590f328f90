"""A trained model on disk."""

from typing import Literal

WeightsDtype = Literal["float32", "float16"]  # of the stored weights; they are read as float32
