"""Trains one after the other what a test asks for, in a process of its own: TensorFlow's devices are set once.

Arguments: a folder with `train.tsv` and `valid.tsv`; a JSON list of [output, recipe sections]; number of CPU devices.
With an empty list it makes some updates instead.
"""

import json
import sys
from pathlib import Path

from tests import no_plots  # noqa: F401

# isort: split

import keras
import numpy as np
import tensorflow as tf

from seq2seq.config import DecoderConfig, EmbeddingsConfig, EncoderConfig
from seq2seq.layers import Dropout, RandomStream
from seq2seq.models import update
from seq2seq.models.translation import Seq2Seq
from seq2seq.training import train
from tests.toy import toy_config


def updates(strategy: tf.distribute.Strategy) -> tuple[int, list[float]]:
    """How often the replicas add something up in an update, and the output layer's biases after two of them."""
    sizes = EmbeddingsConfig(size=4), EncoderConfig(units=4), DecoderConfig(units=4)
    with strategy.scope():
        model, optimizer = Seq2Seq(9, 9, *sizes), keras.optimizers.SGD(0.1, momentum=0.5)
    model.compile(optimizer)
    graph = model.step_function().get_concrete_function().graph.as_graph_def()
    nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
    for _ in range(2):
        model.step_function()(*(tf.constant([ids]) for ids in ([4, 3], [5, 6, 3], [7, 8, 3], [4, 3])))
    count = sum(node.op == "CollectiveReduceV2" for node in nodes) // strategy.num_replicas_in_sync
    return count, np.array(model.output_bias).tolist()


if __name__ == "__main__":
    folder, runs, devices = Path(sys.argv[1]), json.loads(sys.argv[2]), int(sys.argv[3])
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})  # it takes longer than it saves
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * devices)
    for output, sections in runs:
        train(toy_config(folder, **sections), folder / output)
    if devices > 1:
        strategy, dropout = tf.distribute.MirroredStrategy(), Dropout(0.5, RandomStream(1), "test")
        masks = strategy.run(lambda: dropout(tf.ones([100]), training=True))
        of_each = [mask.numpy().tolist() for mask in strategy.experimental_local_results(masks)]
        found = []
        if not runs:
            found.append(updates(strategy))
            update.ALL_REDUCE_METHOD = "name_of_tomorrow"  # as if Keras had renamed what is stopped from summing
            found.append(updates(strategy))
        print(json.dumps({"masks": of_each, "updates": found}))
