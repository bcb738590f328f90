"""Sources of steps in every combination, against scores composed in NumPy and searched by plain loops."""

from itertools import pairwise, product

import numpy as np
import pytest
import tensorflow as tf

from seq2seq import SearchOptions, Tokenizer, TokenizerConfig, Translator
from seq2seq.config import DecoderConfig, EmbeddingsConfig, EncoderConfig, LanguageModelDecoderConfig
from seq2seq.data.tokenizer import BOS_ID, EOS_ID, PAD_ID
from seq2seq.inference.int8 import quantize_decoder
from seq2seq.inference.searcher import Searcher
from seq2seq.inference.shortlist import shortlist_from_pairs
from seq2seq.inference.step_sources import AutomataSteps, Batch, ModelSteps, PrefixSteps, ShortlistSteps
from seq2seq.models.language_model import LanguageModel
from seq2seq.models.translation import Seq2Seq
from tests.automata import Builder
from tests.conftest import randomize
from tests.reference import log_softmax
from tests.toy import pairs, save

VOCABULARY, WEIGHT, SIZE, LONGEST = 40, 0.7, 2, 6
SENTENCES = [source for source, _ in pairs(4, 9)]
COMBINATIONS = list(product((False, True), repeat=3))  # shortlist, int8, language model


@pytest.fixture(scope="module")
def translator(tmp_path_factory):
    pytest.importorskip("onnxruntime")
    folder, corpus = tmp_path_factory.mktemp("model"), pairs(300, 4)
    tokenizer = Tokenizer.train([side for pair in corpus for side in pair], TokenizerConfig(vocabulary_size=VOCABULARY))
    sections = EmbeddingsConfig(size=6), EncoderConfig(units=8), DecoderConfig(units=8)
    model = Seq2Seq(VOCABULARY, VOCABULARY, *sections)
    randomize(model, seed=4, scale=0.7)
    save(folder, model, tokenizer)
    quantize_decoder(model, folder)
    ids = [tuple(tokenizer.encode(text) for text in pair) for pair in corpus]
    shortlist = shortlist_from_pairs(ids, VOCABULARY, VOCABULARY)._replace(frequent=np.arange(9, dtype=np.int32))
    made = Translator(model, tokenizer, tokenizer, shortlist=shortlist, folder=folder)
    helper = LanguageModel(VOCABULARY, EmbeddingsConfig(size=5), LanguageModelDecoderConfig(units=6))
    randomize(helper, seed=8, scale=0.7)
    made.step_sources._language_models["lm"] = helper
    made.steppers, made.decode_steps = {}, {}
    return made


def stepper(translator, kind, ids):
    """A `Stepper` of the model, of its 8-bit decoder or of the language model: what one test computed, others know."""
    if (kind, *ids) not in translator.steppers:
        model = translator.step_sources.language_model("lm") if kind == "lm" else translator.model
        int8 = kind == "int8" and translator.step_sources.get(SearchOptions(int8=True)).decode_step
        step = tf.function(int8 or model.decode_step, autograph=False, reduce_retracing=True)
        decode_step = translator.decode_steps.setdefault(kind, step)
        translator.steppers[kind, *ids] = Stepper(decode_step, *model.encode(tf.constant([[*ids, EOS_ID]])))
    return translator.steppers[kind, *ids]


class Stepper:
    """One model's logits after any tokens; what it has computed it keeps."""

    def __init__(self, decode_step, memory, state):
        self.decode_step, self.memory, self.first, self.known = decode_step, memory, state, {}

    def logits(self, tokens):
        return self.after(tokens)[0]

    def after(self, tokens):
        if tokens not in self.known:
            state = self.after(tokens[:-1])[1] if tokens else self.first
            last = tf.constant([[tokens[-1] if tokens else BOS_ID]], tf.int64)
            logits, state, _ = self.decode_step(last, state, self.memory)
            self.known[tokens] = logits.numpy()[0, 0].astype("d"), state
        return self.known[tokens]


class Composed:
    """The score of each token after others, of one sentence: made of the parts, one step at a time."""

    def __init__(self, translator, sentence, shortlist, int8, fused):
        ids = translator.tokenizers.source.encode(sentence)
        self.steppers = [stepper(translator, "int8" if int8 else "model", ids)]
        if fused:
            self.steppers.append(stepper(translator, "lm", ()))
        self.allowed = np.arange(VOCABULARY)
        if shortlist:
            self.allowed = translator.step_sources.shortlist.select([ids], SIZE)[0]
            assert len(self.allowed) < VOCABULARY

    def scores(self, tokens):
        """(V,): of each token that may follow; -inf of others."""
        scores = np.full(VOCABULARY, -np.inf)
        logits, *of_helper = (stepper.logits(tuple(tokens)) for stepper in self.steppers)
        scores[self.allowed] = log_softmax(logits[self.allowed])
        for more in of_helper:
            scores += WEIGHT * log_softmax(more)
        scores[[PAD_ID, BOS_ID]] = -np.inf
        if len(tokens) == LONGEST - 1:
            scores[np.arange(VOCABULARY) != EOS_ID] = -np.inf
        return scores

    def beam_search(self, size):
        """Tokens and summed scores of the best hypotheses, best first, by lists."""
        beam, finished = [(0.0, ())], []
        while len(finished) < size and beam:
            extended = [
                (total + score, (*tokens, token))
                for total, tokens in beam
                for token, score in enumerate(self.scores(tokens))
                if score > -np.inf
            ]
            ranked = sorted(extended, key=lambda one: -one[0])[: 2 * size]
            finished += [one for one in ranked[:size] if one[1][-1] == EOS_ID]
            finished = sorted(finished, key=lambda one: -one[0])[:size]
            beam = [one for one in ranked if one[1][-1] != EOS_ID][:size]
        return finished


def check_composed(translator, options, compose):
    """Compare translations with the results of beam search on the composed scores of each sentence."""
    for sentence, translation in zip(SENTENCES, translator.translate(SENTENCES, options), strict=True):
        composed = compose(sentence)
        expected = composed.beam_search(options.beam_size)
        assert len(translation.hypotheses) == len(expected)
        for hypothesis, (total, tokens) in zip(translation.hypotheses, expected, strict=True):
            assert hypothesis.tokens == translator.tokenizers.target.pieces(list(tokens))
            assert hypothesis.score == pytest.approx(total, abs=1e-5 * len(tokens))
            steps = [composed.scores(tokens[:t])[token] for t, token in enumerate(tokens)]
            np.testing.assert_allclose(hypothesis.token_log_probs, steps, atol=1e-5)


@pytest.mark.parametrize("beam_size", [1, 3])
@pytest.mark.parametrize(("shortlist", "int8", "fused"), COMBINATIONS)
def test_a_translation_is_that_of_the_composed_scores(translator, shortlist, int8, fused, beam_size):
    options = SearchOptions(
        beam_size=beam_size,
        n_best=beam_size,
        length_penalty=0.0,
        max_length=LONGEST,
        shortlist=SIZE if shortlist else None,
        int8=int8,
        **({"language_model": "lm", "language_model_weight": WEIGHT} if fused else {}),
    )
    check_composed(translator, options, lambda sentence: Composed(translator, sentence, shortlist, int8, fused))


@pytest.mark.parametrize(("shortlist", "int8", "fused"), COMBINATIONS)
def test_samples_are_of_the_candidates_and_do_not_depend_on_the_batch(translator, shortlist, int8, fused):
    options = SearchOptions(
        sample=True,
        n_best=3,
        max_length=LONGEST,
        shortlist=SIZE if shortlist else None,
        int8=int8,
        **({"language_model": "lm", "language_model_weight": WEIGHT} if fused else {}),
    )
    together = translator.translate(SENTENCES, options)
    for sentence, translation in zip(SENTENCES, together, strict=True):
        (alone,) = translator.translate([sentence], options)
        composed = Composed(translator, sentence, shortlist, int8, fused)
        for ours, other in zip(translation.hypotheses, alone.hypotheses, strict=True):
            assert ours.tokens == other.tokens
            tokens = translator.tokenizers.target.ids(ours.tokens)
            steps = [composed.scores(tokens[:t])[token] for t, token in enumerate(tokens)]
            np.testing.assert_allclose(ours.token_log_probs[:-1], steps[:-1], atol=1e-5)


@pytest.mark.parametrize("shortlist", [False, True])
@pytest.mark.parametrize("beam_size", [1, 3])
def test_a_prefix_comes_first_even_where_it_is_no_candidate(translator, beam_size, shortlist):
    source = translator.tokenizers.source.encode_batch(SENTENCES[:3])
    prefixes = [[30, 31], [], [33]]
    candidates = translator.step_sources.shortlist.select(source, SIZE)
    assert 30 not in candidates[0], "or this tells nothing"
    steps = ModelSteps(translator.model)
    steps = ShortlistSteps(steps, translator.step_sources.shortlist, SIZE) if shortlist else steps
    options = SearchOptions(beam_size=beam_size, length_penalty=0.0)
    limits = np.full(3, 1, np.int32), np.full(3, LONGEST, np.int32)
    result = Searcher().search(PrefixSteps(steps), Batch(source, prefixes), limits, options)
    for row, prefix in enumerate(prefixes):
        tokens = result.tokens[row, 0, : result.lengths[row, 0]].tolist()
        assert tokens[: len(prefix)] == prefix
        assert not result.log_probs[row, 0, : len(prefix)].any()
        composed = Composed(translator, SENTENCES[row], shortlist, False, False)
        rest = [composed.scores(tokens[:t])[tokens[t]] for t in range(len(prefix), len(tokens))]
        np.testing.assert_allclose(result.log_probs[row, 0, len(prefix) : len(tokens)], rest, atol=1e-5)
        assert result.scores[row, 0] == pytest.approx(sum(rest), abs=1e-4)


@pytest.mark.parametrize("shortlist", [False, True])
@pytest.mark.parametrize("options", [{"beam_size": 1}, {"beam_size": 4, "beam_groups": 2}, {"sample": True}])
def test_automata_are_followed_even_to_tokens_that_are_no_candidates(translator, options, shortlist):
    source = translator.tokenizers.source.encode_batch(SENTENCES[:3])
    known = translator.step_sources.shortlist
    assert not {30, 31, 33} & set(known.select(source, SIZE)[0]), "or this tells nothing"
    steps = ModelSteps(translator.model)
    steps = AutomataSteps(ShortlistSteps(steps, known, SIZE) if shortlist else steps)
    limits, searcher = (np.ones(3, np.int32), np.array([7, 7, 2], np.int32)), Searcher()

    def search(rows):
        builder = Builder(VOCABULARY)
        asked = [[builder.require([30, 31]), builder.require([33])], [], [builder.require([31, 32, 33])]]
        longest = max(len(source[row]) for row in rows) + 1
        automata = builder.build([asked[row] for row in rows], positions=longest)
        batch = Batch([source[row] for row in rows], automata=automata)
        return searcher.search(steps, batch, tuple(limit[rows] for limit in limits), SearchOptions(**options))

    together = search([0, 1, 2])
    first, _, last = together.tokens[:, 0].tolist()
    assert 33 in first
    assert (30, 31) in pairwise(first)
    assert last[:4] == [31, 32, 33, EOS_ID], "the maximum length leaves room"
    for row, alone in enumerate(map(search, ([0], [1], [2]))):
        width = min(alone.tokens.shape[2], together.tokens.shape[2])
        np.testing.assert_array_equal(together.tokens[row, :, :width], alone.tokens[0, :, :width])
    free = searcher.search(steps, Batch(source), limits, SearchOptions(**options))
    plain = searcher.search(steps.steps, Batch(source), limits, SearchOptions(**options))
    np.testing.assert_array_equal(free.tokens, plain.tokens)


def test_automata_that_do_not_suit_the_batch_are_refused(translator):
    source, limits = translator.tokenizers.source.encode_batch(SENTENCES[:2]), (np.ones(2, np.int32),) * 2
    steps = AutomataSteps(ModelSteps(translator.model))
    for size, sentences in ((VOCABULARY, 1), (VOCABULARY - 1, 2)):
        batch = Batch(source, automata=Builder(size).build([[0]] * sentences))
        with pytest.raises(ValueError, match=f"over {size} tokens for {sentences} sentences, expected 40 tokens and 2"):
            Searcher().search(steps, batch, limits, SearchOptions())
    with pytest.raises(ValueError, match="wrap AutomataSteps in PrefixSteps"):
        AutomataSteps(PrefixSteps(ModelSteps(translator.model)))


def test_steps_that_differ_in_their_numbers_share_a_graph(translator):
    options = SearchOptions(shortlist=3, language_model="lm", language_model_weight=0.1)
    same = options.model_copy(update={"shortlist": 9, "language_model_weight": 2.0})
    assert translator.step_sources.get(options).graph_key == translator.step_sources.get(same).graph_key
    others = ({"shortlist": None}, {"int8": True}, {"language_model": None})
    keys = {translator.step_sources.get(options.model_copy(update=other)).graph_key for other in others}
    assert len(keys | {translator.step_sources.get(options).graph_key}) == 4


@pytest.mark.parametrize("options", [{"beam_size": 1}, {"beam_size": 3}, {"sample": True}])
def test_there_is_always_room_for_a_prefix_and_its_end(translator, options):
    source, prefix = translator.tokenizers.source.encode_batch(SENTENCES[:2]), [9, 8, 7]
    limits = np.ones(2, np.int32), np.full(2, 2, np.int32)
    batch, steps = Batch(source, [prefix, []]), PrefixSteps(ModelSteps(translator.model))
    result = Searcher().search(steps, batch, limits, SearchOptions(**options))
    assert result.tokens[0, 0, :4].tolist() == [*prefix, EOS_ID]
    assert result.lengths[1, 0] <= 2


def test_a_batch_without_prefixes_begins_freely(translator):
    source = translator.tokenizers.source.encode_batch(SENTENCES)
    limits, options = (np.ones(4, np.int32), np.full(4, LONGEST, np.int32)), SearchOptions(beam_size=2)
    free = Searcher().search(ModelSteps(translator.model), Batch(source), limits, options)
    forced = Searcher().search(PrefixSteps(ModelSteps(translator.model)), Batch(source), limits, options)
    np.testing.assert_array_equal(forced.tokens, free.tokens)


@pytest.mark.parametrize("prefixes", [[[PAD_ID, 7], [8]], [[3]], [[7], [8], [9]], [[VOCABULARY], []], [[7], [2**40]]])
def test_a_prefix_that_cannot_be_forced_is_refused(translator, prefixes):
    steps, source = PrefixSteps(ModelSteps(translator.model)), translator.tokenizers.source.encode_batch(SENTENCES[:2])
    limits = np.ones(2, np.int32), np.full(2, LONGEST, np.int32)
    with pytest.raises(ValueError, match=r"one for each sentence: 2|expected token ids from 4 to 39"):
        Searcher().search(steps, Batch(source, prefixes), limits, SearchOptions())
