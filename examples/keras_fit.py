"""Train the way Keras does, with `compile`, `fit` and callbacks, and keep the translator.

python examples/keras_fit.py pairs.tsv runs/keras --epochs 30   source<TAB>target lines
python examples/keras_fit.py                                    pairs of the embedded corpus, English to German
"""

import argparse

import keras

from seq2seq import (
    CorpusConfig,
    DecoderConfig,
    EmbeddingsConfig,
    EncoderConfig,
    Seq2Seq,
    Tokenizer,
    TokenizerConfig,
    Translator,
    open_corpus,
)

parser = argparse.ArgumentParser()
parser.add_argument("tsv", nargs="?", help="file of source<TAB>target lines")
parser.add_argument("output", nargs="?", default="runs/keras", help="model directory; not there yet, or empty")
parser.add_argument("--epochs", type=int, default=20)
parser.add_argument("--vocabulary-size", type=int, default=1000)
parser.add_argument("--units", type=int, default=128)
given = parser.parse_args()

keras.utils.set_random_seed(1)  # the order of batches
corpus = CorpusConfig(tsv=given.tsv) if given.tsv else CorpusConfig(phrasebook="train", pairs=5000, lexicon="basic")
sources, targets = zip(*((pair.source, pair.target) for pair in open_corpus(corpus)), strict=True)
tokenizer = Tokenizer.train([*sources, *targets], TokenizerConfig(joint=True, vocabulary_size=given.vocabulary_size))


def token_ids(sentences):
    """(sentences, longest) int32, EOS at the end of each, then padding."""
    ids = [[*line, tokenizer.eos_id] for line in tokenizer.encode_batch(sentences)]
    return keras.utils.pad_sequences(ids, padding="post", dtype="int32")


source, target = token_ids(sources), token_ids(targets)
held_out = len(source) // 20
model = Seq2Seq(
    tokenizer.vocabulary_size,
    tokenizer.vocabulary_size,
    EmbeddingsConfig(size=given.units, tied="all", dropout=0.1),
    EncoderConfig(units=given.units, dropout=0.1),
    DecoderConfig(units=given.units, dropout=0.1),
)
model.compile(keras.optimizers.Adam(3e-3), label_smoothing=0.1)  # the loss is the model's own
model.fit(
    source[held_out:],
    target[held_out:],
    validation_data=(source[:held_out], target[:held_out]),
    batch_size=64,
    epochs=given.epochs,
    callbacks=[
        keras.callbacks.EarlyStopping("val_nll", patience=3, restore_best_weights=True),
        # Resumes: keras.models.load_model(...).fit(...). It has no tokenizer, so it does not translate text by itself.
        keras.callbacks.ModelCheckpoint(f"{given.output}.keras", "val_nll", save_best_only=True),
    ],
)

translator = Translator(model, tokenizer, tokenizer)
for text, translation in zip(sources[:5], translator.translate(sources[:5]), strict=True):
    print(f"{text} -> {translation.text}")
translator.save(given.output)
print(f"kept: Translator.load({given.output!r}), or seq2seq translate {given.output}")
