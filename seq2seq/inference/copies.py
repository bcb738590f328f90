"""Copies of translators and text generators by `pickle` and `copy.deepcopy`, with their weights but without graphs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from seq2seq.devices.device import set_up_device
from seq2seq.models.base import DecoderModel, assign_weights, named_weights


def reduce_with_models(owner: Any, models: Sequence[DecoderModel], *parts: Any, **state: Any) -> tuple[Any, ...]:
    """Value of `owner.__reduce__()`: make a copy by `type(owner)(models, *parts)`, then set the attributes `state`.

    A single model is passed by itself.
    """
    described = [(type(model), model.get_config(), named_weights(model)) for model in models]
    return _restore, (type(owner), described, parts), state


def _restore(
    owner: type, described: Sequence[tuple[type[DecoderModel], Mapping[str, Any], Mapping[str, np.ndarray]]], parts: Any
) -> Any:
    set_up_device()  # before the models take memory
    models = []
    for kind, config, weights in described:
        models.append(kind.from_config(config))
        assign_weights(models[-1], weights, Path("pickle"))
    return owner(models if len(models) > 1 else models[0], *parts)
