"""Trains one after the other what a test asks for, in a process of its own: TensorFlow's devices are set once.

Arguments: a folder with `train.tsv` and `valid.tsv`; a JSON list of [output, recipe sections]; number of CPU devices.
"""

import json
import sys
from pathlib import Path

import tensorflow as tf

from seq2seq.layers import Dropout, RandomStream
from seq2seq.training import train
from tests.toy import toy_config

if __name__ == "__main__":
    folder, runs, devices = Path(sys.argv[1]), json.loads(sys.argv[2]), int(sys.argv[3])
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * devices)
    for output, sections in runs:
        train(toy_config(folder, **sections), folder / output)
    if devices > 1:
        strategy, dropout = tf.distribute.MirroredStrategy(), Dropout(0.5, RandomStream(1), "test")
        masks = strategy.run(lambda: dropout(tf.ones([100]), training=True))
        print(json.dumps([mask.numpy().tolist() for mask in strategy.experimental_local_results(masks)]))
