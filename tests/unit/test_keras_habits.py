"""What Keras users try with a model: each habit works, or ends in one line that says what works."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from seq2seq import Seq2Seq
from seq2seq.errors import ArgumentError

V = 12
ROWS = [[5, 6, 7, 3], [8, 9, 3], [4, 3], [10, 11, 3], [6, 5, 4, 3], [7, 3]]
TARGETS = [[6, 7, 3], [9, 3], [5, 3], [11, 10, 3], [5, 6, 3], [8, 3]]
pad = keras.utils.pad_sequences
S, T = pad(ROWS, padding="post"), pad(TARGETS, padding="post")


@pytest.fixture(autouse=True, scope="module")
def seed():
    """Shuffling needs one if a training has made this process deterministic.

    Once per module: TensorFlow forgets its kernels when a seed is set, and prepares every graph anew.
    """
    keras.utils.set_random_seed(1)


def make(seed=1, **compiled):
    model = Seq2Seq(V, V, {"size": 6}, {"units": 8}, {"units": 8}, seed=seed)
    model.compile("sgd", **compiled)
    return model


def dataset(*parts):
    return tf.data.Dataset.from_tensor_slices(parts or (S, T)).batch(2)


def batches(repeat=1):
    for _ in range(repeat):
        for start in (0, 2, 4):
            yield S[start : start + 2], T[start : start + 2]


class Batches(keras.utils.PyDataset):
    def __len__(self):
        return 3

    def __getitem__(self, index):
        return S[2 * index : 2 * index + 2], T[2 * index : 2 * index + 2]


class Sources(Batches):
    def __getitem__(self, index):
        return super().__getitem__(index)[:1]


ragged = [tf.ragged.constant(rows, tf.int64) for rows in (ROWS, TARGETS)]
OBJECTS = [np.array(rows, object) for rows in (ROWS, TARGETS)]

# Whatever the form, an epoch of six sentences in their order, two a batch.
FORMS = {
    "two arrays": lambda: ((S, T), {}),
    "int64": lambda: ((S.astype("int64"), T.astype("int64")), {}),
    "uint8 and int16": lambda: ((S.astype("uint8"), T.astype("int16")), {}),
    "wider padding": lambda: ((np.pad(S, ((0, 0), (0, 3))), T), {}),
    "a list of two arrays": lambda: (([S, T],), {}),
    "a tuple of two arrays": lambda: (((S, T),), {}),
    "by name": lambda: ((), {"x": S, "y": T}),
    "lists of unequal lists": lambda: ((ROWS, TARGETS), {}),
    "lists of equal lists": lambda: ((S.tolist(), T.tolist()), {}),
    "lists of arrays": lambda: (([np.array(row) for row in ROWS], [np.array(row) for row in TARGETS]), {}),
    "a pair of lists of lists": lambda: (([ROWS, TARGETS],), {}),
    "arrays of lists": lambda: (OBJECTS, {}),
    "tensors": lambda: ((tf.constant(S), tf.constant(T)), {}),
    "ragged tensors": lambda: (ragged, {}),
    "a dataset": lambda: ((dataset(),), {}),
    "a dataset of int64": lambda: ((dataset(S.astype("int64"), T.astype("int64")),), {}),
    "a dataset of ragged tensors": lambda: ((dataset(*ragged),), {}),
    "a dataset of a pair": lambda: ((tf.data.Dataset.from_tensor_slices(((S, T),)).batch(2),), {}),
    "a generator": lambda: ((batches(),), {"steps_per_epoch": 3}),
    "a PyDataset": lambda: ((Batches(),), {}),
}


@pytest.fixture(scope="module")
def shared():
    """A model whose graphs are traced once, and its first weights."""
    model = make()
    return model, model.get_weights()


@pytest.fixture
def model(shared):
    made, weights = shared
    made.set_weights(weights)
    return made


@pytest.fixture(scope="module")
def losses(shared):
    made, weights = shared
    made.set_weights(weights)
    history = made.fit(dataset(), shuffle=False, verbose=0).history
    return history["nll"][0], made.evaluate(dataset(), verbose=0, return_dict=True)["nll"]


@pytest.mark.parametrize("form", FORMS)
def test_batches_in_whatever_form_are_learnt_alike(form, losses, model):
    for learn, expected in zip((model.fit, model.evaluate), losses, strict=True):
        arguments, options = FORMS[form]()
        if not any(name in form for name in ("generator", "dataset", "PyDataset")):
            options |= {"batch_size": 2}
        if learn == model.evaluate:
            steps = options.pop("steps_per_epoch", None)
            found = model.evaluate(*arguments, **options, steps=steps, verbose=0, return_dict=True)["nll"]
        else:
            found = model.fit(*arguments, **options, shuffle=False, verbose=0).history["nll"][0]
        np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("compiled", "options"),
    [
        ({"run_eagerly": True}, {}),
        ({"steps_per_execution": 3}, {}),
        ({"jit_compile": False}, {}),
        ({"jit_compile": "auto"}, {"steps_per_epoch": 3}),
        ({}, {"validation_data": (S.astype("int64"), T)}),
        ({}, {"validation_data": [ROWS, TARGETS]}),
        ({}, {"validation_data": dataset()}),
        ({}, {"validation_data": (S, T), "validation_batch_size": 3, "validation_freq": 1}),
    ],
    ids=str,
)
def test_options_of_fit(compiled, options, losses, model):
    if compiled:
        model = make(**compiled)
    history = model.fit(S, T, batch_size=2, shuffle=False, verbose=0, **options).history
    np.testing.assert_allclose(history["nll"][0], losses[0], rtol=1e-5)
    assert ("val_nll" in history) == ("validation_data" in options)
    if "validation_data" in options:
        np.testing.assert_allclose(history["val_nll"][0], losses[1], rtol=1e-5)


def test_a_share_for_validation(losses):
    history = make(run_eagerly=True).fit(S, T, batch_size=2, validation_split=0.34, shuffle=False, verbose=0).history
    assert history["val_nll"][0] > 0
    assert history["nll"][0] != pytest.approx(losses[0], rel=1e-4), "of fewer sentences"


LEFT = pad(ROWS), pad(TARGETS)
EMPTY, LARGE, NEGATIVE = np.array(T), np.array(T), np.array(T)
EMPTY[1], LARGE[2, 1], NEGATIVE[3, 0] = 0, V, -1
LEFT_ERROR = (
    r"source\[1\]: padding \(0\) before a token: pad at the end, as keras.utils.pad_sequences\(ids, padding='post'\)"
)
LEFT_IN_BATCH = r"source: a row is empty or has padding \(0\) before a token: pad at the end, .* padding='post'\)"
WEIGHTS = (
    "sample_weight and class_weight are not supported: all target tokens count equally, and padding does not count"
)
NO_TARGET = r"a batch has no target: expected \(source, target\)"
ONES = np.ones(6, "float32")

# Arguments, options, and what is said; `fit` and `evaluate` say the same.
REFUSED = {
    "left-padded source": ((LEFT[0], T), {}, LEFT_ERROR),
    "left-padded target": ((S, LEFT[1]), {}, r"target\[1\]: padding \(0\) before a token"),
    "left-padded in a dataset": ((dataset(LEFT[0], T),), {}, LEFT_IN_BATCH),
    "an empty row": ((S, EMPTY), {}, r"target\[1\]: the row is empty: leave it out"),
    "an empty row in a dataset": ((dataset(S, EMPTY),), {}, "target: a row is empty"),
    "a large id": ((S, LARGE), {}, r"target\[2\]: expected ids from 0 to 11, the vocabulary, found 12\."),
    "a negative id": ((S, NEGATIVE), {}, r"target\[3\]: expected ids from 0 to 11, the vocabulary, found -1\."),
    "a large id in a dataset": (
        (dataset(S, LARGE),),
        {},
        "target: expected ids from 0 to 11, the vocabulary, found a maximum of 12 and a minimum of 0",
    ),
    "a large id in a list": ((ROWS, [*TARGETS[:-1], [99, 3]]), {}, r"target\[5\]: .* found 99\."),
    "an id that is no number": (
        (ROWS, [*TARGETS[:-1], [5, None, 3]]),
        {},
        r"target\[5\]: expected token ids, found None",
    ),
    "an id that is NaN": (
        (ROWS, [*TARGETS[:-1], [5, float("nan")]]),
        {},
        r"target\[5\]: expected token ids, found nan",
    ),
    "text among ids": (
        (ROWS, [*TARGETS[:-1], [5, "dog"]]),
        {},
        r"target\[5\]: expected token ids, found the string 'dog'",
    ),
    "floats": (
        (S.astype("float32"), T),
        {},
        "source: expected token ids .* of an integer type, found an array of float32",
    ),
    "floats in a dataset": ((dataset(S.astype("float32"), T),), {}, "source: expected token ids .*, found float32"),
    "truth values": ((S > 4, T), {}, "source: expected token ids .*, found an array of bool"),
    "one dimension": ((S[0], T[0]), {}, r"source: .*found an array of int32 of shape \(4,\)"),
    "three dimensions": ((S[..., None], T), {}, r"source: .*found an array of int32 of shape \(6, 4, 1\)"),
    "no sentences": ((S[:0], T[:0]), {}, r"source: .*found an array of int32 of shape \(0, 4\)"),
    "unequal numbers": ((S, T[:4]), {}, "found 6 source and 4 target rows"),
    "texts": ((["a dog"], ["ein Hund"]), {}, r"found text\. seq2seq\.make_dataset\(pairs\)"),
    "pairs of texts": (([("a dog", "ein Hund")],), {}, "found text"),
    "an array of texts": ((np.array(["a"]), np.array(["b"])), {}, "found text"),
    "bytes": (([b"a"], [b"b"]), {}, "found text"),
    "nothing": ((None,), {}, "expected batches of token ids, found None"),
    "an empty list": (([],), {}, "found an empty list"),
    "the source alone": ((S,), {}, "expected source and target, found only the source"),
    "the source alone in a dataset": ((dataset(S),), {}, NO_TARGET),
    "an unbatched dataset": (
        (tf.data.Dataset.from_tensor_slices((S, T)),),
        {},
        r"Is \.batch\(N\) missing from the dataset\?",
    ),
    "a dict": (({"source": S, "target": T},), {}, "found a dict of 2"),
    "a dataset of dicts": (
        (tf.data.Dataset.from_tensor_slices({"x": S, "y": T}).batch(2),),
        {},
        NO_TARGET + ".*found a dict of 'x', 'y'",
    ),
    "teacher forcing of a tutorial": (((S, T[:, :-1]), T[:, 1:]), {}, "the decoder reads the target, shifted by one"),
    "teacher forcing in a dataset": (
        (tf.data.Dataset.from_tensor_slices(((S, T), T)).batch(2),),
        {},
        "the decoder reads the target, shifted by one",
    ),
    "weights of samples": ((S, T), {"sample_weight": ONES}, WEIGHTS),
    "weights of tokens": ((S, T), {"sample_weight": (T != 0).astype("float32")}, WEIGHTS),
    "weights in a dataset": ((dataset(S, T, ONES),), {}, WEIGHTS),
    "batches without a target": ((Sources(),), {}, NO_TARGET),
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("method", ["fit", "evaluate"])
def test_what_is_refused_is_refused_in_one_line(method, name, model):
    arguments, options, message = REFUSED[name]
    with pytest.raises(ValueError, match=message) as error:
        getattr(model, method)(*arguments, **options, verbose=0)
    assert "\n" not in str(error.value).strip()


def test_a_wrong_batch_of_a_dataset_is_named_alike_in_eager_mode():
    model = make(run_eagerly=True)
    for data, message in (
        (dataset(LEFT[0], T), LEFT_IN_BATCH),
        (
            dataset(S, LARGE),
            "target: expected ids from 0 to 11, the vocabulary, found a maximum of 12 and a minimum of 0",
        ),
    ):
        with pytest.raises(ArgumentError, match=rf"Seq2Seq\.fit: {message}"):
            model.fit(data, verbose=0)


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((S, T), {"class_weight": {0: 1.0, 5: 2.0}}, WEIGHTS),
        ((S, T), {"validation_data": (S, T, ONES)}, "validation_data: " + WEIGHTS),
        ((S, T), {"validation_data": LEFT}, r"fit: validation_data: source\[1\]: padding"),
        ((S, T), {"validation_data": (S,)}, "validation_data: expected source and target, found only the source"),
        ((S, T), {"validation_data": dataset(*LEFT)}, LEFT_IN_BATCH),
    ],
)
def test_what_fit_alone_takes_is_refused(arguments, options, message, model):
    with pytest.raises(ArgumentError, match=message):
        model.fit(*arguments, **options, verbose=0)


@pytest.mark.parametrize("method", ["train_on_batch", "test_on_batch"])
def test_single_batches(method, model):
    assert getattr(model, method)(ROWS, TARGETS, return_dict=True)["nll"] > 0
    for arguments, options, message in (
        ((LEFT[0], T), {}, LEFT_ERROR),
        ((S, T), {"sample_weight": ONES}, WEIGHTS),
        ((["a"], ["b"]), {}, ".*found text"),
    ):
        with pytest.raises(ArgumentError, match=rf"Seq2Seq\.{method}: {message}"):
            getattr(model, method)(*arguments, **options)


@pytest.mark.parametrize("method", ["predict", "predict_on_batch"])
@pytest.mark.parametrize("data", [S, (S, T), dataset()], ids=["array", "pair", "dataset"])
def test_predict_says_what_does_it_instead(method, data, model):
    with pytest.raises(
        ArgumentError, match=r"Seq2Seq\.predict: a model returns logits.*Translator\(model, \*tokenizers\)"
    ):
        getattr(model, method)(data)


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (
            lambda model, path: model.export(path),
            "a graph of logits does not search for translations. .*export_model copies it",
        ),
        (lambda model, path: model.export(path, format="onnx"), "a graph of logits does not search for translations"),
        (lambda model, path: model.quantize("int8"), "`seq2seq quantize DIRECTORY` then makes an 8-bit decoder"),
        (
            lambda model, path: model(S),
            r"expected one pair of source and target ids\. Call model\(\(source, target\)\)",
        ),
    ],
)
def test_other_uses_of_a_model_alone_say_what_does_it(use, message, model, tmp_path):
    with pytest.raises(ArgumentError, match=message):
        use(model, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"loss": "sparse_categorical_crossentropy"}, "its own is the cross-entropy per target token, without padding"),
        ({"loss": keras.losses.MeanSquaredError()}, "its own is the cross-entropy"),
        ({"loss": lambda true, predicted: 0.0}, "its own is the cross-entropy"),
        ({"metrics": ["accuracy"]}, "`fit` reports loss, nll and gradient_norm"),
        ({"weighted_metrics": ["accuracy"]}, "all target tokens count equally"),
        ({"jit_compile": True}, "XLA compiles again"),
        ({"optimizer": keras.optimizers.Adam(clipnorm=1.0)}, "pass clip_norm to compile"),
        ({"optimizer": keras.optimizers.Adam(global_clipnorm=1.0)}, "pass clip_norm to compile"),
    ],
)
def test_compile_says_what_there_is_instead(options, message):
    with pytest.raises(ValueError, match=message):
        Seq2Seq(V, V, {"size": 6}, {"units": 8}, {"units": 8}).compile(**options)


def test_without_compile_keras_says_so():
    with pytest.raises(ValueError, match=r"You must call `compile\(\)`"):
        Seq2Seq(V, V, {"size": 6}, {"units": 8}, {"units": 8}).fit(S, T, verbose=0)
