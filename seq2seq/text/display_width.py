"""Columns of text in a terminal, where a Chinese character is two cells wide and a combining accent none.

Python's format widths count code points, which aligns only narrow characters. Tables of Rich count cells, too.
"""

from collections.abc import Iterable

from rich.cells import cell_len


def pad(text: str, width: int) -> str:
    """The text with spaces after it, `width` terminal cells wide; a wider one unchanged."""
    return text + " " * (width - cell_len(text))


def pad_left(text: str, width: int) -> str:
    """The text with spaces before it, `width` terminal cells wide; a wider one unchanged."""
    return " " * (width - cell_len(text)) + text


def max_width(texts: Iterable[str]) -> int:
    """Terminal cells of the widest text; 0 without texts."""
    return max(map(cell_len, texts), default=0)
