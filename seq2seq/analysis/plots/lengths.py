"""Quality over sentence length."""

from seq2seq.extras import requires_extra

with requires_extra("analysis", needed_by=__name__):
    import pandas as pd
    from matplotlib.figure import Figure


def plot_quality_by_length(table: pd.DataFrame, metric: str = "BLEU") -> Figure:
    """Draw a score with its 95% intervals over buckets of source length, one line a system.

    Args:
        table: Of `seq2seq.analysis.lengths.quality_by_length`.
        metric: One that the table has.

    Raises:
        ValueError: The table has not this metric.
    """
    chosen = table[table["metric"] == metric]
    if chosen.empty:
        raise ValueError(f"the table has no {metric!r}; it has {', '.join(table['metric'].unique())}")
    buckets = chosen.drop_duplicates("length")
    places = dict(zip(buckets["length"], range(len(buckets)), strict=True))
    systems = list(chosen["system"].unique())
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for number, system in enumerate(systems):
        rows = chosen[chosen["system"] == system]
        shift = 0.06 * (number - (len(systems) - 1) / 2)  # so that intervals stand side by side
        errors = [(rows["score"] - rows["low"]).clip(lower=0), (rows["high"] - rows["score"]).clip(lower=0)]
        x = [places[length] + shift for length in rows["length"]]
        axes.errorbar(x, rows["score"], yerr=errors, marker="o", capsize=3, label=system)
    names = [f"{name}\n{count} sentences" for name, count in zip(places, buckets["sentences"], strict=True)]
    axes.set_xticks(range(len(places)), names)
    axes.set(xlabel="source length (words)", ylabel=f"{metric} (%), 95% interval", ylim=(0, None))
    axes.grid(axis="y", alpha=0.3)
    figure.legend(loc="outside right upper")
    return figure
