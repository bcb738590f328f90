"""A comparison as one page of HTML that loads nothing: tables, plots as inline SVG, and the sentences that differ."""

import re
from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING

from seq2seq.evaluation.breakdowns import Breakdown, Value
from seq2seq.evaluation.comparison_svg import COLOURS, marker, plot_groups, plot_scores
from seq2seq.evaluation.sentence_differences import SentenceDifference
from seq2seq.plurals import pluralize
from seq2seq.text.scripts import UNSPACED

if TYPE_CHECKING:  # which makes its page here
    from seq2seq.evaluation.comparison_report import ComparedSystem, ComparisonReport

SIGNIFICANT = 0.05
WORD = re.compile(rf"[{UNSPACED}]|[^\W{UNSPACED}]+")


def render_page(report: "ComparisonReport") -> str:
    """The page."""
    names = [system.name for system in report.systems]
    sections = [
        ("scores", "Scores", _scores(report)),
        *_breakdown_sections(report.breakdowns, names),
        ("problems", "Repetition and omission", _problems(report)),
        *(
            (f"system-{number}", f"{system.name}: wins and losses", _differences(report, system, number))
            for number, system in enumerate(report.systems[1:], start=1)
        ),
    ]
    links = "".join(f'<a href="#{anchor}">{escape(title)}</a>' for anchor, title, _ in sections)
    title = f"Comparison: {', '.join(names)}"
    about = f"{pluralize(report.sentences, 'sentence')}, {pluralize(report.references, 'reference')} each"
    note = f'<p class="note">{escape(report.note)}.</p>' if report.note else ""
    body = "".join(
        f'<section id="{anchor}"><h2>{escape(title)}</h2>{text}</section>' for anchor, title, text in sections
    )
    style = files("seq2seq.evaluation").joinpath("comparison_page.css").read_text(encoding="utf-8")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{style}</style></head><body>"
        f"<header><h1>Comparison of {pluralize(len(names), 'system')}</h1><p>{about}. Baseline: "
        f"<b>{escape(names[0])}</b>.</p>{_legend(names)}{note}</header><nav>{links}</nav><main>{body}</main>"
        "</body></html>\n"
    )


def _legend(names: Sequence[str]) -> str:
    items = "".join(
        f'<li class="s{number % COLOURS}"><svg viewBox="-7 -7 14 14" class="key">{marker(number)}</svg>'
        f"<span>{escape(name)}</span></li>"
        for number, name in enumerate(names)
    )
    return f'<ul class="legend">{items}</ul>'


def _scores(report: "ComparisonReport") -> str:
    rows, plots = [], []
    for scores in zip(*(system.scores for system in report.systems), strict=True):
        name = f"{scores[0].name}{', lower is better' * scores[0].lower_is_better}"
        values = [Value(score.score, score.low, score.high) for score in scores]
        plots.append(f"<figure>{plot_scores(values, [system.name for system in report.systems], name)}</figure>")
        for number, (system, score) in enumerate(zip(report.systems, scores, strict=True)):
            difference = "baseline"
            if score.difference is not None:
                better = (score.difference < 0) == score.lower_is_better and score.difference != 0
                arrow = "±" if score.difference == 0 else "▲" if better else "▼"
                difference = f"{arrow} {score.difference:+.2f}"
            p_values = [_p_value(p) for p in (score.p_bootstrap, score.p_randomization)]
            cells = [f"{score.score:.2f}", score.interval(), difference]
            first = f'<th scope="rowgroup" rowspan="{len(scores)}">{escape(score.name)}</th>' if not number else ""
            rows.append(
                f"<tr{' class=first' * (not number)}>{first}<td>{escape(system.name)}</td>"
                f"{''.join(f'<td class=n>{cell}</td>' for cell in [*cells, *p_values])}</tr>"
            )
    head = "<th>Metric</th><th>System</th>" + "".join(
        f"<th class=n>{name}</th>" for name in ("Score", "95% interval", "Difference", "p (bs)", "p (ar)")
    )
    signatures = "".join(f"<li><code>{escape(text)}</code></li>" for text in report.signatures())
    return (
        f'<div class="plots">{"".join(plots)}</div>'
        f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'
        f"<p>▲ better, ▼ worse than the baseline. {escape(report.tests())} Those below {SIGNIFICANT} are bold.</p>"
        f"<details><summary>Signatures</summary><ul>{signatures}</ul></details>"
    )


def _p_value(value: float | None) -> str:
    text = "" if value is None else f"{value:.4f}"
    return f"<b>{text}</b>" if value is not None and value < SIGNIFICANT else text


def _breakdown_sections(breakdowns: Iterable[Breakdown], names: Sequence[str]) -> list[tuple[str, str, str]]:
    """A section per property, with a plot and a table per measure."""
    sections: dict[str, tuple[str, list[str], list[str]]] = {}
    for one in breakdowns:
        _, plots, tables = sections.setdefault(one.key, (one.title, [], []))
        label = f"{one.measure} (%)" if one.measure == "recall" else one.measure
        caption = f"<figcaption>{escape(label)}, 95% intervals</figcaption>"
        plots.append(f"<figure>{caption}{plot_groups(one.groups, names, label, one.property)}</figure>")
        tables.append(_breakdown_table(one, names))
    return [
        (
            key,
            title,
            f'<div class="plots">{"".join(plots)}</div><details><summary>Table</summary>{"".join(tables)}</details>',
        )
        for key, (title, plots, tables) in sections.items()
    ]


def _breakdown_table(breakdown: Breakdown, names: Sequence[str]) -> str:
    head = f"<th>{escape(breakdown.property)}</th><th class=n>{breakdown.counted}</th>"
    head += "".join(f"<th class=n>{escape(name)}</th>" for name in names)
    rows = []
    for group in breakdown.groups:
        cells = []
        for value in (group.values[name] for name in names):
            ends = "" if value.low is None else f"<small>{value.low:.1f} to {value.high:.1f}</small>"
            cells.append(f"<td class=n>{value.value:.2f} {ends}</td>")
        rows.append(f"<tr><td>{escape(group.name)}</td><td class=n>{group.count:,}</td>{''.join(cells)}</tr>")
    return (
        f'<div class="wide"><table><caption>{escape(breakdown.measure)}</caption><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _problems(report: "ComparisonReport") -> str:
    head = "<th></th>" + "".join(f"<th class=n>{escape(system.name)}</th>" for system in report.systems)
    rows = "".join(
        f"<tr><td>{escape(label)}</td>{''.join(f'<td class=n>{cell}</td>' for cell in cells)}</tr>"
        for label, *cells in report.problem_rows()
    )
    return f'<div class="wide words"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'


def _differences(report: "ComparisonReport", system: "ComparedSystem", number: int) -> str:
    baseline = report.systems[0].name
    same = report.sentences - system.different
    parts = [
        f"<p>{pluralize(system.better, 'sentence')} better than {escape(baseline)} by sentence-level chrF2, "
        f"{system.worse:,} worse, {same:,} identical. Marked: words of a reference that only this translation has.</p>"
    ]
    for title, differences in (("Largest wins", system.wins), ("Largest losses", system.losses)):
        cards = "".join(_card(difference, (baseline, system.name), number) for difference in differences)
        parts.append(f"<details{' open' * (title == 'Largest wins')}><summary>{title}</summary>")
        parts.append(f"{cards or '<p>None.</p>'}</details>")
    return "".join(parts)


def _card(found: SentenceDifference, names: tuple[str, str], number: int) -> str:
    given = [] if found.source is None else [("Source", found.source)]
    given += [("Reference", text) for text in found.references]
    rows = "".join(f'<p class="given"><b>{name}</b><span dir="auto">{escape(text)}</span></p>' for name, text in given)
    sides = (
        (0, names[0], found.baseline, found.system, found.baseline_chrf),
        (number, names[1], found.system, found.baseline, found.system_chrf),
    )
    texts = "".join(
        f'<div class="side s{place % COLOURS}"><b>{escape(name)} <small>chrF2 {score:.1f}</small></b>'
        f'<span dir="auto">{_mark(text, other, found.references) or "(empty)"}</span></div>'
        for place, name, text, other, score in sides
    )
    return (
        f"<article><h3>Line {found.line:,} <small>{found.gain:+.1f} points of chrF2</small></h3>{rows}"
        f'<div class="sides">{texts}</div></article>'
    )


def _mark(text: str, other: str, references: Iterable[str]) -> str:
    """A translation with marks on words that some reference has and the other translation lacks."""
    wanted = {word for reference in references for word in WORD.findall(reference)} - set(WORD.findall(other))
    parts, end = [], 0
    for match in WORD.finditer(text):
        parts.append(escape(text[end : match.start()]))
        word = escape(match[0])
        parts.append(f"<mark>{word}</mark>" if match[0] in wanted else word)
        end = match.end()
    return "".join([*parts, escape(text[end:])])
