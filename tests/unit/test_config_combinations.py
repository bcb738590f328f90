"""Recipes whose keys exclude each other, or mean nothing together: each says so, and its neighbours pass."""

import re
from pathlib import Path

import pytest

from seq2seq.config import load_config
from seq2seq.errors import ConfigError
from tests.recipes import write_recipe


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    return write_recipe(tmp_path)


ONE_KIND = "data.train: give one of: 'source' and 'target', 'tsv', 'phrasebook', or 'mixture'; found {}."
HELD_OUT = "data.valid: '{}' holds out a part of 'data.train', but '{}' names a corpus: leave out one of them."
MIXED_WEIGHTS = (
    "data.train: some parts of 'mixture' have a 'weight' and some have none: give every part a weight, or none."
)
TEMPERATURE = "data.train: 'temperature' is for a 'mixture' whose parts have no 'weight': leave it out."


def unread(option: str, summary: str) -> str:
    return (
        f"'encoder.{option}' changes only the top layer's outputs, which are not used: 'decoder.attention' is none, "
        f"and 'decoder.bridge: {summary}' reads the last states of the cells. Use 'decoder.bridge: mean' or 'max', or "
        "leave it out."
    )


COVERAGE = "decoder: 'coverage' needs 'attention: additive' with one head."


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ("data.train={source: a}", "data.train: 'source' and 'target' go together: give both files."),
        ("data.train={target: a, tsv: b}", ONE_KIND.format("'source' and 'target' and 'tsv'")),
        (
            "data.train={target: a}",
            "data: 'train': 'source' and 'target' go together: give both files; 'target' without 'source', here a, is "
            "for 'task: language_model'.",
        ),
        (
            "data.valid={mixture: [{tsv: b}, {target: c}]}",
            "data: 'valid': 'source' and 'target' go together: give both files; 'target' without 'source', here c, is "
            "for 'task: language_model'.",
        ),
        ("data.train={}", ONE_KIND.format("none")),
        ("data.train.tsv=a data.train.phrasebook=train", ONE_KIND.format("'tsv' and 'phrasebook'")),
        ("data.train.mixture=[{tsv: a}] data.train.tsv=b", ONE_KIND.format("'tsv' and 'mixture'")),
        ("data.train={mixture: []}", "data.train: 'mixture' is empty: give it a list of corpora."),
        (
            "data.train={mixture: [{tsv: a}, {}]}",
            "data.train.mixture.1: give one of: 'source' and 'target', 'tsv', or 'phrasebook'; found none.",
        ),
        ("data.train={mixture: [{tsv: a, weight: 2}, {tsv: b}]}", MIXED_WEIGHTS),
        ("data.train={mixture: [{tsv: a}, {tsv: b, weight: 2}]}", MIXED_WEIGHTS),
        ("data.train.temperature=2", TEMPERATURE),
        ("data.train={mixture: [{tsv: a, weight: 1}], temperature: 2}", TEMPERATURE),
        (
            "data.valid={mixture: [{tsv: a, weight: 1}]}",
            "data: 'valid' is read completely: leave out 'temperature' and the parts' 'weight'.",
        ),
        (
            "data.test={mixture: [{tsv: a}, {tsv: b}], temperature: 2}",
            "data: 'test' is read completely: leave out 'temperature' and the parts' 'weight'.",
        ),
        (
            "data.train={tsv: a, columns: [2, 2]}",
            "data.train: 'columns' names column 2 twice: give one column for source and one for target.",
        ),
        (
            "data.train={source: a, target: b, columns: [1, 2]}",
            "data.train: 'columns' is for 'tsv', found 'source' and 'target': leave it out, or give one "
            "file of columns as 'tsv'.",
        ),
        (
            "data.train={tsv: a, pairs: 9}",
            "data.train: 'pairs' is for 'phrasebook', found 'tsv': leave it out; to read a part of a file, make "
            "a file of that part, e.g. with `head -n 1000`.",
        ),
        (
            "data.test={phrasebook: test, header: true}",
            "data.test: 'header' is for 'tsv', found 'phrasebook': leave it out, and remove the header line from the "
            "file.",
        ),
        ("data.valid={}", "data.valid: name a corpus, or give 'fraction' or 'pairs' to hold out from 'data.train'."),
        (
            "data.valid={fraction: 0.1, pairs: 9}",
            "data.valid: give 'fraction' or 'pairs' to hold out from 'data.train', not both.",
        ),
        ("data.valid={tsv: a, pairs: 9}", HELD_OUT.format("pairs", "tsv")),
        ("data.valid={phrasebook: valid, fraction: 0.1}", HELD_OUT.format("fraction", "phrasebook")),
        ("data.valid={fraction: 0.1, temperature: 2}", HELD_OUT.format("fraction", "temperature")),
        ("data.valid={source: a}", "data.valid: 'source' and 'target' go together: give both files."),
        (
            "tokenizer.user_defined_symbols=[<a>, <b>, <a>]",
            "tokenizer.user_defined_symbols: '<a>' is empty, reserved or given twice.",
        ),
        (
            "tokenizer.from_model=runs/a tokenizer.source_model=b tokenizer.joint=true",
            "tokenizer: 'from_model' provides the tokenizers: leave out 'source_model'.",
        ),
        (
            "tokenizer.joint=true tokenizer.source_model=a tokenizer.target_model=b",
            "tokenizer: a joint tokenizer is one file: give 'source_model' and leave out 'target_model'.",
        ),
        (
            "tokenizer.source_model=b",
            "tokenizer: give both 'source_model' and 'target_model', or neither, or set 'joint: true'.",
        ),
        (
            "tokenizer.target_model=b",
            "tokenizer: give both 'source_model' and 'target_model', or neither, or set 'joint: true'.",
        ),
        ("encoder.units=51", "encoder: 'units' is 51: a bidirectional encoder needs an even number."),
        (
            "encoder.units=51 encoder.bidirectional=alternating",
            "encoder: 'units' is 51: a bidirectional encoder needs an even number.",
        ),
        (
            "decoder.attention=none decoder.type=cgru",
            "decoder: 'type: cgru' needs attention, but 'attention' is none.",
        ),
        ("decoder.attention=none decoder.heads=2", "decoder: 'heads: 2' needs attention, but 'attention' is none."),
        (
            "decoder.attention=none decoder.coverage=true",
            "decoder: 'coverage: True' needs attention, but 'attention' is none.",
        ),
        (
            "decoder.attention=none decoder.attention_dropout=0.1",
            "decoder: 'attention_dropout: 0.1' needs attention, but 'attention' is none.",
        ),
        (
            "decoder.attention=none decoder.attention_units=9",
            "decoder: 'attention_units: 9' needs attention, but 'attention' is none.",
        ),
        (
            "decoder.attention_units=9",
            "decoder: 'attention_units: 9' is for additive attention or several heads, but 'attention' is general "
            "with one head.",
        ),
        (
            "decoder.attention_units=9 decoder.attention=scaled_dot",
            "decoder: 'attention_units: 9' is for additive attention or several heads, but 'attention' is scaled_dot "
            "with one head.",
        ),
        (
            "encoder.variational_dropout=true encoder.recurrent_dropout=0.1",
            "encoder: 'variational_dropout: true' needs a 'dropout' above 0.",
        ),
        (
            "decoder.variational_dropout=true decoder.readout_dropout=0.1",
            "decoder: 'variational_dropout: true' needs a 'dropout' above 0.",
        ),
        (
            "decoder.cell=min_gru decoder.transition_depth=2",
            "decoder: 'transition_depth' is 2: 'cell: min_gru' computes its gates from its input, and only the first "
            "cell of a time step has one. Use 1; for a deeper network, raise 'layers'.",
        ),
        (
            "encoder.cell=min_lstm encoder.recurrent_dropout=0.2",
            "encoder: 'recurrent_dropout' is 0.2: 'cell: min_lstm' has no recurrent product to which it could apply. "
            "Use 0, and 'dropout' with 'variational_dropout: true'.",
        ),
        (
            "decoder.attention=none search.unk_handling=replace",
            "'search.unk_handling: replace' needs attention weights, but 'decoder.attention' is none.",
        ),
        (
            "decoder.attention=none search.coverage_penalty=0.2",
            "'search.coverage_penalty: 0.2' needs attention weights, but 'decoder.attention' is none.",
        ),
        ("decoder.attention=none encoder.layer_norm=true", unread("layer_norm: True", "dense")),
        (
            "decoder.attention=none decoder.bridge=copy decoder.layers=2 encoder.layers=2 encoder.residual=highway",
            unread("residual: highway", "copy"),
        ),
        ("decoder.attention=none encoder.dropout=0.1", unread("dropout: 0.1", "dense")),
        (
            "decoder.context=every_step",
            "decoder: 'context: every_step' is for 'attention: none', but 'attention' is general.",
        ),
        ("decoder.coverage=true", COVERAGE),
        ("decoder.coverage=true decoder.attention=additive decoder.heads=2", COVERAGE),
        ("decoder.heads=3", "decoder: 'heads' is 3, which does not divide the attention's width 256."),
        (
            "decoder.heads=4 decoder.attention_units=18",
            "decoder: 'heads' is 4, which does not divide the attention's width 18.",
        ),
        (
            "decoder.heads=2 decoder.attention=dot",
            "decoder: 'attention: dot' has no weights for several heads to learn: use general or scaled_dot.",
        ),
        (
            "training.schedule.type=inverse_sqrt",
            "training.schedule: 'inverse_sqrt' needs 'warmup_updates' of at least 1 update.",
        ),
        ("training.epochs=null", "training: give 'epochs', 'updates' or 'minutes', or training never ends."),
        (
            "training.weight_decay=0.1",
            "training: 'weight_decay' is for adamw and sgd, but 'optimizer' is adam.",
        ),
        ("training.momentum=0.9", "training: 'momentum' is for sgd, but 'optimizer' is adam."),
        (
            "training.consistency.weight=5",
            "training.consistency: 'type' is none, and the other keys have no effect: set 'type' to simcut, cutoff or "
            "r_drop.",
        ),
        (
            "training.consistency={type: r_drop, cut_rate: 0.1} encoder.dropout=0.1",
            "training.consistency: 'cut_rate' is for simcut and cutoff: r_drop zeroes no embeddings, so leave it out.",
        ),
        (
            "training.consistency={type: simcut, start_epoch: 50} training.epochs=1",
            "training: 'consistency.start_epoch' is 50, but 'epochs' is 1, so there is no second pass: lower "
            "'consistency.start_epoch', or set 'consistency.type' to none.",
        ),
        (
            "tokenizer.sampling.last_epoch=5",
            "tokenizer.sampling: neither alpha nor BPE-dropout is given, and 'last_epoch' has no effect: leave it out.",
        ),
        (
            "training.distillation.weight=0.1",
            "training.distillation: 'teachers' is empty, and the other keys have no effect: give it model directories.",
        ),
        (
            "training.consistency.type=r_drop",
            "'training.consistency.type: r_drop' compares two passes that differ in dropout, but the model has none: "
            "set 'decoder.dropout' or another dropout above 0, or use simcut.",
        ),
        (
            "training.momentum=0.9 training.optimizer=adamw",
            "training: 'momentum' is for sgd, but 'optimizer' is adamw.",
        ),
        (
            "training.schedule={type: plateau, decay_updates: 9}",
            "training.schedule: 'decay_updates' is for cosine and step, but 'type' is plateau.",
        ),
        (
            "training.schedule={type: inverse_sqrt, warmup_updates: 3, decay_start: 9}",
            "training.schedule: 'decay_start' is for cosine and step, but 'type' is inverse_sqrt.",
        ),
        (
            "training.schedule.decay_updates=9",
            "training.schedule: 'decay_updates' is for cosine and step, but 'type' is constant.",
        ),
        ("training.weight_decay_include=[biases]", "training: 'weight_decay_include' needs a 'weight_decay' above 0."),
        ("training.schedule.type=step", "training.schedule: 'step' needs 'decay_updates'."),
        (
            "training.schedule={type: cosine, decay_updates: 9, decay_start: 4, warmup_updates: 5}",
            "training.schedule: 'decay_start' 4 is within the 'warmup_updates' of 5 updates.",
        ),
        (
            "training.schedule={type: plateau, min_learning_rate: 0.1}",
            "training: 'schedule.min_learning_rate' 0.1 is above 'learning_rate' 0.001.",
        ),
        ("validation.compute_bleu=false", "validation: 'metric: bleu' needs 'compute_bleu: true'."),
        ("search.n_best=4 search.beam_size=3", "search: 'n_best' is 4, more than 'beam_size' 3."),
        ("search.beam_groups=2", "search: 'beam_size' is 5, not a multiple of 'beam_groups' 2."),
        (
            "search.beam_groups=5 search.sample=true",
            "search: 'beam_groups' is 5: it is for beam search, but 'sample' is true.",
        ),
        ("search.diversity_penalty=0.1", "search: 'diversity_penalty' is 0.1, but 'beam_groups' is 1."),
        ("search.top_k=3", "search: 'top_k' is 3: it is for sampling, but 'sample' is false."),
        ("search.top_p=0.5", "search: 'top_p' is 0.5: it is for sampling, but 'sample' is false."),
        ("search.temperature=2", "search: 'temperature' is 2.0: it is for sampling, but 'sample' is false."),
        ("search.max_length=3 search.min_length=4", "search: 'max_length' 3 is below 'min_length' 4."),
        ("embeddings.tied=all", "'embeddings.tied: all' needs 'tokenizer.joint: true'."),
        (
            "batching.max_tokens=99 data.filters.max_tokens=100",
            "'data.filters.max_tokens' is 100, more than 'batching.max_tokens' 99: such a sentence does not fit into "
            "any batch.",
        ),
        (
            "decoder.attention=scaled_dot decoder.units=24 encoder.units=36",
            "'decoder.attention: scaled_dot' multiplies decoder and encoder states: 'encoder.units' 36 and "
            "'decoder.units' 24 must be equal, or use 'general'.",
        ),
        (
            "decoder.bridge=copy decoder.cell=lstm",
            "'decoder.bridge: copy' passes the encoder's states on unchanged: 'encoder.cell' gru and 'decoder.cell' "
            "lstm must be equal, or use 'dense'.",
        ),
        (
            "decoder.bridge=copy encoder.layers=2",
            "'decoder.bridge: copy' passes the encoder's states on unchanged: 'encoder.layers' 2 and "
            "'decoder.layers' 1 must be equal, or use 'dense'.",
        ),
        (
            "decoder.bridge=copy decoder.units=24",
            "'decoder.bridge: copy' passes the encoder's states on unchanged: 'encoder.units' 256 and "
            "'decoder.units' 24 must be equal, or use 'dense'.",
        ),
        (
            "training.warm_start=runs/a",
            "'training.warm_start' needs the tokenizers that its embeddings were trained with: set "
            "'tokenizer.from_model' to the same directory, or give 'tokenizer.source_model'.",
        ),
    ],
)
def test_combinations_that_cannot_be(recipe: Path, overrides: str, expected: str) -> None:
    with pytest.raises(ConfigError) as error:
        load_config(recipe, re.split(r" (?=[a-z_]+\.)", overrides))
    assert str(error.value) == f"{recipe}: {expected}"


@pytest.mark.parametrize(
    "overrides",
    [
        "encoder.units=51 encoder.bidirectional=false",
        "encoder.units=50 encoder.bidirectional=alternating",
        "decoder.attention=none decoder.context=every_step",
        "decoder.attention=none decoder.bridge=max encoder.dropout=0.1 encoder.layer_norm=true",
        "decoder.attention=none encoder.layers=2 encoder.dropout=0.1",
        "decoder.attention=none encoder.residual=highway",
        "encoder.dropout=0.1 encoder.layer_norm=true search.unk_handling=replace search.coverage_penalty=0.2",
        "decoder.attention=additive decoder.attention_units=9",
        "encoder.variational_dropout=true encoder.dropout=0.1 decoder.variational_dropout=true decoder.dropout=0.1",
        "decoder.attention=additive decoder.coverage=true",
        "decoder.heads=4 decoder.attention_units=24",
        "decoder.heads=2 decoder.attention=scaled_dot decoder.units=24 encoder.units=36",
        "decoder.bridge=copy decoder.cell=layer_norm_gru",
        "data.train={mixture: [{tsv: a, weight: 2}, {phrasebook: train, weight: 1}]}",
        "data.train={mixture: [{tsv: a}, {tsv: b}], temperature: 5}",
        "data.valid={mixture: [{tsv: a}, {tsv: b}]}",
        "data.train={mixture: [{tsv: a, columns: [3, 1]}, {tsv: b, header: true}]}",
        "data.valid={fraction: 0.5}",
        "data.valid={pairs: 500}",
        "data.valid={phrasebook: valid, pairs: 500}",
        "tokenizer.from_model=runs/a training.warm_start=runs/a",
        "tokenizer.source_model=a tokenizer.joint=true training.warm_start=runs/a",
        "tokenizer.user_defined_symbols=[<a>,<b>]",
        "training.epochs=null training.updates=10",
        "training.epochs=null training.minutes=0.5",
        "training.schedule.type=cosine",
        "training.optimizer=adamw training.weight_decay=0.1 training.weight_decay_include=[norms]",
        "training.consistency.type=r_drop encoder.dropout=0.1",
        "training.distillation={teachers: [a, b], temperature: 2}",
        "training.consistency={type: simcut, start_epoch: 2} training.epochs=2",
        "training.consistency={type: simcut, start_epoch: 50} training.epochs=null training.minutes=5",
        "training.consistency={type: cutoff, cut_rate: 0.1, weight: 5}",
        "training.optimizer=sgd training.weight_decay=0.1 training.momentum=0.9",
        "training.schedule.type=cosine training.schedule.decay_updates=9 training.schedule.warmup_updates=5",
        "training.schedule.type=step training.schedule.decay_updates=9 training.schedule.decay_start=4",
        "training.schedule.min_learning_rate=0.1",
        "validation.compute_bleu=false validation.metric=loss",
        "embeddings.tied=all tokenizer.joint=true tokenizer.source_model=a",
        "tokenizer.source_model=a tokenizer.target_model=b",
        "decoder.attention=general decoder.units=24 encoder.units=36",
        "batching.max_tokens=100 data.filters.max_tokens=100",
        "search.n_best=5 search.length_penalty=average",
        "search.n_best=9 search.sample=true search.top_k=3 search.top_p=0.5 search.temperature=2",
        "search.max_length=4 search.min_length=4",
    ],
)
def test_neighbouring_combinations_are_accepted(recipe: Path, overrides: str) -> None:
    load_config(recipe, re.split(r" (?=[a-z_]+\.)", overrides))
