"""What other modules share graphs by: a used model trains as a new one, and a shared search reads its own model."""

import keras
import numpy as np
import pytest

from seq2seq import SearchOptions, Seq2Seq, Translator
from seq2seq.data.tokenizer import Tokenizers
from seq2seq.devices.replicas import Replicas
from seq2seq.inference import searcher
from seq2seq.training import train
from seq2seq.training.display import Display
from tests.conftest import randomize
from tests.pool import NOT_IN_THE_GRAPH, Pool
from tests.runs import assert_same_run
from tests.searches import SharedSearches
from tests.toy import toy_config, toy_tokenizer

EMA = {"ema_decay": 0.9, "accumulation_steps": 2, "epochs": 2}


class Stop(keras.callbacks.Callback):
    """After five batches, with weights that are no longer numbers."""

    def on_train_batch_end(self, batch, logs=None):
        if batch == 4:
            self.model.stop_training = True
            for weight in self.model.weights:
                weight.assign(weight * float("nan"))


def test_a_run_with_a_used_model_is_as_one_with_a_new_one(corpus, tmp_path, monkeypatch):
    config = toy_config(corpus, training=EMA)
    train(config, tmp_path / "new")
    pool = Pool()
    monkeypatch.setattr("seq2seq.training.run.make_compiled_model", pool.make_model)
    other = toy_config(corpus, training={**EMA, "learning_rate": 0.3, "epochs": 1}, validation={"patience": 3})
    assert train(other, tmp_path / "other", [Stop()]).end
    train(config, tmp_path / "used")
    assert_same_run(tmp_path / "new", tmp_path / "used")
    (model,) = pool.models.values()
    assert model.step_function().experimental_get_tracing_count() == 1
    assert model.loss_sums_function().experimental_get_tracing_count() == 1


def test_models_that_share_searches_keep_their_own_translations(tokenizer, searches, monkeypatch):
    sections = {"size": 6}, {"units": 8}, {"units": 8}
    lines, options, count = ["the dog sees the tree", "a cat"], SearchOptions(beam_size=2, max_length=9), 3

    def translations():
        models = [Seq2Seq(*[tokenizer.vocabulary_size] * 2, *sections) for _ in range(count)]
        for seed, model in enumerate(models):
            randomize(model, seed=seed, scale=0.7)
        translators = [Translator(model, tokenizer, tokenizer) for model in models]
        return [[one.score for one in translator.translate(lines, options)] for translator in translators]

    alone, shared = translations(), SharedSearches(searches.trace)
    monkeypatch.setattr(searcher, "trace_search", shared.trace_search)
    np.testing.assert_allclose(translations(), alone, rtol=1e-5)
    assert len(shared.graphs) == 1
    assert len(np.unique(np.round(alone, 3), axis=0)) == count, "the models differ"


@pytest.fixture(scope="module")
def tokenizer():
    return toy_tokenizer()


OTHERS = {
    "seed": {"seed": 5},
    "rate of dropout": {"encoder": {"dropout": 0.2}},
    "optimizer": {"training": {"optimizer": "sgd"}},
    "its numbers": {"training": {"beta_1": 0.8}},
    "accumulation": {"training": {"accumulation_steps": 2}},
    "clip norm": {"training": {"clip_norm": None}},
    "smoothing": {"training": {"label_smoothing": 0.0}},
    "consistency": {"training": {"consistency": {"type": "simcut"}}},
    "moving average": {"training": {"ema_decay": 0.9}},
    "norm ratio": {"training": {"recovery": {"max_norm_ratio": None}}},
    "frozen": {"training": {"freeze": ["encoder/*"]}},
}
SAME = {
    "learning rate": {"training": {"learning_rate": 0.5, "schedule": {"type": "inverse_sqrt", "warmup_updates": 9}}},
    "ends": {"training": {"updates": 3, "checkpoint_minutes": 1.0, "keep_last": 0, "keep_best": 0}},
    "recovery": {"training": {"recovery": {"max_skipped_updates": 2, "max_rollbacks": 1}}},
    "validation": {"validation": {"patience": 3, "compute_bleu": True}, "search": {"beam_size": 5}},
}


def models_of(tokenizer, *recipes):
    pool, tokenizers = Pool(), Tokenizers(tokenizer, tokenizer)
    for config, precision in recipes:
        pool.make_model(config, tokenizers, precision, Replicas(), Display(), is_new=True)
    return pool.models


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_in_the_graph_makes_another_model(name, corpus, tokenizer):
    recipes = (toy_config(corpus), "float32"), (toy_config(corpus, **OTHERS[name]), "float32")
    assert len(models_of(tokenizer, *recipes)) == 2


def test_another_precision_makes_another_model(corpus, tokenizer):
    recipe = toy_config(corpus)
    assert len(models_of(tokenizer, (recipe, "float32"), (recipe, "mixed_bfloat16"))) == 2


@pytest.mark.parametrize("name", SAME)
def test_what_is_not_in_the_graph_shares_a_model(name, corpus, tokenizer):
    recipes = (toy_config(corpus), "float32"), (toy_config(corpus, **SAME[name]), "float32")
    assert len(models_of(tokenizer, *recipes)) == 1


def test_what_is_left_out_of_the_key_is_a_key_of_recipes(corpus):
    assert set(type(toy_config(corpus).training).model_fields) >= NOT_IN_THE_GRAPH
