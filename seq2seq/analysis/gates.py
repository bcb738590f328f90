"""Gates and candidates of a cell over real sequences: their values, saturation and histograms.

Where a sigmoid or a tanh is close to an end of its range, its slope is close to 0, and so is the share of a gradient
that passes through it.
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

# Values below and above these count as saturated.
SATURATION_BOUNDS = {"sigmoid": (0.1, 0.9), "tanh": (-0.9, 0.9), "relu": (0.0, np.inf)}


class GateValues(NamedTuple):
    """Values of a gate or candidate over sequences, NaN at padding.

    Attributes:
        function: `sigmoid`, `tanh` or `relu`.
        preactivations: (B, T, U), inputs of the function.
        values: (B, T, U).
    """

    function: str
    preactivations: np.ndarray
    values: np.ndarray

    def derivatives(self) -> np.ndarray:
        """Derivative of the function at each preactivation, (B, T, U): the share of a gradient that passes."""
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
    """Values of every gate and candidate of a cell, by their names in the cell's step.

    In a deep transition, whose cells share names, they are numbered: `update`, `update 2`, ... For a clockwork RNN, the
    candidates include those of groups that keep their state.

    Args:
        cell: See `unroll`.
        inputs: See `unroll`.
        lengths: (B,), 1 to T; T by default.
        initial: See `unroll`.

    Raises:
        ValueError: See `unroll`; or the cell names none of its activations.
    """
    run = unroll(cell, inputs, initial)
    with record_activations() as found:
        cell.step(*flatten_steps(run))
    if not found:
        raise ValueError(
            f"{type(cell).__name__} has no named gates: compute them in its `step` by `sigmoid`, `tanh` or `activate` "
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
    """Share of each gate's values that are saturated.

    Returns:
        One row per gate: gate, function, mean (of the values), `low` and `high` (shares, 0 to 1, of values below and
        above `SATURATION_BOUNDS`: 0.1 and 0.9 for a sigmoid, -0.9 and 0.9 for a tanh; for a relu, `low` is the share of
        zeros), `saturated` (the sum of both shares) and `slope` (the mean of the derivative).
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
    """Histograms of the values of each gate, with bins of equal width over its range.

    Returns:
        One row per gate and bin: gate, function, `left` and `right` (ends of the bin) and `share` (of the gate's
        values, 0 to 1). The bins of a sigmoid span 0 to 1, those of a tanh -1 to 1, those of a relu 0 to its largest
        value.

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
