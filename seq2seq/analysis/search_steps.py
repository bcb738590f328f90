"""A recorded beam search to step through in a notebook: with a slider, or as a still picture where there is none."""

import base64
import io
from collections.abc import Container
from typing import Any

from seq2seq.analysis.plots.search_trees import NODES, plot_search_tree
from seq2seq.analysis.search_tree import path_from_root
from seq2seq.arguments import NonNegative, check_arguments
from seq2seq.errors import ArgumentError, MissingExtraError
from seq2seq.extras import require_extra
from seq2seq.notebook_html import html_note, html_table
from seq2seq.plurals import pluralize

with require_extra("analysis", needed_by=__name__):
    import pandas as pd

FATES = {status: name for status, (name, *_) in NODES.items()}  # as the legend of the tree names them
DOTS_PER_INCH = 100


class SearchSteps:
    """Display of a beam search, step by step.

    As the last value of a notebook's cell, it has a slider and a play button if ipywidgets is installed (extra
    `notebooks`): for the chosen step, they show the tree so far, and a table of the candidates that the search ranked.
    Without ipywidgets, in stored outputs and on pages without a kernel, it is a picture of the whole tree.

    Args:
        tree: Result of `seq2seq.analysis.search_tree.search_tree`.
        max_pruned: Maximum number of pruned candidates to draw per step; by default all. The table has all of them.

    Attributes:
        last_step: Number of steps of the search.
    """

    @check_arguments()
    def __init__(self, tree: pd.DataFrame, max_pruned: NonNegative | None = None) -> None:
        self.tree, self.max_pruned = tree, max_pruned
        self.last_step = int(tree["step"].max())

    @check_arguments()
    def candidates(self, step: NonNegative) -> pd.DataFrame:
        """The candidates of a step, best first.

        Returns:
            One row per node of the tree; the index is its number. Columns are `hypothesis` (tokens from the root,
            separated by spaces), `log_prob` (of the last token, nats), `total` (of all tokens, nats), `score` (of a
            hypothesis that has ended; NaN for others) and `status` (`kept`, `finished` or `pruned`).

        Raises:
            ArgumentError: The search has fewer steps.
        """
        if step > self.last_step:
            raise ArgumentError(f"step is {step}, and the search has {self.last_step}: choose 0 to {self.last_step}.")
        rows = self.tree[self.tree["step"] == step]
        paths = [path_from_root(self.tree, node) for node in rows.index]
        texts = [" ".join(self.tree.loc[path[1:] or path, "token"]) for path in paths]
        table = rows[["log_prob", "total", "score"]].assign(status=rows["status"].map(FATES))
        table.insert(0, "hypothesis", texts)
        return table

    @check_arguments()
    def picture(self, until: NonNegative | None = None) -> bytes:
        """The tree up to a step, by default the whole one, as a PNG picture. All pictures have the same size."""
        buffer = io.BytesIO()
        figure = plot_search_tree(self.tree, self.max_pruned, until=until)
        figure.savefig(buffer, format="png", dpi=DOTS_PER_INCH)
        return buffer.getvalue()

    @check_arguments()
    def describe(self, step: NonNegative) -> str:
        """HTML of a sentence about a step and of the table of its candidates.

        Raises:
            ArgumentError: See `candidates`.
        """
        table = self.candidates(step)
        counts = [f"{number} {fate}" for fate in FATES.values() if (number := int((table["status"] == fate).sum()))]
        if step == 0:
            note = "Step 0: the search starts from <s>."
        else:
            note = f"Step {step} of {self.last_step}: {pluralize(len(table), 'candidate')} ranked, {', '.join(counts)}."
        rows = [
            (
                rank,
                row.hypothesis,
                f"{row.log_prob:.3f}",
                f"{row.total:.3f}",
                "" if pd.isna(row.score) else f"{row.score:.3f}",
                row.status,
            )
            for rank, row in enumerate(table.itertuples())
        ]
        header = ["rank", "hypothesis", "log_prob", "total", "score", ""]
        return html_note(note) + html_table(rows, header, numeric=(0, 2, 3, 4))

    def widget(self) -> Any:
        """The slider, play button, picture and table, as a widget of ipywidgets.

        Raises:
            MissingExtraError: ipywidgets is not installed.
        """
        with require_extra("notebooks", needed_by="A slider over the steps of a search"):
            import ipywidgets

        first = min(1, self.last_step)
        step = ipywidgets.IntSlider(first, 0, self.last_step, description="step")
        play = ipywidgets.Play(value=first, min=0, max=self.last_step, interval=1500)  # ms per step
        picture, table = ipywidgets.Image(format="png"), ipywidgets.HTML()

        def show(_: object = None) -> None:
            picture.value, table.value = self.picture(step.value), self.describe(step.value)

        ipywidgets.jslink((play, "value"), (step, "value"))
        step.observe(show, "value")
        show()
        return ipywidgets.VBox([ipywidgets.HBox([play, step]), picture, table])

    def _repr_mimebundle_(
        self, include: Container[str] | None = None, exclude: Container[str] | None = None
    ) -> dict[str, Any]:
        """What Jupyter shows: the best form that it knows, which is the picture once the kernel is gone."""
        bundle = {"text/plain": repr(self), "image/png": base64.b64encode(self.picture()).decode("ascii")}
        try:
            return self.widget()._repr_mimebundle_() | bundle
        except MissingExtraError:
            return bundle

    def __repr__(self) -> str:
        return f"SearchSteps({pluralize(self.last_step, 'step')}, {pluralize(len(self.tree), 'node')})"
