"""What a command says on stderr: lines, warnings, a bar."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress

stderr = Console(stderr=True)


def warn(message: str) -> None:
    """Print a warning to stderr."""
    print_line(f"warning: {message}")


def print_line(message: str) -> None:
    """Print a line to stderr, as it is."""
    stderr.print(message, markup=False, highlight=False, soft_wrap=True)


def write(text: str) -> None:
    """Print lines to stdout, as they are."""
    Console().print(text, markup=False, highlight=False, soft_wrap=True)


@contextmanager
def progress_bar(description: str, total: int | None) -> Iterator[Any]:
    """A bar on stderr where that is a terminal; yields a function that takes the number done so far."""
    with Progress(console=stderr, transient=True, disable=not stderr.is_terminal) as bar:
        task = bar.add_task(escape(description), total=total)
        yield lambda done: bar.update(task, completed=done)
