"""Line N of a translation answers line N, whatever the lines hold: by the Python API and by the command."""

import io
import json
import sys

import keras
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from seq2seq.config import SearchOptions, TokenizerConfig
from seq2seq.corpora.lines import open_text
from seq2seq.data.tokenizer import UNK_ID, Tokenizer, Tokenizers
from seq2seq.errors import CorpusError
from seq2seq.inference.results import MAX_ATTENTION_WEIGHTS
from seq2seq.inference.translator import Translator
from seq2seq.model_directory.directory import create_model_directory
from seq2seq.models.build import build_model
from tests.command import run
from tests.conftest import randomize
from tests.fuzz.conftest import examples, outcome
from tests.fuzz.texts import PIECES, broken, sentences
from tests.toy import pairs, save_trained, toy_config

TOKENIZERS = {"spelling": {"vocabulary_size": 310, "byte_fallback": True}, "unknown": {"vocabulary_size": 56}}
LONG = 100_000  # characters
NASTY = [
    "the dog sees\0bird",
    "",
    " \t\u3000\u2003",
    "\u200b",
    "\u202e\u0627\u0644\u0643\u0644\u0628\u202c the dog",
    "\uff76\uff9e\uff71 \U0001f469\u200d\U0001f467 e\u0301\u0323",
    "a\u2028b\x85c\x1cd\x0be\x0cf\rg",
    "\u2581",
    "the king loves bird here",
]
texts = sentences | broken
FLAGS = ("--beam-size", 1, "--max-length-factor", 0.1)


def make(folder, tokenizer):
    """A model directory with random weights, of which many a token is unknown or half a character."""
    keras.utils.set_random_seed(2)
    tokenizers = Tokenizers(tokenizer, tokenizer)
    search = {"beam_size": 2, "max_length_factor": 1.0, "max_length_extra": 3}
    config = toy_config(folder.parent, search=search)
    model = build_model(config, tokenizers)
    randomize(model, seed=5, scale=0.7)
    bias = next(weight for weight in model.weights if weight.path.endswith("output_bias"))
    values = bias.numpy()
    values[UNK_ID] += 2.0
    bias.assign(values)
    folder.mkdir()
    create_model_directory(folder, config, tokenizers)
    save_trained(folder, model, {})
    return folder


@pytest.fixture(scope="module")
def translators(tmp_path_factory):
    folder, text = tmp_path_factory.mktemp("models"), [side for pair in pairs(100, 1) for side in pair]
    trained = {kind: Tokenizer.train(text, TokenizerConfig(**options)) for kind, options in TOKENIZERS.items()}
    return {kind: Translator.load(make(folder / kind, tokenizer)) for kind, tokenizer in trained.items()}


@pytest.fixture(scope="module")
def folder(translators, tmp_path_factory):
    """Where the command finds its input; it gets translators that are there already, to be quick."""
    loaded = {translator.step_sources.folder: translator for translator in translators.values()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Translator, "load", lambda paths, *precision, on_warning: loaded[paths[0]])
        yield tmp_path_factory.mktemp("files")


def options(**values):
    return SearchOptions(**{"beam_size": 1, "max_length_factor": 1.0, "max_length_extra": 3} | values)


def check(translator, lines, results, chosen):
    """Each answer is one line, blank for what gives no tokens, and what the line alone is answered with."""
    assert len(results) == len(lines)
    for line, result in zip(lines, results, strict=True):
        assert "\n" not in result.text
        result.text.encode()
        if not translator.tokenizers.source.encode(line):
            assert result.text == ""
        (alone,) = translator.translate([line], chosen)
        assert result.text == alone.text
        assert result.tokens == alone.tokens


@pytest.mark.parametrize("kind", TOKENIZERS)
@examples(0.2)
@given(lines=st.lists(texts, max_size=6), unk=st.sampled_from(["keep", "replace"]), most=st.sampled_from([5, 200]))
@example(lines=NASTY, unk="replace", most=200)
@example(lines=NASTY, unk="keep", most=5)
@example(lines=["\ud800", "\udc00x", "the dog", "\ud83d\ude00"], unk="replace", most=5)
def test_line_n_is_answered_by_result_n(translators, kind, lines, unk, most):
    translator, chosen = translators[kind], options(unk_handling=unk, max_source_tokens=most)
    results = translator.translate(lines, chosen)
    check(translator, lines, results, chosen)
    streamed = translator.translate_stream(lines, chosen, chunk=2)
    assert [result.text for result in streamed] == [result.text for result in results]
    for result in results:
        json.dumps(result.as_dict(), allow_nan=False).encode()


LONG_LINES = {
    "words": "the dog sees bird. ",
    "one word": "x",
    "emoji": "\U0001f469\u200d\U0001f467",
    "NULs": "\0",
    "half-width": "\uff76\uff9e",
    "right to left": "\u05e9\u05dc ",
    "quotes": ".'",
    "unknown between known": "\u2603d",
    "blanks": " \u3000",
}


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_very_long_lines_shift_no_line(translators, kind):
    translator, chosen = translators[kind], options(unk_handling="replace", max_length_factor=0.1)
    long = [(piece * LONG)[:LONG] for piece in LONG_LINES.values()]
    if kind == "spelling":  # in bytes they are longer: two of them will do
        long = [long[0], long[3]]
    lines = [line for pair in zip(long, ["the dog", ""] * len(long), strict=False) for line in pair]
    results = translator.translate(lines, chosen)  # with attention, as by default
    assert len(results) == len(lines)
    for line, result in zip(lines, results, strict=True):
        expected = "" if not line else translator.translate(["the dog"], chosen)[0].text
        assert len(line) == LONG or result.text == expected
        assert "\n" not in result.text
        assert result.attention.size <= MAX_ATTENTION_WEIGHTS
        assert len(result.attention) == len(result.tokens)
    assert results[0].num_segments > 100, "long lines are divided"
    assert not results[0].attention.size


def test_attention_of_a_line_in_a_few_pieces_is_kept(translators):
    (result,) = translators["spelling"].translate(["the dog sees bird. " * 40], options())
    assert result.num_segments > 1
    assert result.attention.shape == (len(result.tokens), len(result.source_tokens))


raw = st.one_of(
    sentences.map(str.encode),
    st.binary(max_size=20).map(lambda line: line.replace(b"\n", b"")),
    st.sampled_from([b"\xff", b"\xed\xa0\x80", b"\xc0\x80", b"\xf4\x90\x80\x80", b"a\xe2", b"\xef\xbb\xbfthe dog"]),
    st.sampled_from(PIECES).map(lambda piece: ("the dog " + piece).encode()),
)


@pytest.mark.parametrize("kind", TOKENIZERS)
@examples(0.15)
@given(rows=st.lists(raw, max_size=6), last=st.booleans(), kept=st.sampled_from(["text", "tsv", "jsonl"]))
@example(rows=[line.encode() for line in NASTY], last=True, kept="text")
@example(rows=["grün".encode(), b"\xed\xa0\x80 the dog", b"\0"], last=False, kept="jsonl")
@example(rows=[b"\xff\xfe", b"\xed\xa0\x80 the dog", b"\0"], last=False, kept="jsonl")
@example(rows=[b"the dog", b"\xef\xbb\xbf", b"\r", b""], last=True, kept="tsv")
def test_the_command_answers_every_line_of_any_bytes(translators, folder, kind, rows, last, kept):
    translator = translators[kind]
    data = b"".join(row + b"\n" for row in rows)
    data = data if last else data.removesuffix(b"\n")
    (folder / "source").write_bytes(data)
    flags = ("-i", folder / "source", "-o", folder / "target", "--format", kept, *FLAGS)
    refused, _ = outcome(CorpusError, lambda: open_text(folder / "source", lenient=True).close() or True)
    if refused is None:  # another encoding, or no text
        assert run("translate", translator.step_sources.folder, *flags) == 1
        return
    assert run("translate", translator.step_sources.folder, *flags) == 0
    *answers, end = (folder / "target").read_bytes().decode("utf-8").split("\n")
    assert end == ""
    found = data.split(b"\n")[: -1 if data.endswith(b"\n") or not data else None]
    lines = [row.removesuffix(b"\r") for row in found]
    lines[:1] = [line.removeprefix(b"\xef\xbb\xbf") for line in lines[:1]]
    sources = [line.decode("utf-8", "replace") for line in lines]
    expected = [translator.translate([line], options(max_length_factor=0.1))[0] for line in sources]
    if kept == "text":
        assert answers == [result.text for result in expected]
    elif kept == "tsv":
        columns = [answer.split("\t") for answer in answers]
        assert [int(number) for number, _, _ in columns] == list(range(1, len(lines) + 1))
        assert [text for _, _, text in columns] == [result.text for result in expected]
    else:
        values = list(map(json.loads, answers))
        assert [value["source"] for value in values] == sources
        assert [value["line"] for value in values] == list(range(1, len(lines) + 1))
        assert [value["translations"][0]["text"] for value in values] == [result.text for result in expected]


def test_a_long_line_from_stdin_comes_back_as_json(translators, folder, monkeypatch, capsysbinary):
    lines = [b"the dog", b"the dog sees bird. " * (LONG // 19), b"\xff", b"", b"bird"]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\n".join(lines))))
    assert run("translate", translators["unknown"].step_sources.folder, *FLAGS, "--format", "jsonl") == 0
    captured = capsysbinary.readouterr()
    values = [json.loads(line) for line in captured.out.split(b"\n")[:-1]]
    assert [value["line"] for value in values] == [1, 2, 3, 4, 5]
    assert values[1]["num_segments"] > 100
    assert values[3]["translations"][0]["text"] == ""
    assert b"stdin:3: invalid UTF-8" in captured.err
