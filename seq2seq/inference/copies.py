"""Copies of translators and text generators by `pickle` and `copy.deepcopy`, with their weights but without graphs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from seq2seq.devices.device import set_up_device
from seq2seq.models.base import DecoderModel, assign_weights, named_weights


def reduce_with_model(owner: Any, *parts: Any, **state: Any) -> tuple[Any, ...]:
    """Value of `owner.__reduce__()`: make a copy by `type(owner)(model, *parts)`, then set the attributes `state`."""
    model = owner.model
    return _restore, (type(owner), type(model), model.get_config(), named_weights(model), parts), state


def _restore(
    owner: type, kind: type[DecoderModel], config: Mapping[str, Any], weights: Mapping[str, np.ndarray], parts: Any
) -> Any:
    set_up_device()  # before the model takes memory
    model = kind.from_config(config)
    assign_weights(model, weights, Path("pickle"))
    return owner(model, *parts)
