"""Training: the loop, schedules, checkpoints and the display."""

from seq2seq.training.run import TrainingReport, train
from seq2seq.training.run_state import StopReason, StopResult

__all__ = ["StopReason", "StopResult", "TrainingReport", "train"]
