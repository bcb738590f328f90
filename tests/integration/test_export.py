"""A translate-only copy of a model: it works wherever it is, and says what it is, not where it comes from."""

import json
import shutil
import warnings
from pathlib import Path

import keras
import numpy as np
import pytest
import yaml

from seq2seq import TextGenerator, Translator, export_model, train
from seq2seq.config import TextConfig, TokenizerConfig, parse_config_text
from seq2seq.config.recipe import TASK_CONFIGS
from seq2seq.config.schema import flatten_annotation, sections
from seq2seq.config.section import PATH_UNITS, without_folders
from seq2seq.errors import EvaluationError, ModelDirectoryError
from seq2seq.evaluation.scorers import make_metric
from seq2seq.export.export import _named_files
from seq2seq.inference.int8 import quantize_decoder
from seq2seq.model_directory.derived_files import DECODER_FILE, SHORTLIST_FILE
from seq2seq.model_directory.directory import load_model_config, load_weights, read_metadata
from seq2seq.model_directory.inspection import inspect_model
from seq2seq.storage.arrays import load_arrays
from tests.command import run
from tests.models import edited, train_all
from tests.runs import assert_same_arrays
from tests.toy import language_model_config, pairs, toy_config, toy_values, write_corpus

pytestmark = pytest.mark.usefixtures("shared_searches")

MODEL = {"README.md", "config.yaml", "joint.spm", "metadata.json", "model.safetensors"}
SENTENCES = [source for source, _ in pairs(9, 5)]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A trained model with a shortlist and an 8-bit decoder; its corpus and a text lie beside it."""
    folder = tmp_path_factory.mktemp("private")
    model = train_all(folder)
    quantize_decoder(Translator.load(model).model, model)
    for name, side in (("source.txt", 0), ("reference.txt", 1)):
        (folder / name).write_text("".join(f"{pair[side]}\n" for pair in pairs(9, 5)), encoding="utf-8")
    return model


@pytest.fixture(scope="module")
def copy(model, tmp_path_factory):
    """Its copy, which was moved."""
    folder = tmp_path_factory.mktemp("elsewhere")
    assert run("export", model, folder / "made") == 0
    return (folder / "made").rename(folder / "moved")


def front_matter(folder):
    return yaml.safe_load((folder / "README.md").read_text(encoding="utf-8").split("---\n")[1])


def test_it_has_the_files_that_translate(copy, model, capsys):
    assert {file.name for file in copy.iterdir()} == MODEL | {SHORTLIST_FILE, DECODER_FILE}
    assert_same_arrays(load_weights(copy), load_weights(model))
    assert run("export", model, copy.with_name("small"), "--model-only") == 0
    assert {file.name for file in copy.with_name("small").iterdir()} == MODEL
    printed = capsys.readouterr().out
    assert "small: 5 files, " in printed
    assert all(f"  {name} " in printed for name in MODEL)


@pytest.mark.parametrize("options", [[], ["--shortlist", 3], ["--int8"], ["--n-best", 2, "--format", "jsonl"]])
def test_it_translates_to_the_letter_as_the_original(copy, model, tmp_path, options):
    for name, folder in (("ours", model), ("theirs", copy)):
        assert run("translate", folder, "-i", model.parent / "source.txt", "-o", tmp_path / name, *options) == 0
    assert (tmp_path / "theirs").read_bytes() == (tmp_path / "ours").read_bytes()


def test_every_command_works_on_it(copy, model, tmp_path, capsys):
    corpus = model.parent
    texts = "--source", corpus / "source.txt", "--reference", corpus / "reference.txt"
    for arguments in (
        ["evaluate", copy, *texts],
        ["inspect", copy],
        ["shortlist", copy, "--source", corpus / "source.txt", "--target", corpus / "reference.txt"],
        ["quantize", copy],
        ["challenge", copy, "--items", 1],
        ["export", copy, tmp_path / "again"],
        ["translate", tmp_path / "again", "-i", corpus / "source.txt", "-o", tmp_path / "out", "--shortlist", 3],
    ):
        assert run(*arguments) == 0, capsys.readouterr().err


def test_what_it_was_made_from_stays_known(copy, model):
    ours, theirs = inspect_model(copy), inspect_model(model)
    for key in ("parameters", "architecture", "tokenizers", "scores", "versions", "precision"):
        assert ours[key] == theirs[key], key
    for facts in (ours["corpus"]["valid"], *ours["corpus"]["train"]):
        assert facts["name"] in ("train.tsv", "valid.tsv")
    unnamed = {**theirs["corpus"]["train"][0], "name": "train.tsv"}
    assert ours["corpus"]["train"] == [unnamed]


def test_nothing_in_it_names_a_folder(copy, model):
    assert str(model.parent) in (model / "config.yaml").read_text(), "the original does"
    for file in copy.iterdir():
        content = file.read_bytes()
        for private in (model.parent, copy.parent, Path.home(), Path.cwd()):
            assert str(private).encode() not in content, f"{file.name} names {private}"
    assert load_model_config(copy).data.train.tsv == "train.tsv"


def test_a_copy_of_a_copy_is_the_same(copy, tmp_path):
    export_model(copy, tmp_path / "made")  # the name on its card
    for file in copy.iterdir():
        if file.suffix != ".safetensors":  # whose header has no order
            assert (tmp_path / "made" / file.name).read_bytes() == file.read_bytes(), file.name


def test_paths_of_every_kind_lose_their_folders(tmp_path):
    values = toy_values(tmp_path)
    parts = [{"tsv": "/secret/a.tsv"}, {"source": "$SECRET/b.en.gz", "target": "../secret/b.de"}]
    values["data"] |= {"train": {"mixture": parts}, "test": {"tsv": "~/secret/c.tsv"}}
    values["tokenizer"]["from_model"] = values["training"]["warm_start"] = "/secret/model/"
    values["search"]["language_model"] = "secret/lm"
    config = without_folders(parse_config_text(yaml.safe_dump(values).encode(), "recipe"))
    text = str(config.model_dump())
    assert "secret" not in text.lower()
    assert "/" not in text
    assert [part.name() for part in config.data.train.parts()] == ["a.tsv", "b.en.gz"]
    assert config.training.warm_start == config.tokenizer.from_model == "model"


def test_every_key_that_holds_a_path_says_so():
    texts = {
        "task",
        "name",
        "target_language",
        "source_language",
        "columns",
        "score_column",
        "stages",
        "changes",
        "reverse_tag",
        "source_tag",
    }  # keys that hold text, and no path
    for task, recipe in TASK_CONFIGS.items():
        for name, section in sections(recipe):
            for key, field in section.model_fields.items():
                if str in flatten_annotation(field.annotation) and key not in texts:
                    lists = key in ("user_defined_symbols", "freeze")
                    assert lists or field.json_schema_extra["unit"] in PATH_UNITS, f"{task}: {name}.{key}"
    assert {key for key in TextConfig.model_fields if TextConfig.model_fields[key].json_schema_extra["unit"] == "file"}


def test_the_card_says_what_it_is(model, tmp_path, capsys):
    corpus = model.parent
    assert (
        run("evaluate", model, "--source", corpus / "source.txt", "--reference", corpus / "reference.txt", "--json")
        == 0
    )
    report = capsys.readouterr().out
    (tmp_path / "nine.json").write_text(report)
    out = tmp_path / "my model"
    assert run("export", model, out, "--licence", "cc-by-4.0", "--evaluation", tmp_path / "nine.json") == 0
    front = front_matter(out)
    assert (front["license"], front["pipeline_tag"]) == ("cc-by-4.0", "translation")
    (result,) = front["model-index"][0]["results"]
    bleu = json.loads(report)["scores"][0]
    assert result["dataset"]["name"] == "nine"
    assert result["metrics"][0] == {
        "type": "bleu", "value": round(bleu["score"], 2), "args": {"signature": bleu["signature"]}
    }  # fmt: skip
    card = (out / "README.md").read_text(encoding="utf-8")
    assert "pip install recurrent-seq2seq\nseq2seq translate 'my model' -i FILE" in card
    assert "`nine`, 9 sentences. Scores of 9 sentences are uncertain" in card
    assert "| train | train.tsv | 60 | 60 |" in card
    assert bleu["signature"].replace("|", r"\|") in card
    snippet = card.split("```python\n")[1].split("```")[0]
    assert "Translator.load('my model')" in snippet
    export_model(out, tmp_path / "again")
    assert "nine" in (tmp_path / "again" / "README.md").read_text(encoding="utf-8"), "scores are kept"


def test_held_out_pairs_are_named_for_those_who_do_not_know_the_recipe(model, tmp_path):
    changed = shutil.copytree(model, tmp_path / "model")
    values = yaml.safe_load((changed / "config.yaml").read_text())
    values["data"]["valid"] = {"pairs": 19}
    corpus = read_metadata(changed)["corpus"]
    corpus["valid"] |= {"name": "19 pairs held out from data.train", "kept": 19}
    forge(
        changed, values, corpus=corpus, scores={"validation": {"epoch": 1, "update": 5, "valid_loss": 1.5, "bleu": 9.0}}
    )
    card = (export_model(changed, tmp_path / "copy", model_only=True) / "README.md").read_text(encoding="utf-8")
    assert "| validation | held-out pairs of the training corpus |" in card
    assert "Scores of 19 sentences are uncertain" in card
    assert "data.train" not in card


@pytest.mark.parametrize(("language", "tokenizer"), [(None, "13a"), ("zh", "zh")])
def test_the_signature_of_validation_is_sacrebleus(model, tmp_path, language, tokenizer):
    changed = shutil.copytree(model, tmp_path / "model")
    values = yaml.safe_load((changed / "config.yaml").read_text())
    values["data"]["target_language"] = language
    forge(changed, values, scores={"validation": {"epoch": 1, "update": 5, "valid_loss": 1.5, "bleu": 12.345}})
    export_model(changed, tmp_path / "copy", model_only=True)
    metric = make_metric("BLEU", language)
    metric.corpus_score(["a"], [["a"]])
    signature = str(metric.get_signature())
    assert f"tok:{tokenizer}" in signature
    (result,) = front_matter(tmp_path / "copy")["model-index"][0]["results"]
    assert result["metrics"] == [{"type": "bleu", "value": 12.35, "args": {"signature": signature}}]
    assert front_matter(tmp_path / "copy").get("language") == ([language] if language else None)


def forge(folder, values, **metadata):
    """Another recipe, with its right checksum."""
    from seq2seq.model_directory.directory import write_metadata
    from seq2seq.storage.files import sha256

    (folder / "config.yaml").write_text(yaml.safe_dump(values))
    known = read_metadata(folder)
    checksums = known["sha256"] | {"config.yaml": sha256(folder / "config.yaml")}
    write_metadata(folder, known | {"sha256": checksums} | metadata)


def test_a_place_that_is_in_use_is_refused(model, tmp_path, capsys):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("x")
    (tmp_path / "file").write_text("x")
    for output, message in (
        (tmp_path / "full", "full: not an empty directory"),
        (tmp_path / "file", "file: not an empty directory"),
        (model, "is the model to copy. Give another directory"),
        (model / "..", "not an empty directory"),
    ):
        assert run("export", model, output) == 1
        assert message in capsys.readouterr().err
    assert (tmp_path / "full" / "mine").read_text() == (tmp_path / "file").read_text() == "x"
    assert sorted(tmp_path.iterdir()) == [tmp_path / "file", tmp_path / "full"]
    (tmp_path / "empty").mkdir()
    export_model(model, tmp_path / "empty")
    assert (tmp_path / "empty" / "README.md").is_file()


@pytest.mark.parametrize("file", ["config.yaml", "joint.spm", "model.safetensors", SHORTLIST_FILE, DECODER_FILE])
def test_of_a_damaged_model_there_is_no_copy(model, tmp_path, file):
    damaged = shutil.copytree(model, tmp_path / "model")
    edited(damaged / file)
    with pytest.raises(ModelDirectoryError, match=file):
        export_model(damaged, tmp_path / "copy")
    assert list(tmp_path.iterdir()) == [damaged]


def test_what_was_made_from_another_model_is_refused_or_left_out(model, tmp_path):
    changed = shutil.copytree(model, tmp_path / "model")
    other = Translator.load(model)
    other.model.weights[0].assign_add(np.full(other.model.weights[0].shape, 0.1, np.float32))
    other.save(tmp_path / "other")
    shutil.copy(tmp_path / "other" / "model.safetensors", changed)
    with pytest.raises(ModelDirectoryError, match=f"{DECODER_FILE}: was made from files other .* seq2seq quantize"):
        export_model(changed, tmp_path / "copy")
    export_model(changed, tmp_path / "copy", model_only=True)
    assert {file.name for file in (tmp_path / "copy").iterdir()} == MODEL


def test_weights_are_stored_in_float16_and_used_in_float32(model, tmp_path, capsys):
    half = tmp_path / "half"
    assert run("export", model, half, "--dtype", "float16") == 1
    assert (
        f"{DECODER_FILE}: was made from float32 weights, but the copy has float16 weights." in capsys.readouterr().err
    )
    assert not half.exists()
    assert run("export", model, half, "--dtype", "float16", "--model-only") == 0
    stored, _ = load_arrays(half / "model.safetensors")
    rounded = {name: array.astype(np.float16) for name, array in load_weights(model).items()}
    assert_same_arrays(stored, rounded)
    assert {array.dtype for array in load_weights(half).values()} == {np.dtype(np.float32)}
    assert read_metadata(half)["weights_dtype"] == "float16"
    assert "Trained in float32; the weights are stored in float16." in (half / "README.md").read_text(encoding="utf-8")
    assert run("quantize", half) == 0
    export_model(half, tmp_path / "again")
    translator = Translator.load(half)
    translator.save(tmp_path / "saved")
    for copy in ("again", "saved"):  # the type stays, and with it what was made from these weights
        assert read_metadata(tmp_path / copy)["weights_dtype"] == "float16"
        assert_same_arrays(load_arrays(tmp_path / copy / "model.safetensors")[0], rounded)
        assert (tmp_path / copy / DECODER_FILE).exists()
    translator.model.weights[0].assign(translator.model.weights[0] * 1.0001)
    translator.save(tmp_path / "trained")
    assert read_metadata(tmp_path / "trained")["weights_dtype"] == "float32", "or a small change would be lost"


def test_weights_that_float16_does_not_have_are_refused(model, tmp_path):
    translator = Translator.load(model)
    weight = translator.model.weights[0]
    weight.assign(np.full(weight.shape, -70_000, np.float32))
    translator.save(tmp_path / "large")
    with pytest.raises(ModelDirectoryError, match=r"' has the value 70,000, but the maximum of float16 is 65,504"):
        export_model(tmp_path / "large", tmp_path / "half", dtype="float16")
    assert not (tmp_path / "half").exists()


def test_what_its_recipe_needs_is_not_left_out(model, tmp_path):
    changed = shutil.copytree(model, tmp_path / "model")
    values = yaml.safe_load((changed / "config.yaml").read_text())
    values["search"] |= {"shortlist": 3, "int8": True}
    forge(changed, values)
    with pytest.raises(ModelDirectoryError, match=f"{SHORTLIST_FILE}: is not in the copy.*the recipe's search"):
        export_model(changed, tmp_path / "copy", model_only=True)
    export_model(changed, tmp_path / "copy")
    texts = [
        [one.text for one in Translator.load(folder).translate(SENTENCES)] for folder in (changed, tmp_path / "copy")
    ]
    assert texts[0] == texts[1]


@pytest.mark.parametrize(
    ("key", "weight"), [("language_model", "language_model_weight"), ("rerank_model", "rerank_weight")]
)
def test_a_model_beside_it_is_not_lost_in_silence(model, key, weight, tmp_path):
    changed = shutil.copytree(model, tmp_path / "model")
    values = yaml.safe_load((changed / "config.yaml").read_text())
    values["search"] |= {key: "/somewhere/lm", weight: 0.3}
    forge(changed, values)
    with pytest.warns(
        UserWarning,
        match=f"with the {key.replace('_', ' ')} /somewhere/lm, which is in another directory and not copied: the copy",
    ):
        export_model(changed, tmp_path / "copy")
    assert getattr(load_model_config(tmp_path / "copy").search, key) is None


def test_a_tokenizer_that_names_files_is_told_of(tmp_path):
    import sentencepiece

    from seq2seq.data.tokenizer import Tokenizer, Tokenizers

    (tmp_path / "text").write_text("".join(f"{source}\n" for source, _ in pairs(50, 1)))
    ids = {"pad_id": 0, "unk_id": 1, "bos_id": 2, "eos_id": 3}
    sentencepiece.SentencePieceTrainer.train(
        input=str(tmp_path / "text"), model_prefix=str(tmp_path / "mine"), vocab_size=30, minloglevel=2, **ids
    )
    elsewhere = Tokenizer.load(tmp_path / "mine.model")
    ours = Tokenizer.train([source for source, _ in pairs(50, 1)], TokenizerConfig(vocabulary_size=30))
    assert _named_files(Tokenizers(elsewhere, ours)) == [str(tmp_path / "text"), str(tmp_path / "mine")]
    assert _named_files(Tokenizers(ours, ours)) == []


class ExportOnce(keras.callbacks.Callback):
    """Copy the model while it is trained, two batches after the first validation."""

    def __init__(self, folder, output):
        super().__init__()
        self.folder, self.output, self.batches = folder, output, 0

    def on_train_batch_end(self, batch, logs=None):
        self.batches += (self.folder / "metadata.json").exists()
        if self.batches == 2:
            export_model(self.folder, self.output)
            shutil.copy(self.folder / "model.safetensors", self.output / "delivered")


def test_of_a_run_that_goes_on_the_delivered_state_is_copied(tmp_path):
    write_corpus(tmp_path, train=60, valid=4)
    model, copy = tmp_path / "model", tmp_path / "copy"
    report = train(toy_config(tmp_path), model, [ExportOnce(model, copy)])
    first, second = report.history
    assert second["update"] > first["update"] + 2
    assert read_metadata(copy)["scores"]["validation"]["update"] == first["update"]
    assert_same_arrays(load_weights(copy), load_arrays(copy / "delivered")[0])
    assert any((load_weights(copy)[name] != array).any() for name, array in load_weights(model).items())
    assert len(Translator.load(copy).translate(SENTENCES)) == len(SENTENCES)


def test_a_language_model_is_copied_too(tmp_path):
    write_corpus(tmp_path, train=40, valid=4)
    train(language_model_config(tmp_path, training={"epochs": 1}), tmp_path / "model")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        export_model(tmp_path / "model", tmp_path / "copy")
    ours, theirs = (TextGenerator.load(tmp_path / name).perplexity(SENTENCES) for name in ("copy", "model"))
    assert ours == theirs
    card = (tmp_path / "copy" / "README.md").read_text(encoding="utf-8")
    assert front_matter(tmp_path / "copy")["pipeline_tag"] == "text-generation"
    assert "seq2seq perplexity copy -i FILE" in card
    assert "seq2seq translate MODEL --language-model copy" in card


def test_wrong_arguments_are_told(model, tmp_path, capsys):
    with pytest.raises(ValueError, match="export_format: expected 'directory', found the string 'onnx'"):
        export_model(model, tmp_path / "copy", export_format="onnx")
    assert run("export", model, tmp_path / "copy", "--format", "onnx") == 2
    (tmp_path / "wrong.json").write_text('{"sentences": "many"}')
    for file, message in (("wrong.json", "sentences"), ("nothing.json", "no such file")):
        with pytest.raises(EvaluationError, match=f"{file}: .*{message}"):
            export_model(model, tmp_path / "copy", evaluations=[tmp_path / file])
    assert not (tmp_path / "copy").exists()
