"""Training: the loop, schedules, checkpoints and the display."""

from seq2seq.training.ending import End, Reason
from seq2seq.training.run import TrainingReport, train

__all__ = ["End", "Reason", "TrainingReport", "train"]
