"""Train the Keras way, with `compile`, `fit` and callbacks, and save the translator.

python examples/keras_fit.py pairs.tsv runs/keras --epochs 30   source<TAB>target lines
python examples/keras_fit.py                                    pairs of the phrasebook, English to German
"""

import argparse
from pathlib import Path

import keras

from seq2seq import (
    CorpusConfig,
    DecoderConfig,
    EmbeddingsConfig,
    EncoderConfig,
    Seq2Seq,
    Translator,
    make_dataset,
    open_corpus,
)

parser = argparse.ArgumentParser()
parser.add_argument("tsv", nargs="?", help="file of source<TAB>target lines")
parser.add_argument("output", nargs="?", default="runs/keras", help="model directory to create")
parser.add_argument("--epochs", type=int, default=20)
parser.add_argument("--units", type=int, default=128)
given = parser.parse_args()
if Path(given.output).exists():
    parser.error(f"{given.output} exists already: give another output")

corpus = CorpusConfig(tsv=given.tsv) if given.tsv else CorpusConfig(phrasebook="train", pairs=5000, lexicon="basic")
pairs = [(pair.source, pair.target) for pair in open_corpus(corpus)]  # any list of (source, target)
unseen = set(sorted({source for source, _ in pairs})[::20])  # held out by source: no sentence is in both sets
train = [pair for pair in pairs if pair[0] not in unseen]
valid = [pair for pair in pairs if pair[0] in unseen]
batches, tokenizers = make_dataset(train)

model = Seq2Seq(
    *tokenizers.vocabulary_sizes,
    EmbeddingsConfig(size=given.units, dropout=0.1),
    EncoderConfig(units=given.units, dropout=0.1),
    DecoderConfig(units=given.units, dropout=0.1),
)
model.compile(keras.optimizers.Adam(3e-3), label_smoothing=0.1)  # the loss is the model's own
model.fit(
    batches,
    validation_data=make_dataset(valid, tokenizers).batches,
    epochs=given.epochs,
    shuffle=False,  # the dataset reshuffles itself in each epoch
    callbacks=[
        keras.callbacks.EarlyStopping("val_nll", mode="min", patience=3, restore_best_weights=True),
        # To continue: keras.models.load_model(...).fit(...). The file has no tokenizers: `Translator.save` adds them.
        keras.callbacks.ModelCheckpoint(f"{given.output}.keras", "val_nll", mode="min", save_best_only=True),
    ],
)

translator = Translator(model, *tokenizers)
for (source, reference), translation in zip(valid[:5], translator.translate([s for s, _ in valid[:5]]), strict=True):
    print(f"\nsource     {source}\nreference  {reference}\nhypothesis {translation.text}")
translator.save(given.output)
print(f"\nsaved: Translator.load({given.output!r}), or seq2seq translate {given.output}")
