"""How open gates are."""

from collections.abc import Mapping

from seq2seq.extras import from_extra

with from_extra("analysis", needed_by=__name__):
    import pandas as pd
    from matplotlib.figure import Figure


def gate_histograms(tables: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw how the values of each gate are spread, one panel a gate, one outline a name.

    Args:
        tables: By name, as `before` and `after`, of `seq2seq.analysis.gates.histograms`; with the same gates.

    Raises:
        ValueError: There is no table.
    """
    if not tables:
        raise ValueError("found no table of histograms, expected at least one")
    gates = list(next(iter(tables.values()))["gate"].unique())
    figure = Figure(figsize=(2.9 * len(gates), 3.2), layout="constrained")
    panels = figure.subplots(1, len(gates), squeeze=False)[0]
    for axes, gate in zip(panels, gates, strict=True):
        for name, table in tables.items():
            rows = table[table["gate"] == gate]
            edges = [*rows["left"], rows["right"].iloc[-1]]
            axes.stairs(100 * rows["share"], edges, label=name, fill=len(tables) == 1, linewidth=1.6)
        function = table.loc[table["gate"] == gate, "function"].iloc[0]
        axes.set(title=gate, xlabel=f"value of the {function}")
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("share of values (%)")
    panels[0].legend()
    return figure
