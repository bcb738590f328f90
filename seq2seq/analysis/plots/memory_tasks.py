"""What cells remember, with the uncertainty of few seeds."""

import numpy as np

from seq2seq.extras import requires_extra

with requires_extra("analysis", needed_by=__name__):
    import pandas as pd
    from matplotlib.figure import Figure


def plot_memory_span(table: pd.DataFrame, unit: str = "steps") -> Figure:
    """Draw how far each cell remembers, mean over seeds and 95% interval, one panel a task.

    An open mark says that a seed solved the longest distance there was: the mean could be larger.

    Args:
        table: Of `seq2seq.analysis.memory_tasks.records.memory_span`.
        unit: Of the distances: steps of a task, words of a sentence.
    """
    tasks, cells = table["task"].unique(), list(table["cell"].unique())
    figure = Figure(figsize=(3.4 * len(tasks) + 1, 1.4 + 0.34 * len(cells)), layout="constrained")
    panels = figure.subplots(1, len(tasks), sharey=True, squeeze=False)[0]
    for axes, task in zip(panels, tasks, strict=True):
        rows = table[table["task"] == task]
        for row in rows.itertuples():
            error = [[row.mean - row.low], [row.high - row.mean]] if np.isfinite(row.low) else None
            fill = "white" if row.at_least else "C0"
            axes.errorbar(
                row.mean, cells.index(row.cell), xerr=error, fmt="o", color="C0", markerfacecolor=fill, capsize=3
            )
        axes.set(title=task, xlabel=f"remembers ({unit}), 95% interval")
        axes.set_xlim(left=-2)
        axes.grid(alpha=0.3)
    panels[0].set_yticks(range(len(cells)), cells)
    panels[0].invert_yaxis()
    return figure


def plot_scores_by_distance(
    scores: pd.DataFrame, chance_levels: dict[str, float] | None = None, unit: str = "steps"
) -> Figure:
    """Draw the mean score of each cell over the distance with all seeds as dots, one panel a task.

    Args:
        scores: Of `seq2seq.analysis.memory_tasks.records.run_experiments`; distances not tried are left out.
        chance_levels: By task, what guessing gets (0 to 1), drawn as a dotted line.
        unit: Of the distances: steps of a task, words of a sentence.
    """
    tried = scores.dropna(subset="score")
    tasks, cells = tried["task"].unique(), list(tried["cell"].unique())
    figure = Figure(figsize=(4 * len(tasks) + 1, 3.6), layout="constrained")
    panels = figure.subplots(1, len(tasks), sharey=True, squeeze=False)[0]
    for axes, task in zip(panels, tasks, strict=True):
        rows = tried[tried["task"] == task]
        for number, cell in enumerate(cells):
            own = rows[rows["cell"] == cell]
            mean = own.groupby("distance")["score"].mean()
            axes.plot(mean.index, 100 * mean, color=f"C{number}", label=cell)
            axes.plot(own["distance"], 100 * own["score"], ".", color=f"C{number}", alpha=0.6)
        if chance_levels and task in chance_levels:
            axes.axhline(100 * chance_levels[task], color="grey", linestyle=":", label="guessing")
        axes.set_xscale("log", base=2)
        distances = sorted(rows["distance"].unique())
        axes.set_xticks(distances, [str(distance) for distance in distances])
        axes.set(title=task, xlabel=f"distance ({unit})", ylim=(0, 103))
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("right answers (%)")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside right upper")
    return figure
