"""Which models an error about a path that is none names."""

import shutil

import pytest

from seq2seq.errors import ModelDirectoryError
from seq2seq.model_directory import nearby
from seq2seq.model_directory.directory import read_metadata
from seq2seq.model_directory.nearby import nearby_models


@pytest.fixture
def runs(tmp_path, monkeypatch):
    for name in ("runs/es", "runs/quickstart", "runs/deep/model", "runs/too/deep/model", ".hidden/model"):
        (tmp_path / name).mkdir(parents=True)
        for file in ("config.yaml", "metadata.json"):
            (tmp_path / name / file).write_text("{}")
    (tmp_path / "runs" / "begun").mkdir()
    (tmp_path / "runs" / "begun" / "config.yaml").write_text("{}")
    (tmp_path / "runs" / "link").symlink_to(tmp_path / "runs" / "es")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_most_similar_name_comes_first(runs):
    assert nearby_models(runs / "runs" / "quikstart")[0] == "runs/quickstart"
    assert nearby_models(runs / "runs" / "e")[0] == "runs/es"
    assert nearby_models(runs / "runs" / "deep" / "quickstart")[0] == "runs/deep/model", "in the same folder"
    (runs / "runs" / "fr").mkdir()
    for file in ("config.yaml", "metadata.json"):
        (runs / "runs" / "fr" / file).write_text("{}")
    assert len(nearby_models(runs / "x")) == 3
    shutil.rmtree(runs / "runs" / "fr")
    assert set(nearby_models(runs / "x")) == {"runs/es", "runs/quickstart", "runs/deep/model"}


def test_models_outside_of_the_working_directory_have_their_whole_path(runs, monkeypatch):
    monkeypatch.chdir(runs / "elsewhere")
    assert str(runs / "runs" / "es") in nearby_models(runs / "runs" / "es2")
    assert nearby_models(runs / "no" / "such" / "folder") == [], "where the path is wrong that far up, nobody knows"


def test_the_search_ends_soon(runs, monkeypatch):
    monkeypatch.setattr(nearby, "MAX_FOLDERS", 2)
    assert nearby_models(runs / "x") == []


@pytest.mark.parametrize(
    ("name", "what"), [("runs/quikstart", "no such folder"), ("elsewhere", "not a model directory")]
)
def test_the_error_names_them(runs, name, what):
    with pytest.raises(ModelDirectoryError) as error:
        read_metadata(runs / name)
    assert str(error.value).startswith(f"{runs / name}: {what}; models nearby: ")
    assert "runs/quickstart" in str(error.value)


def test_an_error_without_models_says_how_one_is_made(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelDirectoryError, match="no such folder; no models nearby; to train one: seq2seq train"):
        read_metadata(tmp_path / "x")


def test_a_run_that_has_saved_no_model_yet_says_so(runs):
    with pytest.raises(ModelDirectoryError, match=r"metadata\.json: no such file: training has not saved a model"):
        read_metadata(runs / "runs" / "begun")
