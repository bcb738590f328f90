"""Training: the loop, schedules, checkpoints and the display."""

from seq2seq.training.run import TrainingReport, train
from seq2seq.training.run_state import EndReason, RunEnd

__all__ = ["EndReason", "RunEnd", "TrainingReport", "train"]
