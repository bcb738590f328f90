"""Lack of memory: which errors mean it, and that smaller batches give what the large one would have."""

import re
import warnings
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf

from seq2seq.config import SearchOptions
from seq2seq.data.batching import plan_batches
from seq2seq.data.tokenizer import Tokenizers
from seq2seq.devices.out_of_memory import BatchSplitter, describe_out_of_memory
from seq2seq.errors import OutOfMemoryError, TrainingError
from seq2seq.inference.segments import Part, explain_shortage
from seq2seq.inference.text_generator import TextGenerator
from seq2seq.inference.translator import Translator
from seq2seq.models.build import build_model
from seq2seq.training.recovery import explain_out_of_memory
from tests.conftest import randomize
from tests.shortage import CUDNN, FACES, fail, limit_searches, with_room_for
from tests.toy import language_model_config, pairs, toy_config, toy_tokenizer

pytestmark = pytest.mark.usefixtures("shared_searches")

LINES = [source for source, _ in pairs(11, seed=8)]
LINES[4:4] = ["", "bird"]


@pytest.fixture(scope="module")
def tokenizer():
    return toy_tokenizer()


@pytest.fixture(scope="module")
def model(tmp_path_factory, tokenizer):
    keras.utils.set_random_seed(2)
    model = build_model(toy_config(tmp_path_factory.mktemp("toy")), Tokenizers(tokenizer, tokenizer))
    randomize(model, seed=5, scale=0.7)
    return model


@pytest.fixture(scope="module")
def language_model(tmp_path_factory, tokenizer):
    keras.utils.set_random_seed(3)
    config = language_model_config(tmp_path_factory.mktemp("toy"))
    model = build_model(config, Tokenizers(tokenizer, tokenizer))
    randomize(model, seed=6, scale=0.7)
    return model


def options(**values):
    return SearchOptions(**{"beam_size": 3, "max_length_factor": 1.0, "max_length_extra": 3} | values)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("Internal", "CUDNN_STATUS_ALLOC_FAILED\nin tensorflow/stream_executor/cuda/cuda_dnn.cc(2116)"),
        ("FailedPrecondition", "DNN library: CUBLAS_STATUS_ALLOC_FAILED"),
        ("Internal", "Dst tensor is not initialized."),
        ("Unknown", "Failed to allocate memory for convolution redzone checking"),
        ("Internal", "failed to allocate memory"),
        ("Internal", "CUDA_ERROR_OUT_OF_MEMORY: out of memory"),
        ("Aborted", "Collective ops is aborted by: OOM when allocating tensor with shape[8]"),
        ("ResourceExhausted", "SameWorkerRecvDone unable to allocate output tensor"),
    ],
)
def test_texts_that_mean_lack_of_memory(kind, text):
    error = getattr(tf.errors, f"{kind}Error")(None, None, text)
    assert describe_out_of_memory(error) == "out of memory"


@pytest.mark.parametrize(
    ("kind", "line"),
    [
        ("Internal", CUDNN),
        ("Internal", "Failed to call DoRnnBackward with model config: [rnn_mode]: 2"),
        ("Unknown", "Failed to get convolution algorithm: CUDNN_STATUS_NOT_INITIALIZED"),
        ("Internal", "CUDNN_STATUS_INTERNAL_ERROR in cuda_dnn.cc(1963)"),
        ("FailedPrecondition", "failed to create cublas handle: CUBLAS_STATUS_NOT_INITIALIZED"),
    ],
)
def test_texts_that_probably_mean_it_are_quoted(kind, line):
    error = getattr(tf.errors, f"{kind}Error")(None, None, f"Graph execution error:\n\n  {line}\n\t [[{{{{node x}}}}]]")
    assert describe_out_of_memory(error) == f"probably out of memory ({kind}Error: {line})"
    long = tf.errors.InternalError(None, None, f"{CUDNN}{'x' * 1000}")
    assert len(describe_out_of_memory(long)) < 260


@pytest.mark.parametrize(
    "error",
    [
        tf.errors.InternalError(None, None, "libdevice not found at ./libdevice.10.bc"),
        tf.errors.UnavailableError(None, None, "Socket closed"),
        tf.errors.ResourceExhaustedError(None, None, "runs/events.out.tfevents; No space left on device"),
        tf.errors.ResourceExhaustedError(None, None, "Received message larger than max (5 vs. 4)"),
        ValueError("out of memory"),
    ],
)
def test_other_errors_are_not_about_memory(error):
    assert describe_out_of_memory(error) is None


def test_numpy_and_tensorflow_on_a_cpu_are_understood():
    with pytest.raises(MemoryError) as numpy_error:
        np.zeros(2**60, np.uint8)
    assert describe_out_of_memory(numpy_error.value) == "out of memory"
    with pytest.raises(tf.errors.OpError) as tensorflow_error:
        tf.fill([2**20, 2**20, 2**10], 1.0)
    assert describe_out_of_memory(tensorflow_error.value) == "out of memory"


def run_all(limit, batch, fits, said):
    """Squares of numbers, with room for some; a number takes its own size."""
    tried = []

    def compute(part):
        tried.append(list(part))
        if sum(part) > fits:
            fail("allocator")
        return [number**2 for number in part]

    parts = limit.run(batch, compute, size=sum, explain="{1} at {0}".format, on_warning=said.append)
    return [(list(part), result) for part, result in parts], tried


def test_what_does_not_fit_is_halved_in_order_and_remembered():
    limit, said = BatchSplitter(), []
    parts, tried = run_all(limit, [4, 3, 3, 2, 2], fits=7, said=said)
    assert tried == [[4, 3, 3, 2, 2], [4, 3], [3, 2, 2]]
    assert parts == [([4, 3], [16, 9]), ([3, 2, 2], [9, 4, 4])]
    assert said == ["out of memory at [4, 3, 3, 2, 2]"]
    parts, tried = run_all(limit, [5, 2, 1, 1], fits=7, said=said)
    assert tried == [[5, 2], [1, 1]], "9 is more than half of 14, and is not tried"
    parts, tried = run_all(limit, [2, 2, 2], fits=5, said=said)
    assert tried == [[2, 2, 2], [2], [2], [2]], "half of 6 holds one"
    assert [part for part, _ in parts] == [[2], [2], [2]]
    assert len(said) == 1, "one notice"


def test_one_that_does_not_fit_alone_is_an_error_and_the_others_have_come():
    def compute(part):
        return fail("allocator") if sum(part) > 7 else part

    parts = BatchSplitter().run([2, 8], compute, size=sum, explain="{1} at {0}".format, on_warning=str)
    assert next(parts) == ([2], [2])
    with pytest.raises(OutOfMemoryError, match=r"^out of memory at \[8\]$"):
        next(parts)


def test_errors_of_other_kinds_are_not_tried_again():
    tried = []

    def compute(part):
        tried.append(part)
        raise tf.errors.InternalError(None, None, "libdevice not found")

    with pytest.raises(tf.errors.InternalError, match="libdevice"):
        list(BatchSplitter().run([1, 2], compute, size=len, explain=lambda *_: "", on_warning=tried.append))
    assert tried == [[1, 2]]


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize(
    "values",
    [{"n_best": 2}, {"beam_size": 1}, {"sample": True, "n_best": 3, "seed": 4}, {"max_source_tokens": 5}],
    ids=["beam", "greedy", "sampling", "pieces"],
)
def test_translations_are_the_same_with_little_memory(face, values, model, tokenizer, monkeypatch):
    chosen = options(**values)
    expected = Translator(model, tokenizer, tokenizer).translate(LINES, chosen)
    sizes, said, done = limit_searches(monkeypatch, 3, face), [], []
    translator = Translator(model, tokenizer, tokenizer, on_warning=said.append)
    found = translator.translate(LINES, chosen, on_progress=done.append)
    assert [[h.text for h in t.hypotheses] for t in found] == [[h.text for h in t.hypotheses] for t in expected]
    assert [[h.tokens for h in t.hypotheses] for t in found] == [[h.tokens for h in t.hypotheses] for t in expected]
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.score == pytest.approx(theirs.score, abs=1e-4)
    assert max(sizes) > 3 >= sizes[-1]
    assert done == sorted(done)
    assert done[-1] == len(LINES)
    (notice,) = said
    assert notice.startswith(f"{FACES[face][2]} at a batch of {sizes[0]} sentences of up to ")


def test_a_notice_says_what_was_tried_and_which_option_saves_it(model, tokenizer, monkeypatch):
    limit_searches(monkeypatch, 3, "allocator")
    translator = Translator(model, tokenizer, tokenizer)
    longest = max(len(tokenizer.encode(line)) for line in LINES) + 1
    size = 12 * longest * 3
    with pytest.warns(
        UserWarning, match=rf"12 sentences of up to {longest} tokens with 'beam_size' 3: .* below {size:,} "
    ):
        translator.translate(LINES, options())


def test_later_calls_of_a_translator_do_not_try_what_failed(model, tokenizer, monkeypatch):
    sizes, said = limit_searches(monkeypatch, 3, "allocator"), []
    translator = Translator(model, tokenizer, tokenizer, on_warning=said.append)
    translator.translate(LINES, options())
    assert sizes[:3] == [12, 6, 3]
    sizes.clear()
    translator.translate(LINES, options())
    list(translator.translate_stream(LINES, options(), chunk=6))
    assert max(sizes) <= 3
    assert len(said) == 1
    fresh = Translator(model, tokenizer, tokenizer, on_warning=said.append)
    fresh.translate(LINES, options())
    assert len(said) == 2, "one for each translator"


@pytest.mark.parametrize(("values", "key"), [({}, "beam_size"), ({"sample": True, "n_best": 4}, "n_best")])
def test_a_sentence_that_does_not_fit_alone_is_named(values, key, model, tokenizer, monkeypatch):
    limit_searches(monkeypatch, 0, "allocator")
    chosen = options(**values)
    long = "the dog sees bird and cat and tree here " * 4
    length = len(tokenizer.encode(long)) + 1
    message = (
        f"out of memory at one sentence of {length} tokens with '{key}' {getattr(chosen, key)}, alone in its batch: "
        "'the dog sees bird and cat and tree here the dog sees [...]'. "
        f"Lower '{key}', or 'max_source_tokens' below {length}."
    )
    with pytest.raises(OutOfMemoryError, match=f"^{re.escape(message)}$"):
        Translator(model, tokenizer, tokenizer).translate([long], chosen)


@pytest.mark.parametrize("face", FACES)
def test_log_probs_are_the_same_with_little_memory(face, language_model, tokenizer, monkeypatch):
    expected = TextGenerator(language_model, tokenizer).token_log_probs(LINES)
    said, sizes, done = [], [], []
    generator = TextGenerator(language_model, tokenizer, on_warning=said.append)
    forcing = generator.teacher_forcing
    monkeypatch.setattr(forcing, "_read_out", with_room_for(3, face, sizes)(forcing._read_out))
    for line, (ours, theirs) in enumerate(zip(generator.token_log_probs(LINES, done.append), expected, strict=True)):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5, err_msg=LINES[line])
    assert sizes[:3] == [12, 6, 3]
    assert max(sizes[2:]) <= 3
    assert done == sorted(done)
    assert done[-1] == len(LINES) - 1, "one is blank"
    generator.perplexity(LINES)
    (notice,) = said
    assert notice.startswith(f"{FACES[face][2]} at {len(LINES) - 1} lines of up to ")


def test_a_line_that_does_not_fit_alone_is_named(language_model, tokenizer, monkeypatch):
    generator = TextGenerator(language_model, tokenizer)
    forcing = generator.teacher_forcing
    monkeypatch.setattr(forcing, "_read_out", with_room_for(0, "allocator", [])(forcing._read_out))
    length = len(tokenizer.encode(LINES[0])) + 1
    with pytest.raises(OutOfMemoryError, match=rf"^out of memory at one line of {length} tokens\. Divide"):
        generator.perplexity(LINES[:1])


@pytest.fixture
def plan():
    return plan_batches(np.array([4, 4]), np.array([5, 3]), max_tokens=20, shuffle_buffer=2, seed=1, epoch=0)


@pytest.mark.parametrize("face", FACES)
def test_training_explains_each_error_with_the_batch(face, plan):
    data = SimpleNamespace(describe_token_counts=lambda source, target: f"{source} source and {target} target tokens")
    message = (
        f"{FACES[face][2]} at a batch of 2 sentences of 4 source and 5 target tokens, shared by 2 replicas. "
        "Lower batching.max_tokens or data.filters.max_tokens, and raise training.accumulation_steps"
    )
    with pytest.raises(TrainingError, match=re.escape(message)), explain_out_of_memory(data, plan, 0, replicas=2):
        fail(face)


def test_training_leaves_other_errors_as_they_are(plan):
    with pytest.raises(tf.errors.InternalError, match="libdevice"), explain_out_of_memory(None, plan, 0):
        raise tf.errors.InternalError(None, None, "libdevice not found")


def test_no_notice_where_memory_suffices(model, tokenizer):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Translator(model, tokenizer, tokenizer).translate(LINES, options())


def test_the_option_that_takes_the_memory_is_named():
    parts = [Part(0, 0, "the dog", [5, 6])]
    asked = {"beam_size": {"beam_size": 9}, "n_best": {"sample": True, "n_best": 9}}
    asked["candidates"] = {"sample": True, "candidates": 9}
    for key, values in asked.items():
        assert f"with '{key}' 9, alone" in explain_shortage(parts, SearchOptions(**values), "out of memory")
        assert f"Lower '{key}', or" in explain_shortage(parts, SearchOptions(**values), "out of memory")
