"""Copies of a trained model for use without training files, in one of several formats."""

from typing import Literal

ExportFormat = Literal["directory"]
