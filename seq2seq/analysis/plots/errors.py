"""Figures of errors: words by frequency, sentences by score and length, two systems side by side."""

from collections.abc import Mapping

import numpy as np

from seq2seq.extras import requires_extra

with requires_extra("analysis", needed_by=__name__):
    import pandas as pd
    from matplotlib.figure import Figure


def plot_accuracy_by_frequency(systems: Mapping[str, pd.DataFrame], measure: str = "recall") -> Figure:
    """Draw a measure of words by how frequent they are in the training text, with 95% intervals.

    Args:
        systems: For each name a table from `accuracy_by_frequency`, all with the same edges.
        measure: `recall`, `precision` or `f1`.
    """
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    width = 0.8 / len(systems)
    for number, (name, table) in enumerate(systems.items()):
        x = np.arange(len(table)) + width * (number - (len(systems) - 1) / 2)
        share, low, high = (100 * table[column].to_numpy() for column in (measure, f"{measure}_low", f"{measure}_high"))
        axes.bar(x, share, width, yerr=np.maximum([share - low, high - share], 0), capsize=3, label=name)
    first = next(iter(systems.values()))
    sizes = first["hypothesis" if measure == "precision" else "reference"]
    labels = [f"{words}\n({size:,})" for words, size in zip(first["words"], sizes, strict=True)]
    axes.set_xticks(range(len(labels)), labels)
    whose = {"recall": "reference", "precision": "translated"}.get(measure, "reference")
    axes.set(
        xlabel=f"how often training had the word (number of {whose} words)",
        ylabel={"f1": "F1"}.get(measure, measure) + " (%)",
        ylim=(0, 103),
    )
    if len(systems) > 1:
        axes.legend()
    return figure


def plot_scores_and_lengths(errors: pd.DataFrame) -> Figure:
    """Draw how sentence-level chrF2 is spread, and the lengths of translations and references.

    Args:
        errors: From `sentence_errors`.
    """
    figure = Figure(figsize=(10, 4), layout="constrained")
    scores, lengths = figure.subplots(1, 2)
    scores.hist(errors["chrf"], bins=np.arange(0, 101, 5))
    scores.set(xlabel="chrF2 of a sentence (0 to 100)", ylabel="sentences", xlim=(0, 100))
    looped = errors["looped"] > 0
    for chosen, label in ((~looped, "no loop"), (looped, "says something twice in a row")):
        part = errors[chosen]
        if len(part):
            lengths.scatter(part["reference_words"], part["hypothesis_words"], s=12, alpha=0.4, label=label)
    longest = max(errors["reference_words"].max(), errors["hypothesis_words"].max())
    lengths.plot([0, longest], [0, longest], color="grey", linestyle=":", label="as long as the reference")
    lengths.set(xlabel="words of the reference", ylabel="words of the translation")
    lengths.legend()
    return figure


def plot_score_comparison(comparison: pd.DataFrame, first: str, second: str) -> Figure:
    """Draw the two scores of each sentence that two systems translate differently.

    Args:
        comparison: From `compare_sentences`.
        first, second: The systems' names.
    """
    figure = Figure(figsize=(5, 5), layout="constrained")
    axes = figure.subplots()
    better = comparison["gain"] > 0
    for chosen, name in ((better, second), (comparison["gain"] < 0, first)):
        part = comparison[chosen]
        axes.scatter(part["chrf_first"], part["chrf_second"], s=14, alpha=0.6, label=f"{name} is closer ({len(part)})")
    axes.plot([0, 100], [0, 100], color="grey", linestyle=":")
    axes.set(xlabel=f"chrF2 with {first}", ylabel=f"chrF2 with {second}", xlim=(0, 102), ylim=(0, 102), aspect="equal")
    axes.legend()
    return figure
