"""Exact resume: a run that was interrupted again and again ends as one that was not.

Each run builds its graphs anew, as a process of its own would.
"""

import pytest

from seq2seq.training import StopReason, train
from tests.runs import InterruptAfter, assert_resumes_exactly, assert_same_run, final_state
from tests.toy import GATHERING, toy_config


@pytest.fixture(scope="module")
def whole(corpus, tmp_path_factory):
    """A run that nothing interrupts, of `GATHERING`."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    assert train(toy_config(corpus, training=GATHERING), folder).end
    return folder


def test_interruptions_change_nothing(corpus, whole, tmp_path):
    config = toy_config(corpus, training=GATHERING)
    for batches in (7, 1, 10):
        assert not train(config, tmp_path, [InterruptAfter(batches)]).end
    assert train(config, tmp_path).end
    assert_same_run(whole, tmp_path)


RESUMES = {
    "plateau and early stopping": {
        # A rate at which the loss soon gets worse, so that both counters run.
        "training": {
            "epochs": 8,
            "learning_rate": 0.4,
            "schedule": {"type": "plateau", "patience": 2, "factor": 0.5},
        },
        "validation": {"patience": 3, "interval_updates": 4},
    },
    "float16 loss scale": {
        "training": {"epochs": 2, "precision": "mixed_float16", "accumulation_steps": 2, "learning_rate": 0.01},
        "encoder": {"units": 12, "cell": "lstm"},
        "decoder": {"units": 12, "cell": "lstm"},
    },
}


@pytest.mark.parametrize("name", RESUMES)
def test_resume_is_exact(name, corpus, tmp_path, monkeypatch):
    if "float16" in name:
        # The scale must move within this short run, or restoring it would not be tested.
        monkeypatch.setattr("seq2seq.models.update.LOSS_SCALE_GROWTH_UPDATES", 3)
        monkeypatch.setattr("seq2seq.models.update.FIRST_LOSS_SCALE", 2.0**22)
    report = assert_resumes_exactly(toy_config(corpus, **RESUMES[name]), tmp_path / "whole", 18)
    arrays, progress = final_state(tmp_path / "whole")
    if "plateau" in name:
        assert final_state(tmp_path / "after-18")[1]["plateau_factor"] < 1
        assert progress["plateau_factor"] < 1
        assert report.end.reason is StopReason.PATIENCE
    if "float16" in name:
        assert arrays["update/loss_scale"] != 2.0**22
