"""The main combinations of options, each through the whole line: exact resume, then save, load and translate."""

import numpy as np
import pytest

from seq2seq.config import SearchOptions
from seq2seq.model_directory import load_model
from seq2seq.training import train
from seq2seq.translator import Translator
from tests.runs import assert_same_run, train_in_parts
from tests.toy import toy_config, write_corpus

EVERY_DROPOUT = {"dropout": 0.2, "recurrent_dropout": 0.2}
SENTENCES = ["the dog sees bird here", "", "the king loves cat and dog and tree there"]

COMBINATIONS = {
    "conditional": {
        "decoder": {"form": "conditional", "attention": "additive", "summary": "mean", "attention_dropout": 0.1,
                    **EVERY_DROPOUT},
        "training": {"ema": 0.9, "schedule": {"kind": "cosine", "decay_updates": 20, "warmup": 3}},
    },
    "input feeding": {
        "decoder": {"form": "input_feeding", "cell": "lstm", "layers": 2, "residual": "highway", **EVERY_DROPOUT,
                    "variational": True, "readout_dropout": 0.3},
        "embeddings": {"source_word_dropout": 0.1, "target_word_dropout": 0.1},
        "training": {"accumulate": 2},
    },
    "bideep, heads, frozen encoder": {
        "encoder": {"layers": 2, "bidirectional": "alternating", "transition_depth": 2, "layer_norm": True,
                    "variational": True, **EVERY_DROPOUT},
        "decoder": {"layers": 2, "transition_depth": 2, "heads": 2, "attention": "scaled_dot"},
        "training": {"freeze": ["encoder/layer_0/*"], "optimizer": "adamw", "weight_decay": 0.1},
    },
    "layer norm, coverage, bfloat16": {
        "encoder": {"cell": "layer_norm_lstm", "bidirectional": "all"},
        "decoder": {"cell": "layer_norm_gru", "attention": "additive", "coverage": True},
        "training": {"precision": "mixed_bfloat16", "schedule": {"kind": "step", "decay_start": 4, "decay_updates": 3}},
    },
    "no attention, float16": {
        "encoder": {"cell": "lstm"},
        "decoder": {"cell": "lstm", "attention": "none", "context": "every_step", "summary": "max"},
        "training": {"precision": "mixed_float16", "ema": 0.8},
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    write_corpus(folder)
    return folder


@pytest.mark.parametrize("name", COMBINATIONS)
def test_resume_is_exact_and_a_saved_model_translates_the_same(name, corpus, tmp_path):
    sections = {"validation": {"every_updates": 6}} | COMBINATIONS[name]
    sections["training"] = {"epochs": 2, "learning_rate": 0.01} | sections["training"]
    config = toy_config(corpus, **sections)
    assert train(config, tmp_path / "whole").finished
    train_in_parts(config, tmp_path / "parts", 7)
    assert_same_run(tmp_path / "whole", tmp_path / "parts")

    model, tokenizers, _ = load_model(tmp_path / "whole")
    options = SearchOptions(beam_size=2, n_best=2)
    translations = Translator(model, *tokenizers).translate(SENTENCES, options)
    for ours, theirs in zip(
        translations, Translator.load(tmp_path / "parts").translate(SENTENCES, options), strict=True
    ):
        assert [h.tokens for h in ours.hypotheses] == [h.tokens for h in theirs.hypotheses]
        assert ours.score == theirs.score
        np.testing.assert_array_equal(ours.attention, theirs.attention)
    assert translations[0].attention.shape[1] == (len(translations[0].source_tokens) if model.attends else 0)
