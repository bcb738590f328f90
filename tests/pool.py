"""Compiled models that the runs of one process share: to trace the graphs of a toy run takes longer than to train it.

`tests/integration/conftest.py` has the fixture `shared_graphs`.
"""

from collections import OrderedDict
from typing import Any

from seq2seq.config import Config
from seq2seq.models import update
from seq2seq.models.base import DecoderModel
from seq2seq.training import setup
from seq2seq.training.checkpoints import restore, snapshot

KEPT = 12  # models
# Keys of `training` that no graph depends on. Of `recovery` the graph has `max_norm_ratio`.
NOT_IN_THE_GRAPH = {
    *("learning_rate", "schedule", "warm_start", "recovery", "epochs", "updates", "minutes"),
    *("checkpoint_minutes", "keep_last", "keep_best", "tensorboard"),
}


class Pool:
    """Hands out one model for all runs with the same graphs, each time as a fresh one would be.

    A fresh model is built and compiled each time, which is cheap, and everything that a step depends on is copied from
    it: the copy is the one that exact resume relies on.
    """

    def __init__(self) -> None:
        self.models: OrderedDict[tuple[Any, ...], DecoderModel] = OrderedDict()

    def make_model(self, config: Config, tokenizers, precision, replicas, display, is_new: bool) -> DecoderModel:
        """As `seq2seq.training.setup.make_compiled_model`."""
        fresh = setup.make_compiled_model(config, tokenizers, precision, replicas, display, is_new)
        key = graph_key(config, fresh, [tokenizer.vocabulary_size for tokenizer in tokenizers], replicas.num_replicas)
        model = self.models.setdefault(key, fresh)
        self.models.move_to_end(key)
        if len(self.models) > KEPT:
            self.models.popitem(last=False)
        if model is not fresh:
            restore(model, snapshot(fresh), "pool")
            model.stop_training, model.uses_consistency = False, True
        return model


def graph_key(config: Config, model: DecoderModel, vocabulary_sizes: list[int], replicas: int) -> tuple[Any, ...]:
    """Everything that the graphs of a run depend on, code that a test has put in the place of ours included."""
    options = config.model_dump(include={"task", "seed", "embeddings", "encoder", "decoder"})
    options["training"] = config.training.model_dump(exclude=NOT_IN_THE_GRAPH)
    options["max_norm_ratio"] = config.training.recovery.max_norm_ratio
    code = type(model).train_batch, type(model).loss_sums
    constants = (
        update.FIRST_LOSS_SCALE,
        update.LEAST_LOSS_SCALE,
        update.LOSS_SCALE_GROWTH_UPDATES,
        update.NORM_WARMUP_UPDATES,
    )
    return repr(options), model.precision, tuple(vocabulary_sizes), replicas, code, constants
