"""The display of a run in a notebook: one output that is updated, with a progress line below the learning curve."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from html import escape
from typing import Any

from seq2seq.extras import require_extra
from seq2seq.notebook_html import html_facts
from seq2seq.training.display import MIN_SPINNER_SECONDS, Display, Timer, describe_progress
from seq2seq.training.report_html import validations_html

with require_extra("notebooks", needed_by=__name__):
    from IPython.display import HTML, DisplayHandle, display

REFRESH_SECONDS = 0.5


class NotebookDisplay(Display):
    """Display of training in the output of the notebook cell that trains."""

    def __init__(self) -> None:
        super().__init__()
        self._before: list[str] = []  # the first validation
        self._after: list[str] = []
        self._entries: list[Mapping[str, Any]] = []
        self._live = ""
        self._since_refresh = Timer()
        self._handle: DisplayHandle | None = None  # a display that shows nothing leaves no output

    def print(self, text: str) -> None:
        self._add(f"<div>{escape(text)}</div>")

    def table(self, title: str, rows: Mapping[str, str]) -> None:
        self._add(html_facts(title, rows))

    @contextmanager
    def spinner(self, what: str) -> Iterator[None]:
        timer = Timer()
        with self._live_line():
            self._show(f"{what} ...", now=True)
            yield
        if (seconds := timer.seconds()) > MIN_SPINNER_SECONDS:
            self.print(f"{what}: {seconds:.1f} s")

    @contextmanager
    def progress_bar(self, what: str, unit: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
        with self._live_line():
            yield lambda done: self._show(f"{what}: {done:,} {unit}", done, total)

    @contextmanager
    def epoch_progress(self, epoch: int, batches: int, done: int) -> Iterator[Callable[[int, Mapping[str, Any]], None]]:
        with self._live_line():
            yield lambda completed, numbers: self._show(
                f"epoch {epoch}  batch {completed:,}/{batches:,}  {describe_progress(numbers)}", completed, batches
            )

    def print_validation(self, entry: Mapping[str, Any], improved: bool) -> None:
        self._entries.append(entry)
        self._refresh()

    @contextmanager
    def _live_line(self) -> Iterator[None]:
        try:
            yield
        finally:
            self._live = ""
            self._refresh()

    def _show(self, text: str, done: int | None = None, total: int | None = None, now: bool = False) -> None:
        bar = f'<progress value="{done}" max="{total}" style="width:12em"></progress> ' if total else ""
        self._live = f"<div>{bar}{escape(text)}</div>"
        if now or self._since_refresh.seconds() > REFRESH_SECONDS:
            self._refresh()

    def _add(self, block: str) -> None:
        (self._after if self._entries else self._before).append(block)
        self._refresh()

    def _refresh(self) -> None:
        self._since_refresh.restart()
        parts = "".join([*self._before, validations_html(self._entries), *self._after, self._live])
        self._handle = self._handle or display(HTML(""), display_id=True)
        self._handle.update(HTML(f'<div style="font-variant-numeric:tabular-nums">{parts}</div>'))
