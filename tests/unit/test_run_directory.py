"""Checkpoints of a run whose corpora may change."""

from types import SimpleNamespace

import pytest

from seq2seq.data.tokenizer import Tokenizers
from seq2seq.devices.replicas import Replicas
from seq2seq.errors import TrainingError
from seq2seq.model_directory import LAST
from seq2seq.model_directory.directory import create_model_directory
from seq2seq.models.build import build_model
from seq2seq.training.checkpoints import BEST, RunDirectory
from seq2seq.training.run_state import RunState
from tests.toy import toy_config, toy_tokenizer


def test_an_allowed_change_holds_for_every_older_checkpoint(tmp_path):
    """A rollback may go to one from before the change; in one from after it, the position in the epoch is right."""
    config, tokenizers = toy_config(tmp_path), Tokenizers(toy_tokenizer(), toy_tokenizer())
    create_model_directory(tmp_path, config, tokenizers)
    model = build_model(config, tokenizers)
    model.compile("adam")
    before, after = (SimpleNamespace(fingerprint=lambda text=text: text) for text in ("before", "after"))
    for name in (LAST, BEST):
        RunDirectory(tmp_path, config, model, before, Replicas()).save(name, RunState(batch=3))
    with pytest.raises(TrainingError, match="changed since this checkpoint was written"):
        RunDirectory(tmp_path, config, model, after, Replicas()).load(LAST)
    resumed = RunDirectory(tmp_path, config, model, after, Replicas(), allow_changes=True)
    assert resumed.load(LAST).batch == 0
    resumed.save(LAST, RunState(batch=2))
    assert resumed.load(LAST).batch == 2
    assert resumed.load(BEST).batch == 0
