"""Training: the loop, schedules, checkpoints and the display."""

from seq2seq.training.loop import TrainingReport, train

__all__ = ["TrainingReport", "train"]
