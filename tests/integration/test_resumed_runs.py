"""What an interrupted run is resumed with: what may change, what is refused, what is made again."""

import gzip
import io
import json
import shutil

import pytest
from rich.console import Console

from seq2seq.errors import ModelDirectoryError, TrainingError
from seq2seq.inference.translator import Translator
from seq2seq.model_directory import LAST
from seq2seq.model_directory.directory import METADATA, load_model_config
from seq2seq.model_directory.history import append_history, read_history
from seq2seq.training import StopReason, train
from seq2seq.training.checkpoints import CORPUS_PATHS
from tests.runs import InterruptAfter, assert_same_run
from tests.toy import toy_config, write_corpus

pytestmark = pytest.mark.usefixtures("shared_graphs")
BATCHES = 5  # of the interrupted run


@pytest.fixture(scope="module")
def interrupted(corpus, tmp_path_factory):
    """A run of the toy recipe that was interrupted before its first validation."""
    folder = tmp_path_factory.mktemp("interrupted") / "run"
    assert train(toy_config(corpus), folder, [InterruptAfter(BATCHES)]).end is None
    return folder


@pytest.fixture
def run(interrupted, tmp_path):
    """A copy of it."""
    return shutil.copytree(interrupted, tmp_path / "run")


@pytest.fixture
def changing(corpus):
    """The corpus, to be changed by the test alone."""
    yield corpus
    write_corpus(corpus)


def test_history_after_the_checkpoint_is_dropped_on_resume(corpus, run):
    entry = {"epoch": 9, "update": 999, "valid_loss": 1.0, "bleu": None, "best": False, "seconds": 1.0}
    with (run / "history.jsonl").open("a") as file:
        file.write(json.dumps(entry) + "\n")
    train(toy_config(corpus), run)
    assert 999 not in [entry["update"] for entry in read_history(run)]


def test_a_second_validation_of_one_update_is_not_repeated(corpus, tmp_path, monkeypatch):
    """The last batches of a run may be too few for an update; it ends between their validation and its checkpoint."""
    batches = train(toy_config(corpus, training={"epochs": 1}), tmp_path / "whole").updates
    steps = next(number for number in (3, 4, 5, 7) if batches % number)
    options = {"epochs": 1, "accumulation_steps": steps}
    config = toy_config(corpus, training=options, validation={"interval_updates": batches // steps})

    def end_at_the_second(folder, entry):
        append_history(folder, entry)
        if len(read_history(folder)) == 2:
            raise ArithmeticError

    with monkeypatch.context() as patch:
        patch.setattr("seq2seq.training.checkpoints.append_history", end_at_the_second)
        with pytest.raises(ArithmeticError):
            train(config, tmp_path / "run")
    train(config, tmp_path / "run")
    assert [entry["update"] for entry in read_history(tmp_path / "run")] == [batches // steps] * 2


def test_lowering_the_end_of_an_interrupted_run_still_measures_it(corpus, run):
    report = train(toy_config(corpus, training={"updates": BATCHES - 1}), run)
    assert report.end.reason is StopReason.UPDATES
    assert [entry["update"] for entry in report.history] == [BATCHES]
    Translator.load(run)


def test_only_the_end_may_change(corpus, run):
    with pytest.raises(TrainingError, match=r"changed: search.length_penalty\."):
        train(toy_config(corpus, search={"beam_size": 4, "length_penalty": 0.5}), run)
    with pytest.raises(TrainingError, match="was written in float32, but this run would resume in mixed_bfloat16"):
        train(toy_config(corpus, training={"epochs": 2, "precision": "mixed_bfloat16"}), run)
    search = {"beam_size": 4, "n_best": 5, "sample": True, "temperature": 0.5, "top_k": 9, "top_p": 0.9, "seed": 2}
    assert train(toy_config(corpus, validation={"patience": 9}, search=search), run).end
    assert Translator.load(run).options.n_best == 5


def test_another_recipe_is_refused_with_its_changes(corpus, run):
    schedule = {"type": "inverse_sqrt", "warmup_updates": 3}  # may change
    changed = {"training": {"epochs": 1, "clip_norm": 0.5, "schedule": schedule}, "decoder": {"units": 14}}
    with pytest.raises(TrainingError, match=r"changed: training.clip_norm, decoder.units\."):
        train(toy_config(corpus, **changed), run)


def test_override_goes_on_with_another_recipe_and_corpus(changing, run):
    """The epoch begins anew, with the weights and the updates of the run."""
    write_corpus(changing, train=200)
    changed = {"clip_norm": 0.5, "epochs": 1, "consistency": {"type": "simcut"}}
    other = toy_config(changing, batching={"max_tokens": 100, "shuffle_buffer": 40}, training=changed)
    screen = io.StringIO()
    report = train(other, run, console=Console(file=screen, width=200), allow_changes=True)
    batches = json.loads((run / "encoded/train/metadata.json").read_text())["kept"]
    assert batches == 200
    assert report.end
    assert report.updates > BATCHES + 200 * 5 / 100
    assert "the recipe changed: batching.max_tokens, training.clip_norm" in screen.getvalue()
    assert train(other, run).updates == report.updates, "it is the new recipe's run from then on"
    with pytest.raises(TrainingError, match="does not fit this model"):
        train(toy_config(changing, decoder={"units": 14}), run, allow_changes=True)


@pytest.fixture(scope="module")
def whole(corpus, tmp_path_factory):
    """The run without an interruption."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    train(toy_config(corpus), folder)
    return folder


def moved(corpus, folder, way):
    """Sections `data` of the same text in another folder."""
    folder.mkdir()
    sections = {}
    for name in ("train", "valid"):
        text = (corpus / f"{name}.tsv").read_bytes()
        if way == "packed":
            (folder / f"{name}.gz").write_bytes(gzip.compress(text))
        else:
            (folder / name).write_bytes(text)
        sections[name] = {"tsv": str(folder / (f"{name}.gz" if way == "packed" else name))}
    return {"data": sections}


@pytest.mark.parametrize("way", ["plain", "packed"])
def test_a_corpus_that_was_moved_is_the_same(way, corpus, run, whole, tmp_path):
    encoded = (run / "encoded" / "train" / "source.tokens.bin").stat().st_mtime_ns
    config = toy_config(corpus, **moved(corpus, tmp_path / "elsewhere", way))
    train(config, run)
    assert_same_run(run, whole)
    assert (run / "encoded" / "train" / "source.tokens.bin").stat().st_mtime_ns == encoded, "not encoded again"
    assert load_model_config(run) == config, "where it lies now"


def test_other_text_elsewhere_is_refused_with_its_key(corpus, run, tmp_path):
    sections = moved(corpus, tmp_path / "elsewhere", "plain")
    with (tmp_path / "elsewhere" / "train").open("a") as file:
        file.write("the dog\tder Hund\n")
    with pytest.raises(
        TrainingError, match=r"the training or validation corpus.*; changed: data.train.tsv, data.valid.tsv\."
    ):
        train(toy_config(corpus, **sections), run)


@pytest.mark.parametrize("key", ["train.tsv", "train.source", "valid.target", "test.tsv", "train.mixture.3.tsv"])
def test_every_key_that_says_where_text_lies_may_change(key):
    assert CORPUS_PATHS.fullmatch(f"data.{key}")


@pytest.mark.parametrize(
    "key", ["data.train.columns", "data.train.phrasebook", "data.valid.fraction", "xdata.train.tsv"]
)
def test_what_says_which_text_it_is_may_not(key):
    assert not CORPUS_PATHS.fullmatch(key)


@pytest.mark.parametrize("sizes", [{"train": 121}, {"valid": 13}])
def test_a_changed_corpus_is_refused_on_resume(sizes, changing, run):
    write_corpus(changing, **sizes)
    with pytest.raises(TrainingError, match="the training or validation corpus"):
        train(toy_config(changing), run)


def test_encoded_corpora_are_made_again_only_when_something_changed(changing, run):
    config = toy_config(changing, training={"updates": 1})
    tokens = run / "encoded" / "train" / "source.tokens.bin"
    before = tokens.stat().st_mtime_ns
    train(config, run)
    assert tokens.stat().st_mtime_ns == before
    (run / LAST).unlink()
    (run / METADATA).unlink()
    write_corpus(changing, train=121)
    train(config, run)
    assert tokens.stat().st_mtime_ns != before


def test_a_damaged_checkpoint_is_an_error(corpus, run):
    content = bytearray((run / LAST).read_bytes())
    content[len(content) // 2] ^= 0xFF
    (run / LAST).write_bytes(content)
    with pytest.raises(ModelDirectoryError, match=r"last\.safetensors"):
        train(toy_config(corpus), run)
