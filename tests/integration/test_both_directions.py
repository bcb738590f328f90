"""Training in both directions with tags, and then in one."""

import shutil

import numpy as np
import pytest

from seq2seq.config import SearchOptions, override_config
from seq2seq.corpora.held_out import open_train, open_valid
from seq2seq.data.encoded import EncodedCorpus
from seq2seq.inference.translator import Translator
from seq2seq.model_directory.directory import load_tokenizers, read_metadata
from seq2seq.training import train
from tests.command import run
from tests.runs import CopyAfter, assert_goes_on, often_saved
from tests.toy import toy_config

pytestmark = pytest.mark.usefixtures("shared_graphs")


@pytest.fixture(scope="module")
def recipe(corpus):
    """Both directions, with validation text that is held out; then one direction."""
    return toy_config(
        corpus,
        data={"reverse_tag": "<2en>", "valid": {"pairs": 10}},
        tokenizer={"source_tag": "<2de>", "vocabulary_size": 60},
        training={"epochs": 1},
        stages=[{}, {"data": {"reverse_tag": None}}],
    )


@pytest.fixture(scope="module")
def whole(recipe, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "run"
    assert train(often_saved(recipe), folder, [CopyAfter(folder / "stages" / "1", 7)]).end
    return folder


def texts(folder, tokenizers):
    """The pairs of an encoded corpus: the pieces before the first word of each source, and both texts."""
    encoded, found = EncodedCorpus(folder), []
    for number in range(len(encoded)):
        source, target = (side.ids(np.array([number])).tolist() for side in (encoded.source, encoded.target))
        tag = tokenizers.target.pieces(source[:1])[0]
        found.append((tag, tokenizers.target.decode(source[1:]), tokenizers.target.decode(target)))
    return found


def test_reversed_pairs_are_those_that_are_left_to_train_on(recipe, whole):
    first = whole / "stages" / "1"
    tokenizers = load_tokenizers(first)
    parts = open_train(recipe.data)
    pairs = [pair[:2] for pair in parts[0]]
    held_out = [pair[:2] for pair in open_valid(recipe.data, parts)]
    assert held_out
    assert texts(first / "encoded" / "train", tokenizers) == [("<2de>", *pair) for pair in pairs]
    backwards = texts(first / "encoded" / "train.reversed", tokenizers)
    assert backwards == [("<2en>", target, source) for source, target in pairs]
    assert texts(first / "encoded" / "valid", tokenizers) == [("<2de>", *pair) for pair in held_out]
    assert not {(target, source) for _, source, target in backwards} & set(held_out)
    corpus = read_metadata(first)["corpus"]
    assert [part["name"] for part in corpus["train"]] == [
        recipe.data.train.name(),
        f"{recipe.data.train.name()}, reversed",
    ]
    assert [part["share"] for part in corpus["train"]] == [0.5, 0.5]
    assert len(read_metadata(whole)["corpus"]["train"]) == 1
    assert not (whole / "encoded" / "train.reversed").exists()


def test_the_tag_is_added_by_itself(whole, tmp_path):
    translator = Translator.load(whole)
    (translation,) = translator.translate(["the dog sees the cat today"])
    assert translation.source_tokens[0] == "<2de>"
    assert translation.source_tokens.count("<2de>") == 1
    assert len(translation.source_tokens) == translation.attention.shape[1]
    # By hand: a model that reads the tag as text.
    tokenizers = load_tokenizers(whole)
    ids = translator.tokenizers.source.encode("the dog sees the cat today")
    assert ids == [*tokenizers.target.ids(["<2de>"]), *tokenizers.target.encode("the dog sees the cat today")]
    # A model with other weights is saved without its recipe, but with its tag.
    translator.model.weights[0].assign(translator.model.weights[0] + 1)
    again = Translator.load(translator.save(tmp_path / "saved"))
    assert again.tokenizers.source.tag == "<2de>"
    assert again.tokenizers.is_joint


def test_a_tag_does_not_part_a_model_from_its_shortlist(whole, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(whole, folder)
    assert run("shortlist", folder) == 0
    assert run("export", folder, tmp_path / "exported") == 0
    Translator.load(folder).save(tmp_path / "saved")
    for copy in ("exported", "saved"):
        assert Translator.load(tmp_path / copy).translate(["the dog"], SearchOptions(shortlist=3))[0].text


def test_a_run_in_both_directions_resumes_exactly(recipe, whole):
    config = often_saved(override_config(recipe, {"stages": []}))
    assert_goes_on(config, whole / "stages" / "1", 7)
