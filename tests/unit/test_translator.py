"""Text in, text out: order, blank lines, batch invariance, rescoring, save and load."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from seq2seq.config import SearchOptions, TokenizerConfig
from seq2seq.data.tokenizer import Tokenizer, Tokenizers
from seq2seq.errors import ModelDirectoryError
from seq2seq.inference.searcher import Searcher
from seq2seq.inference.translator import Translator
from seq2seq.model_directory.directory import create_model_directory, save_weights
from seq2seq.model_directory.model import load_model
from seq2seq.models.base import named_weights
from seq2seq.models.build import build_model
from seq2seq.storage.arrays import load_arrays, save_arrays
from tests.conftest import randomize
from tests.toy import pairs, save_trained, toy_config

pytestmark = pytest.mark.usefixtures("shared_searches")

SENTENCES = [
    "the dog sees bird here",
    "",
    "the king loves cat and dog and tree there",
    "   ",
    "the man hears man often",
    "bird",
    "the cat finds tree and bird today",
]


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    return toy_config(tmp_path_factory.mktemp("toy"), encoder={"layers": 2}, decoder={"cell": "lstm"})


@pytest.fixture(scope="module")
def translator(config):
    made = pairs(200, 1)
    tokenizer = Tokenizer.train([side for pair in made for side in pair], TokenizerConfig(vocabulary_size=50))
    keras.utils.set_random_seed(2)
    model = build_model(config, Tokenizers(tokenizer, tokenizer))
    randomize(model, seed=5, scale=0.7)
    return Translator(model, tokenizer, tokenizer)


@pytest.fixture(scope="module")
def rescore(translator):
    """Log-probabilities and attention weights of a target after a source."""
    model, signature = translator.model, [tf.TensorSpec([None, None], tf.int32)] * 2

    def score(source, target):
        return tf.nn.log_softmax(model((source, target))), model.attention_weights(source, target)

    return tf.function(score, signature, autograph=False)


def options(**values):
    return SearchOptions(**{"beam_size": 3, "max_length_factor": 1.0, "max_length_extra": 5} | values)


@pytest.mark.parametrize(("penalty", "said"), [(0.6, "0.6"), ("average", "average")])
def test_a_translator_is_a_line_in_a_shell_and_a_table_in_a_notebook(translator, penalty, said):
    model, tokenizers = translator.model, translator.tokenizers
    shown = Translator(model, *tokenizers, options=options(length_penalty=penalty))
    search = f"beam 3, length penalty {said}"
    assert repr(shown) == f"Translator({model.count_params():,} parameters, vocabulary 50 joint, {search})"
    assert search in shown._repr_html_()
    assert repr(tokenizers.source) == "Tokenizer(50 pieces)"


@pytest.mark.parametrize("beam_size", [1, 3])
def test_line_n_answers_line_n_and_blank_stays_blank(translator, beam_size):
    results = translator.translate(SENTENCES, options(beam_size=beam_size))
    assert len(results) == len(SENTENCES)
    for sentence, result in zip(SENTENCES, results, strict=True):
        if sentence.strip():
            expected = translator.tokenizers.source.pieces([*translator.tokenizers.source.encode(sentence), 3])
            assert result.source_tokens == expected
            assert result.attention.shape == (len(result.tokens), len(result.source_tokens))
            np.testing.assert_allclose(result.attention.sum(axis=1), 1.0, atol=1e-5)
            assert result.token_log_probs.shape == (len(result.tokens),)
            assert result.tokens[-1] == "</s>"
        else:
            assert (result.text, result.score, result.tokens) == ("", 0.0, [])


@pytest.mark.parametrize(
    "values",
    [
        {"beam_size": 1},
        {"beam_size": 3},
        {
            "beam_size": 3,
            "n_best": 2,
            "coverage_penalty": 0.4,
            "min_length": 6,
            "unk_handling": "suppress",
            "max_length": 9,
        },
        {"sample": True, "n_best": 3, "top_k": 20, "top_p": 0.9, "temperature": 1.5, "seed": 4},
        {"sample": True, "coverage_penalty": 0.4, "max_source_tokens": 5},
        {"beam_size": 3, "n_best": 3, "no_repeat_ngram_size": 1, "min_length": 6, "max_length": 9},
        {"sample": True, "n_best": 3, "no_repeat_ngram_size": 2, "repetition_penalty": 1.5},
    ],
)
def test_a_translation_does_not_depend_on_its_batch(translator, values):
    together = translator.translate(SENTENCES * 3, options(**values, batch_tokens=10_000))
    alone = [translator.translate([sentence], options(**values))[0] for sentence in SENTENCES]
    small = translator.translate(SENTENCES, options(**values, batch_tokens=1))
    turned = translator.translate(SENTENCES[::-1], options(**values, batch_tokens=120))[::-1]
    for i, result in enumerate(together):
        for other in (alone[i % len(SENTENCES)], small[i % len(SENTENCES)], turned[i % len(SENTENCES)]):
            assert len(result.hypotheses) == len(other.hypotheses)
            for ours, theirs in zip(result.hypotheses, other.hypotheses, strict=True):
                assert ours.tokens == theirs.tokens
                assert ours.score == pytest.approx(theirs.score, abs=1e-5 * max(len(theirs.tokens), 1))
                np.testing.assert_allclose(ours.attention, theirs.attention, atol=1e-5)


@pytest.mark.parametrize(
    "values",
    [
        {"length_penalty": 0.0},
        {"length_penalty": 1.0, "coverage_penalty": 0.3, "unk_handling": "suppress", "min_length": 4},
        {"length_penalty": "average"},
        {"beam_size": 1, "n_best": 1, "coverage_penalty": 0.3},
        {"sample": True, "temperature": 2.0, "top_k": 9, "coverage_penalty": 0.3, "unk_handling": "replace"},
    ],
)
def test_a_search_score_equals_rescoring_its_own_output(translator, rescore, values):
    asked = options(**{"n_best": 3} | values)
    for result in translator.translate(SENTENCES, asked):
        for hypothesis in result.hypotheses:
            if not hypothesis.tokens:
                continue
            source = np.array([translator.tokenizers.source.ids(result.source_tokens)], np.int32)
            target = np.array([translator.tokenizers.target.ids(hypothesis.tokens)], np.int32)
            log_probs, weights = (np.asarray(values[0]) for values in rescore(source, target))
            expected = log_probs[np.arange(target.shape[1]), target[0]]
            np.testing.assert_allclose(hypothesis.token_log_probs, expected, atol=1e-4)
            np.testing.assert_allclose(hypothesis.attention, weights, atol=1e-5)
            length = target.shape[1]
            by = {0.0: 1.0, 1.0: (5 + length) / 6, "average": length}[asked.length_penalty]
            coverage = np.log(np.minimum(weights.sum(axis=0), 1.0)).sum()
            score = expected.sum() / by + asked.coverage_penalty * coverage
            assert hypothesis.score == pytest.approx(score, abs=1e-4)


@pytest.mark.parametrize("values", [{"beam_size": 1}, {"beam_size": 3, "n_best": 3}, {"sample": True, "n_best": 4}])
def test_lengths_keep_to_their_limits(translator, values):
    def lengths(**limits):
        results = translator.translate(SENTENCES, options(**values, **limits))
        return [[len(hypothesis.tokens) for hypothesis in result.hypotheses] for result in results if result.tokens]

    sources = [len(translator.tokenizers.source.encode(sentence)) + 1 for sentence in SENTENCES if sentence.strip()]
    free, short = lengths(), lengths(max_length=4, min_length=2)
    assert max(map(max, free)) > 4, "or the limit does nothing"
    assert {length for row in short for length in row} <= {2, 3, 4}
    least = 14
    for found, source in zip(lengths(min_length=least), sources, strict=True):
        limit = source + 5
        assert all(min(least, limit) <= length <= limit for length in found)
    assert min(sources) + 5 < least < max(sources) + 5, "the sentence's own limit wins in some"


def test_sampling_gives_the_draws_of_its_seed(translator):
    def draw(seed, n_best=4, **values):
        return translator.translate(SENTENCES, options(sample=True, seed=seed, n_best=n_best, **values))

    def tokens(results):
        return [[hypothesis.tokens for hypothesis in result.hypotheses] for result in results]

    first = draw(1)
    assert tokens(draw(1)) == tokens(first)
    for a, b, result in zip(tokens(first), tokens(draw(2)), first, strict=True):
        if result.tokens:
            assert a != b
            assert len({tuple(draw) for draw in a}) > 1, "draws differ from one another"
            scores = [hypothesis.score for hypothesis in result.hypotheses]
            assert scores == sorted(scores, reverse=True)
    # The first draw is one of the first four.
    for (one,), four in zip(tokens(draw(1, n_best=1)), tokens(first), strict=True):
        assert one in four
    greedy = translator.translate(SENTENCES, options(beam_size=1))
    assert [result.tokens for result in draw(3, n_best=1, top_k=1)] == [result.tokens for result in greedy]


def test_n_best_are_distinct_and_ordered(translator):
    result = translator.translate([SENTENCES[0]], options(n_best=3))[0]
    assert len(result.hypotheses) == 3
    scores = [hypothesis.score for hypothesis in result.hypotheses]
    assert scores == sorted(scores, reverse=True)
    assert len({tuple(hypothesis.tokens) for hypothesis in result.hypotheses}) == 3


@pytest.mark.parametrize(
    "values",
    [
        {"beam_size": 1},
        {"beam_size": 3},
        {"beam_size": 3, "coverage_penalty": 0.4, "unk_handling": "replace"},
        {"sample": True, "coverage_penalty": 0.4, "unk_handling": "replace"},
    ],
)
def test_without_attention_all_else_is_the_same(translator, values):
    given, spared = (translator.translate(SENTENCES, options(**values), attention=keep) for keep in (True, False))
    for a, b in zip(given, spared, strict=True):
        assert (a.text, a.score, a.tokens) == (b.text, b.score, b.tokens)
        assert b.attention.shape == (len(b.tokens), 0)


def test_a_spelt_out_line_feed_shifts_no_line(config, monkeypatch):
    sentences = [side for pair in pairs(100, 1) for side in pair]
    tokenizer = Tokenizer.train(sentences, TokenizerConfig(vocabulary_size=310, byte_fallback=True))
    (feed,) = tokenizer.ids(["<0x0A>"])
    model = build_model(config, Tokenizers(tokenizer, tokenizer))
    bias = np.zeros(tokenizer.vocabulary_size, np.float32)
    bias[feed] = 50.0
    model.output_bias.assign(bias)
    (translation,) = Translator(model, tokenizer, tokenizer).translate(["the dog"], options(beam_size=1))
    assert "<0x0A>" in translation.tokens
    assert "\n" not in translation.text


def test_one_string_is_refused(translator):
    with pytest.raises(TypeError, match="found one string"):
        translator.translate("the dog sees bird here")


def test_streaming_equals_translating_at_once(translator):
    lines = (sentence for sentence in SENTENCES * 2)
    streamed = [result.text for result in translator.translate_stream(lines, options(), chunk=3)]
    assert streamed == [result.text for result in translator.translate(SENTENCES * 2, options())]


def test_searching_is_traced_once_per_configuration(translator):
    translator.searcher = Searcher()
    for values in ({"beam_size": 1}, {"beam_size": 2}, {"sample": True, "n_best": 2}):
        for number, part in enumerate((SENTENCES[:1], SENTENCES[2:5], SENTENCES), start=1):
            changing = {
                "seed": number,
                "min_length": number,
                "max_length": 9 * number,
                "max_source_tokens": 20 * number,
            }
            translator.translate(part, options(**values, **changing, length_penalty=0.3))
    assert translator.searcher.num_graphs() == 3


@pytest.mark.parametrize(
    ("start", "changed"),
    [
        ({"sample": True}, {"temperature": 5.0}),
        ({"sample": True}, {"top_k": 1}),
        ({"sample": True}, {"top_p": 0.01}),
        ({"sample": True}, {"sample": False}),
        ({}, {"coverage_penalty": 2.0}),
        ({"length_penalty": 0.0}, {"length_penalty": 9.0}),
        ({}, {"n_best": 2}),
    ],
)
def test_a_changed_option_changes_the_search(translator, start, changed):
    """Searches are kept: one made for other options must not answer."""

    def search(values):
        results = translator.translate(SENTENCES, options(**values))
        return [(hypothesis.tokens, hypothesis.score) for result in results for hypothesis in result.hypotheses]

    first = search(start)
    assert search(start | changed) != first
    assert search(start) == first


@pytest.fixture
def saved(translator, config, tmp_path):
    create_model_directory(tmp_path, config, translator.tokenizers)
    save_trained(tmp_path, translator.model, {"validation": {"compute_bleu": 1.5}})
    return tmp_path


def test_saved_and_loaded_translates_identically(translator, saved):
    loaded = Translator.load(saved)
    for a, b in zip(
        translator.translate(SENTENCES, options(n_best=2)), loaded.translate(SENTENCES, options(n_best=2)), strict=True
    ):
        assert [h.text for h in a.hypotheses] == [h.text for h in b.hypotheses]
        assert a.score == b.score
        np.testing.assert_array_equal(a.token_log_probs, b.token_log_probs)
    assert loaded.options.beam_size == 2, "the recipe's search section"


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_a_model_of_any_precision_loads_in_float32(translator, config, tmp_path, precision):
    model = build_model(config, translator.tokenizers, precision)
    model.set_weights(translator.model.get_weights())
    create_model_directory(tmp_path, config, translator.tokenizers)
    save_trained(tmp_path, model, {})
    loaded, _, _ = load_model(tmp_path)
    assert loaded.compute_dtype == "float32"
    for a, b in zip(loaded.weights, translator.model.weights, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_process_killed_between_weights_and_metadata_leaves_a_model_that_loads(translator, saved, monkeypatch):
    def killed(*_):
        raise KeyboardInterrupt

    before = (saved / "metadata.json").read_bytes()
    weights = {name: array + 1 for name, array in named_weights(translator.model).items()}
    monkeypatch.setattr("seq2seq.model_directory.directory.write_metadata", killed)
    with pytest.raises(KeyboardInterrupt):
        save_weights(saved, weights, "float32", {})
    assert (saved / "metadata.json").read_bytes() == before
    for name, array in named_weights(load_model(saved)[0]).items():
        np.testing.assert_array_equal(array, weights[name])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("config.yaml", "changed since"),
        ("joint.spm", "changed since"),
        ("model.safetensors", "model.safetensors"),
        ("metadata.json", "damaged"),
    ],
)
def test_an_edited_file_is_an_error_that_names_it(translator, saved, name, message):
    content = bytearray((saved / name).read_bytes())
    middle = len(content) // 2
    content[middle : middle + 40] = b"\x00" * 40
    (saved / name).write_bytes(content)
    with pytest.raises(ModelDirectoryError, match=message) as error:
        load_model(saved)
    assert name in str(error.value)


@pytest.mark.parametrize("name", ["config.yaml", "joint.spm", "model.safetensors", "metadata.json"])
def test_a_missing_file_is_an_error_that_names_it(saved, name):
    (saved / name).unlink()
    with pytest.raises(ModelDirectoryError, match=name):
        load_model(saved)


def test_a_later_format_is_refused(saved):
    text = (saved / "metadata.json").read_text()
    (saved / "metadata.json").write_text(text.replace('"format_version": 1', '"format_version": 7'))
    with pytest.raises(ModelDirectoryError, match="format version 7"):
        load_model(saved)


def test_weights_of_another_model_are_refused(saved):
    arrays, _ = load_arrays(saved / "model.safetensors")
    arrays["output_bias"] = arrays["output_bias"][:-1]
    save_arrays(saved / "model.safetensors", arrays)
    with pytest.raises(ModelDirectoryError, match=r"output_bias has shape \(49,\), expected \(50,\); 1 weight of "):
        load_model(saved)
