"""The main combinations of options, each through the whole line: exact resume, then save, load and translate."""

import numpy as np
import pytest

from seq2seq.config import ScheduleConfig, SearchOptions
from seq2seq.inference.translator import Translator
from tests.runs import assert_resumes_exactly
from tests.toy import toy_config

pytestmark = pytest.mark.usefixtures("shared_graphs")
EVERY_DROPOUT = {"dropout": 0.2, "recurrent_dropout": 0.2}
SENTENCES = ["the dog sees bird here", "", "the king loves cat and dog and tree there"]

COMBINATIONS = {
    "cgru": {
        "decoder": {"type": "cgru", "attention": "additive", "bridge": "mean", "attention_dropout": 0.1,
                    **EVERY_DROPOUT},
        "training": {"ema_decay": 0.9, "schedule": {"type": "cosine", "decay_updates": 20, "warmup_updates": 3},
                     "consistency": {"type": "simcut"}},
    },
    "input feeding": {
        "decoder": {"type": "input_feeding", "cell": "lstm", "layers": 2, "residual": "highway", **EVERY_DROPOUT,
                    "variational_dropout": True, "readout_dropout": 0.3},
        "embeddings": {"source_word_dropout": 0.1, "target_word_dropout": 0.1},
        "training": {"accumulation_steps": 2, "consistency": {"type": "r_drop", "start_epoch": 2}},
        "validation": {"interval_updates": 3},
    },
    "bideep, heads, frozen encoder": {
        "encoder": {"layers": 2, "bidirectional": "alternating", "transition_depth": 2, "layer_norm": True,
                    "variational_dropout": True, **EVERY_DROPOUT},
        "decoder": {"layers": 2, "transition_depth": 2, "heads": 2, "attention": "scaled_dot"},
        "training": {"freeze": ["encoder/layer_0/*"], "optimizer": "adamw", "weight_decay": 0.1},
    },
    "layer norm, coverage, bfloat16": {
        "encoder": {"cell": "layer_norm_lstm", "bidirectional": "all"},
        "decoder": {"cell": "layer_norm_gru", "attention": "additive", "coverage": True},
        "training": {"precision": "mixed_bfloat16", "schedule": {"type": "step", "decay_start": 4, "decay_updates": 3}},
    },
    "no attention, float16": {
        "encoder": {"cell": "lstm"},
        "decoder": {"cell": "lstm", "attention": "none", "context": "every_step", "bridge": "max"},
        "training": {"precision": "mixed_float16", "ema_decay": 0.8},
    },
    "parallel scan, exponential gates": {
        "encoder": {"cell": "min_gru", "layers": 2, "bidirectional": "alternating", "dropout": 0.2},
        "decoder": {"cell": "slstm", **EVERY_DROPOUT},
        "training": {"ema_decay": 0.9},
    },
    "subword sampling, in the first of two epochs": {
        "tokenizer": {"sampling": {"source_alpha": 0.05, "target_alpha": 0.05, "last_epoch": 1}},
        "training": {"accumulation_steps": 2, "schedule": {"type": "cosine"}},
    },
}  # fmt: skip


BY_HAND = ("bideep, heads, frozen encoder", "no attention, float16")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name in BY_HAND else ()) for name in COMBINATIONS]
)
def test_resume_is_exact_and_the_saved_model_translates(name, corpus, tmp_path):
    sections = {"validation": {"interval_updates": 6}} | COMBINATIONS[name]
    sections["training"] = {"epochs": 2, "learning_rate": 0.01} | sections["training"]
    config = toy_config(corpus, **sections)
    report = assert_resumes_exactly(config, tmp_path / "whole", 8)
    if (schedule := config.training.schedule) == ScheduleConfig(type="cosine"):  # which ends with the run
        assert report.history[-1]["learning_rate"] == pytest.approx(schedule.min_learning_rate)
    consistency = config.training.consistency
    for entry in report.history:
        measured = consistency.type != "none" and entry["epoch"] >= consistency.start_epoch
        assert ("train_consistency" in entry) == measured

    # What is read back translates a sentence alone as it does among others.
    translator, options = Translator.load(tmp_path / "after-8"), SearchOptions(beam_size=2, n_best=2)
    together, rounding = translator.translate(SENTENCES, options), 2e-2 if "float16" in name else 1e-4
    for translation, sentence in zip(together, SENTENCES, strict=True):
        (alone,) = translator.translate([sentence], options)
        assert [h.tokens for h in alone.hypotheses] == [h.tokens for h in translation.hypotheses]
        assert alone.score == pytest.approx(translation.score, abs=rounding)
        np.testing.assert_allclose(alone.attention, translation.attention, atol=rounding)
    sources = len(together[0].source_tokens) if translator.model.uses_attention else 0
    assert together[0].attention.shape[1] == sources
