"""An ensemble with 8-bit decoders, a shortlist and a language model: scores by the definition, model by model."""

import numpy as np
import pytest
import tensorflow as tf

from seq2seq.config import DecoderConfig, EmbeddingsConfig, EncoderConfig, SearchOptions, TokenizerConfig
from seq2seq.data.tokenizer import BOS_ID, EOS_ID, Tokenizer, Tokenizers
from seq2seq.inference.int8 import load_int8_decoder, quantize_decoder
from seq2seq.inference.shortlist import shortlist_from_pairs
from seq2seq.inference.translator import Translator
from seq2seq.model_directory.directory import create_model_directory
from seq2seq.models.build import build_model
from seq2seq.models.translation import Seq2Seq
from tests.conftest import randomize
from tests.reference import log_softmax
from tests.toy import language_model_config, pairs, save, save_trained

pytestmark = pytest.mark.usefixtures("shared_searches")

MEMBERS = (
    ({}, {"attention": "additive"}),
    ({"cell": "lstm", "units": 4}, {"units": 9, "layers": 2}),
    ({}, {"attention": "none", "units": 6}),
)
WEIGHTS, LM_WEIGHT, SIZE = (2.0, 1.0, 1.0), 0.6, 45
SENTENCES = ["the dog sees bird here", "bird"]


@pytest.fixture(scope="module")
def language_model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lm") / "lm"
    tokenizer = Tokenizer.train(
        [side for pair in pairs(200, 1) for side in pair], TokenizerConfig(vocabulary_size=SIZE)
    )
    tokenizers, config = Tokenizers(tokenizer, tokenizer), language_model_config(folder.parent)
    model = build_model(config, tokenizers)
    randomize(model, seed=8, scale=0.7)
    create_model_directory(folder, config, tokenizers)
    save_trained(folder, model, {})
    return folder


@pytest.fixture(scope="module")
def ensemble(language_model, tmp_path_factory):
    pytest.importorskip("onnxruntime")
    folder, tokenizer = tmp_path_factory.mktemp("ensemble"), Tokenizer.load(language_model / "joint.spm")
    models, folders = [], []
    for seed, (encoder, decoder) in enumerate(MEMBERS):
        sections = EncoderConfig(**{"units": 6} | encoder), DecoderConfig(**{"units": 8} | decoder)
        models.append(Seq2Seq(SIZE, SIZE, EmbeddingsConfig(size=6), *sections))
        randomize(models[-1], seed=seed, scale=0.7)
        folders.append(folder / str(seed))
        save(folders[-1], models[-1], tokenizer)
        quantize_decoder(models[-1], folders[-1])
    ids = [tuple(tokenizer.encode(text) for text in pair) for pair in pairs(200, 4)]
    shortlist = shortlist_from_pairs(ids, SIZE, SIZE)._replace(frequent=np.arange(9, dtype=np.int32))
    return Translator(models, tokenizer, tokenizer, folder=folders, shortlist=shortlist)


def teacher_forced(model, decode_step, source, target, candidates):
    """Log-probabilities of the target's tokens, normalised over the candidates."""
    memory, state = model.encode(tf.constant([[*source, EOS_ID]]))
    found = []
    for previous, token in zip([BOS_ID, *target[:-1]], target, strict=True):
        logits, state, _ = decode_step(tf.constant([[previous]], tf.int64), state, memory)
        found.append(log_softmax(np.asarray(logits)[0, 0, candidates])[candidates.index(token)])
    return np.array(found)


@pytest.mark.parametrize(
    ("values", "average"),
    [
        ({"int8": True}, "log_probability"),
        ({"language_model_weight": LM_WEIGHT}, "log_probability"),
        ({"language_model_weight": LM_WEIGHT, "shortlist": 2}, "probability"),
        ({"language_model_weight": LM_WEIGHT, "shortlist": 2, "int8": True}, "probability"),
    ],
)
def test_scores_are_those_of_the_definition(ensemble, language_model, values, average):
    fused = "language_model_weight" in values
    values = values | ({"language_model": str(language_model)} if fused else {})
    limits = {"beam_size": 3, "n_best": 2, "max_length_factor": 1.0, "max_length_extra": 2}
    options = SearchOptions(ensemble_weights=WEIGHTS, ensemble_average=average, **limits, **values)
    tokenizer, weights = ensemble.tokenizers.source, np.array(WEIGHTS) / sum(WEIGHTS)
    steps = [model.decode_step for model in ensemble.models]
    if options.int8:
        steps = [load_int8_decoder(folder, SIZE) for folder in ensemble.step_sources.folders]
    for sentence, translation in zip(SENTENCES, ensemble.translate(SENTENCES, options), strict=True):
        source, candidates = tokenizer.encode(sentence), list(range(SIZE))
        if options.shortlist:
            (selected,) = ensemble.step_sources.shortlist.select([source], options.shortlist)
            candidates = sorted({*selected.tolist()})
            assert len(candidates) < SIZE, "or this tells nothing"
        for hypothesis in translation.hypotheses:
            target = tokenizer.ids(hypothesis.tokens)
            each = [
                teacher_forced(model, step, source, target, candidates)
                for model, step in zip(ensemble.models, steps, strict=True)
            ]
            expected = np.log(weights @ np.exp(each)) if average == "probability" else weights @ np.stack(each)
            if fused:
                helper = ensemble.step_sources.language_model(str(language_model))
                losses = helper.token_losses(np.array([source[:1]], np.int32), np.array([target], np.int32))[1]
                expected = expected - LM_WEIGHT * np.asarray(losses)
            np.testing.assert_allclose(hypothesis.token_log_probs, expected, atol=2e-4)
