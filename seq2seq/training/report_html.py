"""A run as HTML for a notebook: its end, learning curve and validations."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from seq2seq.notebook_html import html_block, html_curves, html_note, html_table
from seq2seq.plurals import pluralize
from seq2seq.training.display import format_duration

if TYPE_CHECKING:
    from seq2seq.training.report import TrainingReport

MAX_ROWS = 12  # last validations that are listed


def report_html(report: "TrainingReport") -> str:
    """A report as HTML: the end of the run, `validations_html`, and the warnings."""
    end = report.end.message if report.end else "interrupted; the same call resumes it"
    title = f"{pluralize(report.updates, 'update')}: {end}"
    seen_at = {text: entry["update"] for entry in reversed(report.history) for text in entry.get("new_warnings", ())}
    warnings = [
        html_note(f"{f'update {seen_at[text]:,}: ' if text in seen_at else ''}warning: {text}")
        for text in report.warnings
    ]
    return html_block(title, validations_html(report.history), *warnings, html_note(str(report.directory)))


def validations_html(history: Sequence[Mapping[str, Any]]) -> str:
    """Learning curve and table of validations; if there are many, only the best and the last ones are listed."""
    curves = {
        name: [(entry["update"], entry[key]) for entry in history if entry.get(key) is not None]
        for name, key in (("train (nats per token)", "train_nll"), ("validation", "valid_loss"))
    }
    best = max((number for number, entry in enumerate(history) if entry["best"]), default=None)
    shown = [number for number in range(len(history)) if number == best or number >= len(history) - MAX_ROWS]
    rows = [
        (
            history[number]["epoch"],
            f"{history[number]['update']:,}",
            f"{history[number]['train_nll']:.3f}",
            f"{history[number]['valid_loss']:.3f}",
            f"{history[number]['valid_perplexity']:.2f}",
            "" if history[number]["bleu"] is None else f"{history[number]['bleu']:.2f}",
            format_duration(history[number]["seconds"]),
            "best" * (number == best),
        )
        for number in shown
    ]
    header = ("epoch", "update", "train loss", "valid loss", "perplexity", "BLEU", "time", "")
    return html_curves(curves) + (html_table(rows, header, numeric=range(7)) if rows else "")
