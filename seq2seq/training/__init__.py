"""Training: the loop, schedules, checkpoints and the display."""

from seq2seq.training.report import TrainingReport
from seq2seq.training.run import train
from seq2seq.training.run_state import StopReason, StopResult

__all__ = ["StopReason", "StopResult", "TrainingReport", "train"]
