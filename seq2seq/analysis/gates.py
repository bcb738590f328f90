"""Gates and candidates of a cell over real sequences: how open they are, and how many stand at an end of their range.

Where a sigmoid or a tanh is close to one of its ends its slope is close to 0, and so is the share of a gradient that
passes through it.
"""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from seq2seq.analysis.gradients import flatten_steps, unroll
from seq2seq.arguments import NotEmpty, check_arguments
from seq2seq.extras import require_extra
from seq2seq.layers.cells.base import record_activations

with require_extra("analysis", needed_by=__name__):
    import pandas as pd

# Below and above these, a value counts as at an end of the function's range.
SATURATION_BOUNDS = {"sigmoid": (0.1, 0.9), "tanh": (-0.9, 0.9), "relu": (0.0, np.inf)}


class GateValues(NamedTuple):
    """A gate or candidate over sequences, NaN at padding.

    function        sigmoid, tanh or relu
    preactivations  (B, T, U), what the function is applied to
    values          (B, T, U)
    """

    function: str
    preactivations: np.ndarray
    values: np.ndarray

    def derivatives(self) -> np.ndarray:
        """The function's derivative at each place, (B, T, U): the share of a gradient that passes."""
        if self.function == "sigmoid":
            return self.values * (1 - self.values)
        if self.function == "tanh":
            return 1 - self.values**2
        return np.where(np.isnan(self.values), np.nan, (self.values > 0).astype(self.values.dtype))


@check_arguments()
def gate_values(
    cell: keras.layers.Layer,
    inputs: np.ndarray | tf.Tensor,
    lengths: Sequence[int] | np.ndarray | None = None,
    initial: Sequence[np.ndarray] | None = None,
) -> dict[str, GateValues]:
    """Every gate and candidate of a cell, by the names that the cell gives them in its step.

    Of a deep transition, whose cells share their names, they are numbered: `update`, `update 2`, ... A clockwork's
    candidates are those of all groups, also where a group keeps its state.

    Args:
        cell, inputs, initial: See `unroll`.
        lengths: (B,), 1 to T; T by default.

    Raises:
        ValueError: See `unroll`; or the cell names none of its activations.
    """
    run = unroll(cell, inputs, initial)
    with record_activations() as found:
        cell.step(*flatten_steps(run))
    if not found:
        raise ValueError(
            f"{type(cell).__name__} names no gates: its step has to compute them by `sigmoid`, `tanh` or `activate` "
            "of seq2seq.layers.cells.base"
        )
    steps, rows = run.projected.shape[:2]
    padding = np.arange(steps) >= np.reshape([steps] * rows if lengths is None else lengths, [rows, 1])

    def over_time(values: tf.Tensor) -> np.ndarray:
        array = np.asarray(values).reshape(steps, rows, -1).swapaxes(0, 1).copy()
        array[padding] = np.nan
        return array

    gates: dict[str, GateValues] = {}
    times: Counter[str] = Counter()
    for name, function, *tensors in found:
        times[name] += 1
        gates[name if times[name] == 1 else f"{name} {times[name]}"] = GateValues(function, *map(over_time, tensors))
    return gates


@check_arguments()
def saturation(gates: dict[str, GateValues]) -> pd.DataFrame:
    """How much of each gate stands at an end of its range.

    Returns:
        One row a gate: gate, function, mean (of the values), `low` and `high` (shares, 0 to 1, of values below and
        above `SATURATION_BOUNDS`: 0.1 and 0.9 of a sigmoid, -0.9 and 0.9 of a tanh; of a relu `low` is the share of
        zeros), `saturated` (both shares together) and `slope` (the mean of the derivative).
    """
    rows = []
    for name, gate in gates.items():
        values = gate.values[~np.isnan(gate.values)]
        below, above = SATURATION_BOUNDS[gate.function]
        low = (values <= below).mean() if gate.function == "relu" else (values < below).mean()
        high = (values > above).mean()
        rows.append((name, gate.function, values.mean(), low, high, low + high, np.nanmean(gate.derivatives())))
    return pd.DataFrame(rows, columns=["gate", "function", "mean", "low", "high", "saturated", "slope"])


@check_arguments()
def histograms(gates: NotEmpty[dict[str, GateValues]], bins: int = 20) -> pd.DataFrame:
    """How the values of each gate are spread over its range, in bins of equal width.

    Returns:
        One row for each gate and bin: gate, function, left and right end of the bin, and its share of the gate's values
        (0 to 1). A sigmoid's bins span 0 to 1, a tanh's -1 to 1, a relu's 0 to its largest value.

    Raises:
        ValueError: `bins` is below 1.
    """
    if bins < 1:
        raise ValueError(f"bins is {bins}, expected at least 1")
    tables = []
    for name, gate in gates.items():
        values = gate.values[~np.isnan(gate.values)]
        span = {"sigmoid": (0.0, 1.0), "tanh": (-1.0, 1.0), "relu": (0.0, float(values.max()))}[gate.function]
        counts, edges = np.histogram(values, bins, span)
        shares = counts / values.size
        table = {"gate": name, "function": gate.function, "left": edges[:-1], "right": edges[1:], "share": shares}
        tables.append(pd.DataFrame(table))
    return pd.concat(tables, ignore_index=True)
