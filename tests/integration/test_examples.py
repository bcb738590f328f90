"""The examples run as they stand, on any data, at toy size."""

import ast
import json
import re
import runpy
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Thread
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import keras
import pytest

from seq2seq import Translator
from seq2seq.model_directory.inspection import inspect_model
from tests.toy import pairs, save_random_model, toy_tokenizer, write_corpus

pytestmark = pytest.mark.usefixtures("shared_graphs")

EXAMPLES = Path(__file__).parents[2] / "examples"
NAMES = sorted(path.name for path in EXAMPLES.glob("*.py"))
TOY = (
    "data.train.pairs=300",
    "data.valid.pairs=20",
    "data.test.pairs=20",
    "tokenizer.vocabulary_size=200",
    "embeddings.size=8",
    "encoder.units=8",
    "decoder.units=8",
    "training.updates=3",
    "validation.compute_bleu=false",
    "validation.metric=loss",
    "search.beam_size=2",
    "search.max_length_factor=0.5",
)


def run(name, *arguments):
    """Run an example in this process, as a program of its own; returns its names."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [name, *map(str, arguments)])
        return runpy.run_path(str(EXAMPLES / name), run_name="__main__")


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """What they write without being told where to goes here."""
    monkeypatch.chdir(tmp_path)
    write_corpus(tmp_path)


def test_train_scores_and_translates(tmp_path, capsys):
    run("train.py", "--output", "here", *(word for key in TOY for word in ("--set", key)))
    printed = capsys.readouterr().out
    assert re.search(r"^BLEU \d+\.\d \[\d+\.\d, \d+\.\d\] on \d+ test sentences$", printed, re.MULTILINE)
    assert re.search(r"^nrefs:1\|.*\|version:[\d.]+$", printed, re.MULTILINE)
    for label in ("source", "reference", "hypothesis"):
        assert len(re.findall(rf"^{label} ", printed, re.MULTILINE)) == 5, label
    assert "\ngreedy " in printed
    assert "updates: 3" in (tmp_path / "here" / "config.yaml").read_text(encoding="utf-8"), "the override arrived"


def test_train_needs_no_test_corpus(tmp_path, capsys):
    keys = (*TOY, "data.test=null")
    with pytest.raises(SystemExit) as end:
        run("train.py", "quickstart", "--output", "here", *(word for key in keys for word in ("--set", key)))
    assert not end.value.code
    assert "To score it: seq2seq evaluate here --source FILE" in capsys.readouterr().out
    assert {path.name for path in tmp_path.iterdir()} == {"here", "train.tsv", "valid.tsv"}


def test_train_on_pairs_scores_and_keeps(capsys):
    names = run("train_on_pairs.py", "train.tsv", "mine", "--minutes", 0.03)
    printed = capsys.readouterr().out
    assert re.search(r"^BLEU \d+\.\d on \d+ sentences \(nrefs:1\|.*\)$", printed, re.MULTILINE)
    assert len(re.findall(r"^hypothesis ", printed, re.MULTILINE)) == 5
    assert_kept("mine", names, [source for source, _ in names["test"]])
    trained = {source for source, _ in names["pairs"]} - {source for source, _ in names["test"]}
    assert inspect_model("mine")["corpus"]["train"][0]["read"] > len(trained) / 2


@pytest.mark.parametrize("name", ["train_on_pairs.py", "keras_fit.py"])
def test_an_output_that_is_there_is_refused_before_training(name, tmp_path, capsys):
    (tmp_path / "mine").mkdir()
    with pytest.raises(SystemExit) as end:
        run(name, "train.tsv", "mine")
    assert end.value.code == 2
    assert "mine exists already: give another output" in capsys.readouterr().err


def test_keras_fit_keeps_the_best(tmp_path, capsys):
    names = run("keras_fit.py", "train.tsv", "runs/mine", "--epochs", 3, "--units", 8)
    assert "saved: Translator.load('runs/mine'), or seq2seq translate runs/mine" in capsys.readouterr().out
    assert_kept("runs/mine", names, [source for source, _ in names["valid"]])
    assert not {source for source, _ in names["valid"]} & {source for source, _ in names["train"]}
    resumed = keras.models.load_model(tmp_path / "runs" / "mine.keras")
    assert resumed.fit(names["batches"], shuffle=False, verbose=0).history["nll"]


def assert_kept(folder, names, sources):
    """What an example kept translates as what it had in memory."""
    texts = [[one.text for one in each.translate(sources)] for each in (Translator.load(folder), names["translator"])]
    assert texts[0] == texts[1]


def post(server, body):
    request = Request(f"http://localhost:{server.server_port}", data=body.encode())
    with urlopen(request) as answer:
        return json.loads(answer.read())


def test_serve_answers_threads_as_one_translator_does(tmp_path):
    save_random_model(tmp_path / "model", toy_tokenizer())
    translator = Translator.load(tmp_path / "model")
    server = runpy.run_path(str(EXAMPLES / "serve.py"))["make_server"](translator, 0)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        texts = [source for source, _ in pairs(24, 3)]
        expected = [translation.text for translation in Translator.load(tmp_path / "model").translate(texts)]
        with ThreadPoolExecutor(6) as clients:
            answers = list(clients.map(lambda text: post(server, json.dumps({"text": text})), texts))
        assert answers == [{"translations": [text]} for text in expected]
        assert post(server, json.dumps({"text": texts})) == {"translations": expected}
        assert post(server, json.dumps({"text": []})) == {"translations": []}
        for wrong in ("{", "[]", "{}", '{"text": 5}', '{"text": [5]}', ""):
            with pytest.raises(HTTPError) as error:
                post(server, wrong)
            assert error.value.code == 400, wrong
            assert json.loads(error.value.read())["error"].startswith('expected a POST of {"text": "A sentence."}, or')
        with pytest.raises(HTTPError) as error, urlopen(f"http://localhost:{server.server_port}"):
            pass
        assert error.value.headers["Content-Type"] == "application/json"
        assert "expected a POST" in json.loads(error.value.read())["error"]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize("name", NAMES)
def test_it_is_short_and_uses_public_names_alone(name):
    import seq2seq

    text = (EXAMPLES / name).read_text(encoding="utf-8")
    assert len(text.splitlines()) < 90
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            modules = [str(node.module)]
            if node.module == "seq2seq":
                assert {alias.name for alias in node.names} <= set(seq2seq.__all__)
        else:
            continue
        for module in modules:
            known = module in ("seq2seq", "keras", "rich.console")
            assert known or module.partition(".")[0] in sys.stdlib_module_names, module
