"""Graphs of searches: one for each structure, whatever the numbers; bounded; shared by threads."""

import gc
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import numpy as np
import pytest
import tensorflow as tf

from seq2seq import SearchOptions, Tokenizer, TokenizerConfig, Translator
from seq2seq.config import DecoderConfig, EmbeddingsConfig, EncoderConfig, LanguageModelDecoderConfig
from seq2seq.inference import searcher
from seq2seq.inference.shortlist import shortlist_from_pairs
from seq2seq.models.language_model import LanguageModel
from seq2seq.models.translation import Seq2Seq
from tests.conftest import randomize
from tests.toy import pairs

SENTENCES = [source for source, _ in pairs(5, 9)]
VOCABULARY = 40


def make_translator(seed: int, **decoder: object) -> Translator:
    corpus = pairs(300, 4)
    tokenizer = Tokenizer.train([side for pair in corpus for side in pair], TokenizerConfig(vocabulary_size=VOCABULARY))
    sections = EmbeddingsConfig(size=6), EncoderConfig(units=8, bidirectional=False), DecoderConfig(units=8, **decoder)
    model = Seq2Seq(VOCABULARY, VOCABULARY, *sections)
    randomize(model, seed=seed, scale=0.7)
    ids = [tuple(tokenizer.encode(text) for text in pair) for pair in corpus]
    shortlist = shortlist_from_pairs(ids, VOCABULARY, VOCABULARY)._replace(frequent=np.arange(9, dtype=np.int32))
    translator = Translator(model, tokenizer, tokenizer, shortlist=shortlist)
    helper = LanguageModel(VOCABULARY, EmbeddingsConfig(size=5), LanguageModelDecoderConfig(units=6))
    randomize(helper, seed=seed + 1, scale=0.7)
    translator.step_sources._language_models["lm"] = helper
    return translator


@pytest.fixture(scope="module")
def translator():
    return make_translator(3)


@pytest.fixture
def traces(monkeypatch):
    """The structures that have been traced."""
    found, trace = [], searcher.trace_search
    monkeypatch.setattr(
        searcher, "trace_search", lambda steps, structure: found.append(structure) or trace(steps, structure)
    )
    return found


def options(**values):
    return SearchOptions(**{"beam_size": 2, "max_length": 8} | values)


def found(translator, chosen):
    results = translator.translate(SENTENCES, chosen, attention=False)
    return [(hypothesis.tokens, hypothesis.score) for result in results for hypothesis in result.hypotheses]


def assert_same(ours, others):
    assert [tokens for tokens, _ in ours] == [tokens for tokens, _ in others]
    np.testing.assert_allclose([score for _, score in ours], [score for _, score in others], atol=1e-5)


SAMPLING = {"sample": True, "n_best": 3}
SWEEPS = {
    "temperature": (SAMPLING, np.linspace(0.5, 3.0, 20)),
    "top_p": (SAMPLING, np.linspace(0.2, 0.95, 20)),
    "top_k": (SAMPLING, range(1, 21)),
    "seed": (SAMPLING, range(5)),
    "length_penalty": ({"n_best": 2}, np.linspace(-0.5, 2.0, 20)),
    "coverage_penalty": ({"n_best": 2}, np.linspace(0.1, 4.0, 20)),
    "repetition_penalty": ({"n_best": 2}, np.linspace(1.1, 9.0, 20)),
    "language_model_weight": ({"language_model": "lm"}, np.linspace(0.1, 2.0, 20)),
    "shortlist": ({"n_best": 2}, range(1, 6)),
    "n_best": ({"beam_size": 4}, range(1, 5)),
}


@pytest.mark.parametrize("name", SWEEPS)
def test_all_values_of_a_number_share_a_graph(translator, traces, name):
    others, values = SWEEPS[name]
    translator.searcher = searcher.Searcher()
    swept = [found(translator, options(**others, **{name: value})) for value in np.array(values).tolist()]
    assert len(traces) == translator.searcher.num_graphs() == 1
    assert len({str(results) for results in swept}) > len(swept) // 3, "the values have an effect"
    translator.searcher = searcher.Searcher()  # traced with the last value
    for place in (-1, 0):
        alone = found(translator, options(**others, **{name: np.array(values).tolist()[place]}))
        assert_same(swept[place], alone)
    assert len(traces) == 2


def test_the_graphs_used_last_are_kept(translator, traces, monkeypatch):
    monkeypatch.setattr(searcher, "MAX_GRAPHS", 2)
    translator.searcher = searcher.Searcher()
    structures = [options(beam_size=size) for size in (1, 2, 3)]
    for chosen in structures:
        translator.translate(SENTENCES[:1], chosen)
        translator.translate(SENTENCES[:1], structures[0])
    assert translator.searcher.num_graphs() == 2
    assert len(traces) == 3, "the first one was always in use"
    translator.translate(SENTENCES[:1], structures[1])
    assert len(traces) == 4, "the second one was not, and had to go"


@pytest.mark.parametrize("cell", ["gru", "lstm", "peephole_lstm"])
def test_the_memory_of_graphs_that_went_is_freed(cell, monkeypatch):
    """TensorFlow keeps every graph that has a gradient of its own; a search needs none."""
    monkeypatch.setattr(searcher, "MAX_GRAPHS", 1)
    translator, alive = make_translator(1, cell=cell), []
    for _ in range(2):
        for size in (1, 2):
            translator.translate(SENTENCES[:1], options(beam_size=size))
        gc.collect()
        alive.append(sum(isinstance(thing, tf.Graph) for thing in gc.get_objects()))
    assert alive[0] == alive[1]


VARIETY = [
    {"beam_size": 1},
    {"beam_size": 3, "n_best": 3, "length_penalty": 0.3},
    {"beam_size": 3, "length_penalty": 1.7},
    {"sample": True, "n_best": 2, "temperature": 1.4, "top_p": 0.8},
    {"beam_size": 2, "shortlist": 3, "language_model": "lm", "language_model_weight": 0.4},
]


def test_threads_find_what_one_thread_finds(traces):
    """A peephole LSTM, whose loops keep records of their own while they are traced."""
    translators = [make_translator(seed, cell="peephole_lstm") for seed in (1, 2)]
    work = [(translator, options(**values)) for values in VARIETY for translator in translators]
    expected = [found(*each) for each in work]
    assert expected[0] != expected[1], "two models"
    for translator in translators:
        translator.searcher = searcher.Searcher()
    traces.clear()
    threads = 4  # two begin with the same graph
    barrier = Barrier(threads)

    def run(number):
        barrier.wait()  # all begin at once, without a graph
        places = [(number * 5 + place) % len(work) for place in range(len(work))]
        return [(place, found(*work[place])) for place in places]

    with ThreadPoolExecutor(threads) as pool:
        for results in pool.map(run, range(threads)):
            for place, result in results:
                assert_same(result, expected[place])
    kept = sum(translator.searcher.num_graphs() for translator in translators)
    assert len(traces) == kept == 2 * (len(VARIETY) - 1), "each was traced once, whoever came first; two share a graph"
