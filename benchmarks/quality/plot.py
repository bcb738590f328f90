"""Draw BLEU on the test set over CPU minutes, from the records of `transformer.py` and `curve.py`.

    python benchmarks/quality/plot.py [RECORD ...] --output docs/images/quality.svg

A dot is a run; a line connects the means of all runs of a model. Needs the extra `analysis`.
"""

import argparse
from collections import defaultdict
from pathlib import Path
from statistics import mean

import matplotlib as mpl
import records
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from seq2seq.analysis.plots.style import COLOURS, MARKERS

HERE = Path(__file__).parent
GREY = "#808080"  # legible on light and on dark pages
METRICS = {"bleu": "BLEU", "bleu_lowercased": "BLEU, lowercased", "chrf2": "chrF2"}


def draw(rows: list[records.Row], metric: str) -> Figure:
    """A figure with a curve for each model."""
    found: dict[str, dict[float, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        found[row["model"]][row["budget"]].append(row[metric])
    figure = Figure(figsize=(6.4, 3.8), layout="constrained")
    axes = figure.subplots()
    for number, (model, budgets) in enumerate(found.items()):
        minutes, style = sorted(budgets), {"color": COLOURS[number], "marker": MARKERS[number]}
        axes.plot(minutes, [mean(budgets[each]) for each in minutes], **style, label=model)
        points = [(each, value) for each in minutes for value in budgets[each]]
        axes.plot(*zip(*points, strict=True), **style, linestyle="", markersize=3, alpha=0.6)
    axes.set_xscale("log")
    every = sorted({row["budget"] for row in rows})
    axes.set_xticks(every, [f"{each:g}" for each in every])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("CPU minutes of training", color=GREY)
    axes.set_ylabel(f"{METRICS[metric]} on the test set", color=GREY)
    axes.tick_params(colors=GREY)
    axes.grid(alpha=0.3)
    for spine in axes.spines.values():
        spine.set_color(GREY)
    axes.legend(frameon=False, labelcolor=GREY)
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = [HERE / "recurrent.jsonl", HERE / "transformer.jsonl"]
    parser.add_argument("records", nargs="*", type=Path, metavar="RECORD", default=default)
    parser.add_argument("--metric", choices=METRICS, default="bleu")
    parser.add_argument("--output", type=Path, required=True, help="file for the figure: .svg, .png or .pdf")
    options = parser.parse_args()
    rows = [row for record in options.records for row in records.read(record)]
    if not rows:
        raise SystemExit(f"no rows in {', '.join(map(str, options.records))}: run transformer.py and curve.py first.")
    mpl.rcParams["svg.hashsalt"] = "quality"  # the same records give the same file
    undated = {"metadata": {"Date": None}} if options.output.suffix == ".svg" else {}
    draw(rows, options.metric).savefig(options.output, transparent=True, **undated)


if __name__ == "__main__":
    main()
