"""Copies of a trained model for those who only use it, in one of several formats."""

from typing import Literal

ExportFormat = Literal["directory"]
