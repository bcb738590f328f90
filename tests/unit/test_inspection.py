"""What `inspect` tells equals what the model and its files are, without building the model."""

import hashlib
import json
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest

from seq2seq.cli import main
from seq2seq.config import TokenizerConfig, TranslationConfig
from seq2seq.data.tokenizer import Tokenizer, Tokenizers
from seq2seq.errors import ModelDirectoryError
from seq2seq.model_directory.derived_files import record_derived_file
from seq2seq.model_directory.directory import checksums, create_model_directory
from seq2seq.model_directory.inspection import inspect_model
from seq2seq.models.build import build_model
from tests.toy import pairs, save_trained, toy_config

CORPUS = {
    "train": [
        {"name": "a.tsv", "read": 12000, "kept": 11990, "dropped": {"duplicate": 10}, "source_tokens": 777},
        {"name": "b.tsv", "read": 5, "kept": 5, "dropped": {}, "source_tokens": 55},
    ],
    "valid": {"name": "valid.tsv", "read": 12, "kept": 12, "dropped": {}, "source_tokens": 99},
}
HISTORY = [
    {"update": 10, "epoch": 1, "valid_loss": 2.5, "bleu": 11.0, "best": True, "seconds": 40.0},
    {"update": 20, "epoch": 2, "valid_loss": 1.25, "bleu": 9.0, "best": True, "seconds": 80.0},
    {"update": 30, "epoch": 2, "valid_loss": 2.0, "bleu": 12.0, "best": False, "seconds": 3661.5},
]


def trained(size=56, sides=(0, 1)):
    options = TokenizerConfig(vocabulary_size=size)
    return Tokenizer.train((pair[side] for pair in pairs(200, 1) for side in sides), options)


@pytest.fixture
def make(tmp_path):
    """A model directory and the model in it."""

    def directory(joint=True, **sections):
        source = trained()
        target = source if joint else trained(size=38, sides=(1,))
        tokenizers = Tokenizers(source, target)
        config = toy_config(Path("corpora"), **sections)
        folder = tmp_path / "model"
        create_model_directory(folder, config, tokenizers)
        model = build_model(config, tokenizers)
        save_trained(folder, model, {"validation": {"update": 20, "valid_loss": 1.25}}, CORPUS)
        (folder / "history.jsonl").write_text("".join(json.dumps(line) + "\n" for line in HISTORY), encoding="utf-8")
        return folder, model

    return directory


def size(*layers):
    return sum(weight.shape.num_elements() for layer in layers for weight in layer.weights)


@pytest.mark.parametrize(
    ("tied", "joint", "encoder", "decoder"),
    [
        ("all", True, {"layers": 2}, {}),
        ("target", False, {"bidirectional": "all", "layer_norm": True}, {"type": "input_feeding", "layers": 2}),
        ("none", False, {"transition_depth": 2}, {"type": "cgru", "attention": "additive", "coverage": True}),
        ("none", True, {"units": 20}, {"attention": "general", "heads": 2}),
        ("target", True, {"dropout": 0.0}, {"attention": "none", "context": "every_step"}),
    ],
)
def test_parts_add_up_to_the_models_own_layers(make, tied, joint, encoder, decoder):
    folder, model = make(joint, embeddings={"tied": tied}, encoder=encoder, decoder=decoder)
    found = inspect_model(folder)
    parts = found["parameters"]
    assert set(parts) == {"total", *TranslationConfig.components}, "no part is unknown"
    assert parts["total"] == sum(parts[part] for part in TranslationConfig.components) == model.count_params()
    attention = 0 if decoder.get("attention") == "none" else size(model.decoder.attention)
    bias = model.output_bias.shape[0]
    assert parts["encoder"] == size(model.encoder)
    assert parts["attention"] == attention
    assert parts["decoder"] == size(model.decoder) - attention
    assert parts["target_embedding"] == size(model.target_embedding)
    assert parts["source_embedding"] == (0 if tied == "all" else size(model.source_embedding))
    assert parts["output"] == bias + (size(model.output_embedding) if tied == "none" else 0)
    weights = {weight["name"]: (tuple(weight["shape"]), weight["parameters"]) for weight in found["weights"]}
    assert weights == {
        weight.path.partition("/")[2]: (tuple(weight.shape), weight.shape.num_elements()) for weight in model.weights
    }


def test_architecture_in_words(make):
    folder, _ = make(
        False,
        embeddings={"tied": "target", "size": 14},
        encoder={"layers": 2, "bidirectional": "alternating", "residual": "highway", "layer_norm": True},
        decoder={"cell": "lstm", "attention": "additive", "heads": 3, "transition_depth": 2, "type": "cgru"},
    )
    assert inspect_model(folder)["architecture"] == {
        "embeddings": "14 units; one table for target and output",
        "encoder": "2 layers of gru, 12 units, highway, layer normalisation; two stacks of alternating direction",
        "attention": "additive, 3 heads",
        "decoder": "cgru, 1 layer of lstm, 12 units, 2 cells per time step; initial state from the dense bridge",
    }


def test_tokenizers_history_corpus_versions_and_files(make):
    folder, _ = make(False, embeddings={"tied": "none"})
    (folder / "checkpoints").mkdir()
    (folder / "checkpoints" / "last.safetensors").write_bytes(b"12345")
    found = inspect_model(folder)
    assert found["tokenizers"] == {
        name: {
            "model_type": "unigram",
            "vocabulary_size": size,
            "sha256": hashlib.sha256((folder / f"{name}.spm").read_bytes()).hexdigest(),
        }
        for name, size in (("source", 56), ("target", 38))
    }
    assert found["training"] == {
        "updates": 30,
        "epoch": 2,
        "validations": 3,
        "seconds": 3661.5,
        "best": {"update": 20, "epoch": 2, "metric": "loss", "value": 1.25},
    }
    assert found["corpus"] == CORPUS
    assert found["scores"] == {"validation": {"update": 20, "valid_loss": 1.25}}
    assert found["precision"] == "float32"
    assert found["files"]["checkpoints/last.safetensors"] == 5
    assert set(found["files"]) == {
        "config.yaml", "source.spm", "target.spm", "model.safetensors", "metadata.json", "history.jsonl",
        "checkpoints/last.safetensors",
    }  # fmt: skip
    metadata = json.loads((folder / "metadata.json").read_text())
    metadata["versions"] |= {"keras": "3.0.0", "no-such-package": "1.0"}
    del metadata["corpus"]
    (folder / "metadata.json").write_text(json.dumps(metadata))
    (folder / "history.jsonl").unlink()
    found = inspect_model(folder)
    assert found["versions"]["keras"]["then"] == "3.0.0"
    assert found["versions"]["keras"]["now"] not in (None, "3.0.0")
    assert found["versions"]["no-such-package"] == {"then": "1.0", "now": None}
    assert found["training"] is None
    assert found["corpus"] == {"train": [{"name": "corpora/train.tsv"}], "valid": {"name": "corpora/valid.tsv"}}


def test_a_model_without_corpora_is_inspected(make, tmp_path, capsys):
    _, model = make()
    config, folder = toy_config(tmp_path, data=None), tmp_path / "bare"
    create_model_directory(folder, config, Tokenizers(trained(), trained()))
    save_trained(folder, model, {})
    assert inspect_model(folder)["corpus"] == {}
    assert run("inspect", folder) == 0
    assert "unknown" in capsys.readouterr().out
    assert run("shortlist", folder) == 1
    assert "the recipe has no 'data' section" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["unigram", "bpe"])
def test_the_kind_of_a_tokenizer_is_that_of_the_recipe(make, kind):
    folder, _ = make(tokenizer={"model_type": kind})
    assert json.loads((folder / "metadata.json").read_text())["tokenizers"] == {"joint.spm": kind}
    assert inspect_model(folder)["tokenizers"]["joint"]["model_type"] == kind


def test_the_kind_of_a_file_from_elsewhere_is_unknown(make, capsys):
    options = {"joint": False, "source_model": "a.spm", "target_model": "b.spm"}
    folder, _ = make(False, embeddings={"tied": "none"}, tokenizer=options)
    found = inspect_model(folder)["tokenizers"]
    assert {name: tokenizer["model_type"] for name, tokenizer in found.items()} == {"source": None, "target": None}
    assert run("inspect", folder) == 0
    assert "unknown type, 38 pieces" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(("joint", "taken"), [(True, {"joint.spm": "char"}), (False, {"joint.spm": "bpe"})])
def test_a_model_that_takes_tokenizers_takes_their_kinds(make, tmp_path, joint, taken):
    """A language model takes the only one, or the target's of two, and they outlive the other model."""
    folder, _ = make(joint, embeddings={"tied": "all" if joint else "none"})
    other, metadata = folder.rename(tmp_path / "other"), tmp_path / "other" / "metadata.json"
    kinds = {"joint.spm": "char"} if joint else {"source.spm": "char", "target.spm": "bpe"}
    metadata.write_text(json.dumps(json.loads(metadata.read_text()) | {"tokenizers": kinds}))
    folder, model = make(tokenizer={"from_model": str(other)})
    assert json.loads((folder / "metadata.json").read_text())["tokenizers"] == taken
    other.rename(tmp_path / "moved")
    save_trained(folder, model, {})
    assert inspect_model(folder)["tokenizers"]["joint"]["model_type"] == taken["joint.spm"]


def run(*arguments):
    with pytest.raises(SystemExit) as end:
        main([str(argument) for argument in arguments])
    return end.value.code or 0


def test_table_and_json_tell_the_same(make, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "20")
    folder, model = make(False, embeddings={"tied": "none"})
    (folder / "checkpoints").mkdir()
    (folder / "checkpoints" / "train.lock").touch()
    assert run("inspect", folder, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    expected = inspect_model(folder)
    weights = expected.pop("weights")
    assert found == expected
    assert run("inspect", folder) == 0
    table = capsys.readouterr().out
    told = [
        f"{model.count_params():,}",
        *found["architecture"].values(),
        f"unigram, 38 pieces, SHA-256 {found['tokenizers']['target']['sha256']}",
        "train 1  a.tsv, 12,000 pairs read, 11,990 kept (dropped: duplicate 10), 777 source tokens\n",
        "train 2  b.tsv, 5 pairs read, 5 kept, 55 source tokens\n",
        "valid    valid.tsv, 12 pairs read, ",
        "1:01:02",
        "update 20, epoch 2, metric loss, value 1.25",
        "update 20, valid loss 1.25",
        f"tensorflow         {found['versions']['tensorflow']['then']}",
        str(folder),
        *found["files"],
    ]
    for text in told:
        assert text in table, text
    assert "output_bias" not in table
    assert not any(word in table for word in ("Derived files", "train.lock", " \n"))
    assert run("inspect", folder, "--weights") == 0
    table = capsys.readouterr().out
    for weight in weights:
        assert f"{' x '.join(map(str, weight['shape']))} = {weight['parameters']:,}" in table
    assert run("inspect", folder, "--weights", "--json") == 0
    assert json.loads(capsys.readouterr().out)["weights"] == weights


def test_damage_is_told_as_when_loading(make, tmp_path, capsys):
    folder, _ = make()
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(ModelDirectoryError, match=r"model\.safetensors: .*its arrays do not match the checksum"):
        inspect_model(folder)
    with (folder / "config.yaml").open("a") as file:
        file.write("# edited\n")
    with pytest.raises(ModelDirectoryError, match=r"config\.yaml: changed since the model was saved"):
        inspect_model(folder)
    assert run("inspect", tmp_path / "model" / "x") == 1
    assert "no such folder" in capsys.readouterr().err


def test_what_a_model_is_for(make, tmp_path):
    folder, _ = make()
    found = inspect_model(folder)
    assert found["purpose"] == {
        "source_language": None,
        "target_language": None,
        "pairs": 11995,
        "mean_source_tokens": pytest.approx((777 + 55) / 11995),
        "mean_target_tokens": None,
        "max_source_tokens": None,
        "max_sentences": 1,
        "commands": {
            "translate": f"seq2seq translate {folder} -i FILE",
            "evaluate": f"seq2seq evaluate {folder} --source FILE --reference FILE",
        },
    }
    written = datetime.fromisoformat(found["written"])
    assert abs(written.timestamp() - (folder / "model.safetensors").stat().st_mtime) < 1
    book = {"phrasebook": "train"}
    config = toy_config(tmp_path, data={"train": book, "valid": {"phrasebook": "valid"}})
    assert config.languages == ("en", "de"), "the phrasebook's are known"


def test_what_was_made_from_a_model_is_told_with_whether_it_fits(make, capsys):
    folder, model = make()
    assert inspect_model(folder)["derived"] == {}
    (folder / "list").write_bytes(b"1")
    record_derived_file(folder, "list", {"model.safetensors": checksums(folder)["model.safetensors"]})
    assert inspect_model(folder)["derived"] == {"list": []}
    model.output_bias.assign_add(model.output_bias + 1)
    save_trained(folder, model, {})
    assert inspect_model(folder)["derived"] == {"list": ["model.safetensors"]}
    assert run("inspect", folder) == 0
    assert "outdated: model.safetensors changed since; make it again" in " ".join(capsys.readouterr().out.split())


def test_tensorflow_stays_out(make):
    folder, _ = make()
    script = (
        "import sys\nfrom seq2seq.cli import main\n"
        f"try:\n    main(['inspect', {str(folder)!r}])\nexcept SystemExit as end: assert not end.code\n"
        "print('LOADED', [name for name in ('tensorflow', 'keras', 'sacrebleu') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.rpartition("LOADED ")[2].strip() == "[]"
