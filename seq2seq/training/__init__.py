"""Training: the loop, schedules, checkpoints and the display."""

from seq2seq.training.ending import EndReason, RunEnd
from seq2seq.training.run import TrainingReport, train

__all__ = ["EndReason", "RunEnd", "TrainingReport", "train"]
