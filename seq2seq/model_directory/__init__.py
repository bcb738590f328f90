"""A trained model on disk."""

from typing import Literal

WeightsDtype = Literal["float32", "float16"]  # of the stored weights; they are read as float32
# Next to the checkpoints, which are not part of the delivered model.
LOCK_FILE = "checkpoints/train.lock"
LAST_CHECKPOINT = "checkpoints/last.safetensors"  # a run that has it resumes
STAGES = "stages"  # folder of the runs of all stages but the last one
