"""Language models as their users train and use them: whole commands at toy size."""

import json
import shutil

import pytest
import tensorflow as tf
import yaml

from seq2seq.config import GenerationOptions, SearchOptions
from seq2seq.data.batching import plan_batches
from seq2seq.data.encoded import EncodedCorpus
from seq2seq.data.tokenizer import EOS_ID
from seq2seq.inference import teacher_forcing
from seq2seq.inference.text_generator import TextGenerator
from seq2seq.model_directory.directory import load_model_config, load_tokenizers
from seq2seq.training import train
from seq2seq.training.display import Display
from seq2seq.training.preparation import describe_batch, prepare_data
from seq2seq.training.recovery import BatchRecord, DivergenceMonitor
from tests.command import run
from tests.runs import assert_resumes_exactly
from tests.shortage import FACES, fail
from tests.toy import language_model_config, language_model_values, pairs, toy_config, toy_values, write_corpus

pytestmark = pytest.mark.usefixtures("shared_graphs")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The toy corpus, `translator`, and `model`, which has its target tokenizer."""
    folder = tmp_path_factory.mktemp("language-models")
    write_corpus(folder)
    (folder / "reference.txt").write_text("".join(f"{pair[1]}\n" for pair in pairs(9, 5)), encoding="utf-8")
    (folder / "source.txt").write_text("".join(f"{pair[0]}\n" for pair in pairs(9, 5)), encoding="utf-8")
    train(toy_config(folder, training={"epochs": 1}), folder / "translator")
    values = language_model_values(folder) | {
        "tokenizer": {"from_model": str(folder / "translator")},
        "search": {"sample": False, "beam_size": 2},
    }
    (folder / "recipe.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    assert run("train", folder / "recipe.yaml", "--output", folder / "model") == 0
    return folder


def test_training_says_what_it_does(folder, tmp_path, capsys):
    settings = (
        "--set",
        "training.updates=2",
        "--set",
        "tokenizer.from_model=null",
        "--set",
        "tokenizer.model_type=char",
    )
    assert run("train", folder / "recipe.yaml", "--output", tmp_path / "m", *settings) == 0
    said = capsys.readouterr().out
    for part in ("120 of 120 sentences", "sentences of", "perplexity", "seq2seq generate", "seq2seq inspect"):
        assert part in said, part
    for part in ("source", "BLEU", "seq2seq translate", "joint"):
        assert part not in said, part
    tokenizer = load_tokenizers(tmp_path / "m").target
    assert tokenizer.vocabulary_size < 36, "characters of the German side"
    assert tokenizer.decode(tokenizer.encode("der Hund hört")) == "der Hund hört"
    assert len(tokenizer.encode("der Hund")) == 9


def test_resumed_equals_uninterrupted(folder, tmp_path):
    config = language_model_config(folder, training={"accumulation_steps": 2, "epochs": 3})
    assert_resumes_exactly(config, tmp_path / "whole", 8)


def test_validation_measures_perplexity(folder):
    (last,) = [json.loads(line) for line in (folder / "model" / "history.jsonl").read_text().splitlines()][-1:]
    valid = [line.split("\t")[1] for line in (folder / "valid.tsv").read_text(encoding="utf-8").splitlines()]
    report = TextGenerator.load(folder / "model").perplexity(valid)
    assert last["best"], "or the measured model is another"
    assert last["valid_perplexity"] == pytest.approx(report.per_token, rel=1e-4)
    assert last["bleu"] is None


def test_only_the_target_side_is_read_and_filtered(tmp_path):
    """The same sentences as pairs, with useless sources, as a file of their own, and in a mixture."""
    sentences = [pair[1] for pair in pairs(60, 1)]
    lines = [*sentences, "", "x" * 300, sentences[0]]
    (tmp_path / "train.tsv").write_text("".join(f"{'y' * 400}\t{line}\n" for line in lines), encoding="utf-8")
    (tmp_path / "train.de").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    (tmp_path / "valid.tsv").write_text(f"\t{sentences[0]}\n\t\n", encoding="utf-8")
    target = {"target": str(tmp_path / "train.de")}
    filters = {"max_characters": 200, "max_tokens": 60}
    settings = {"training": {"updates": 2, "epochs": None}, "decoder": {"layers": 1}}
    found = {}
    for name, spec in {"pairs": {"tsv": str(tmp_path / "train.tsv")}, "lines": target}.items():
        data = {"train": spec, "filters": filters}
        train(language_model_config(tmp_path, data=data, **settings), tmp_path / name)
        found[name] = EncodedCorpus(tmp_path / name / "encoded" / "train")
        assert found[name].report.read == 63
        assert dict(found[name].report.dropped) == {
            "empty side": 1,
            "over 200 characters": 1,
            "duplicate": 61 - len(set(sentences)),
        }
        assert (found[name].source.lengths == 1).all()
        assert set(found[name].source.tokens.tolist()) == {EOS_ID}
    assert found["pairs"].target.tokens.tolist() == found["lines"].target.tokens.tolist()
    facts = json.loads((tmp_path / "pairs" / "metadata.json").read_text())["corpus"]
    assert facts["valid"]["kept"] == 1
    assert facts["valid"]["dropped"] == {"side without tokens": 1}
    assert "source_tokens" not in facts["train"][0]
    source = {"source": str(tmp_path / "train.en")}  # which is not there
    mixture = {"mixture": [{**source, **target, "weight": 1}, {"tsv": str(tmp_path / "train.tsv"), "weight": 3}]}
    data = {"train": mixture, "filters": filters}
    assert train(language_model_config(tmp_path, data=data, **settings), tmp_path / "mixed").end
    facts = json.loads((tmp_path / "mixed" / "metadata.json").read_text())["corpus"]
    assert [part["name"] for part in facts["train"]] == [str(tmp_path / "train.de"), str(tmp_path / "train.tsv")]


def test_no_source_is_spoken_of(folder, tmp_path):
    config = language_model_config(folder)
    data = prepare_data(config, tmp_path, Display())
    lengths = data.train.source.lengths, data.train.target.lengths
    plan = plan_batches(*lengths, max_tokens=200, shuffle_buffer=40, seed=1, epoch=0)
    rows, tokens = plan.batch(2), data.train.target.lengths[plan.batch(2)].max()
    assert describe_batch(data, plan, 2) == f"{len(rows)} sentences of {tokens} tokens"
    watch = DivergenceMonitor(config.training.recovery, None, data)
    watch.recent_batches.append(BatchRecord(1, 3, rows, tf.constant(0.5)))
    said = watch.diagnosis()
    assert f"(0.5). The longest sentence of the last 1 batch has {tokens} tokens: der " in said


def test_nothing_left_names_sentences(folder, tmp_path, capsys):
    settings = ("--set", "data.filters.max_characters=3", "--output", tmp_path / "m")
    assert run("train", folder / "recipe.yaml", *settings) == 1
    assert "no train sentences are left (read: 120; dropped: 120 over 3 characters)." in capsys.readouterr().err


def test_perplexity_with_little_memory_is_the_same_with_one_notice(folder, capsys, monkeypatch):
    command = ("perplexity", folder / "model", "-i", folder / "reference.txt", "--json")
    assert run(*command) == 0
    expected = json.loads(capsys.readouterr().out)
    # What a batch of lines is computed from.
    pad = teacher_forcing.pad
    monkeypatch.setattr(teacher_forcing, "pad", lambda rows: pad(rows) if len(rows) < 3 else fail("cuDNN"))
    assert run(*command) == 0
    found = capsys.readouterr()
    assert json.loads(found.out) == pytest.approx(expected, rel=1e-5)
    (line,) = found.err.splitlines()
    assert line.startswith(f"warning: {FACES['cuDNN'][2]} at 9 lines of up to ")


def test_perplexity_of_a_file(folder, tmp_path, capsys):
    assert run("perplexity", folder / "model", "-i", folder / "reference.txt", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    lines = (folder / "reference.txt").read_text(encoding="utf-8").splitlines()
    assert report["sentences"] == 9
    assert report["words"] == sum(len(line.split()) + 1 for line in lines)
    assert report["perplexity_per_token"] < load_tokenizers(folder / "model").target.vocabulary_size
    assert run("perplexity", folder / "model", "-i", folder / "reference.txt") == 0
    shown = capsys.readouterr().out
    for part in (f"{report['perplexity_per_word']:.2f}", f"{report['bits_per_character']:.3f}", "9 sentences of"):
        assert part in shown, part
    (tmp_path / "blank").write_text("\n\n")
    assert run("perplexity", folder / "model", "-i", tmp_path / "blank") == 1
    assert "none of 2 lines has text" in capsys.readouterr().err


def test_generated_text(folder, tmp_path, capsys):
    flags = ("--prompt", "der Hund", "--max-length", "6")
    assert run("generate", folder / "model", *flags, "--n-best", "3", "--top-k", "9", "-o", tmp_path / "out") == 0
    texts = (tmp_path / "out").read_text(encoding="utf-8").splitlines()
    assert len(texts) == 3
    assert all(text.startswith("der Hund") for text in texts)
    assert run("generate", folder / "model", *flags, "--beam-size", "2") == 0
    options = GenerationOptions(sample=False, beam_size=2, max_length=6)
    expected = TextGenerator.load(folder / "model").generate("der Hund", options)
    assert capsys.readouterr().out == f"{expected[0].text}\n"


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (("--temperature", "0.5"), "--temperature 0.5: is for sampling, but --beam-size 2 selects beam search."),
        (("--top-k", "9"), "--top-k 9: is for sampling"),
        (("--top-p", "0.5"), "--top-p 0.5: is for sampling"),
        (("--n-best", "6"), "--n-best 6: a search with --beam-size 2 finds at most 2 texts."),
    ],
)
def test_flags_of_drawing_and_searching(folder, capsys, flags, expected):
    assert run("generate", folder / "model", "--beam-size", "2", *flags) == 1
    assert f"error: {expected}" in capsys.readouterr().err


def test_inspect_knows_a_language_model(folder, capsys):
    assert run("inspect", folder / "model", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["task"] == "language_model"
    assert found["architecture"] == {
        "embeddings": "10 units; one table for input and output",
        "decoder": "2 layers of lstm, 14 units, residual; no source",
    }
    assert list(found["parameters"]) == ["total", "target_embedding", "decoder", "output"]
    assert run("inspect", folder / "model") == 0
    assert "language model" in capsys.readouterr().out


@pytest.mark.parametrize("verb", ["translate", "evaluate", "quantize", "shortlist", "challenge"])
def test_a_language_model_does_not_translate(verb, folder, capsys):
    flags = {
        "translate": ("-i", folder / "source.txt"),
        "evaluate": ("--source", folder / "source.txt", "--reference", folder / "reference.txt"),
    }
    model = folder / "model"
    assert run(verb, model, *flags.get(verb, ())) == 1
    assert capsys.readouterr().err == (
        f"error: {model}: expected a model of `task: translation`, found one of `task: language_model`. Uses of this "
        f"model: generate: `seq2seq generate {model}`; perplexity: `seq2seq perplexity {model} -i FILE`; shallow "
        f"fusion: `seq2seq translate MODEL --language-model {model}`.\n"
    )


@pytest.mark.parametrize("verb", ["generate", "perplexity"])
def test_a_translator_is_no_language_model(verb, folder, capsys):
    flags = ("-i", folder / "reference.txt") if verb == "perplexity" else ()
    assert run(verb, folder / "translator", *flags) == 1
    assert capsys.readouterr().err.startswith(
        f"error: {folder / 'translator'}: expected a model of `task: language_model`, found one of `task: "
        f"translation`. Uses of this model: translate: `seq2seq translate {folder / 'translator'} -i FILE`; evaluate: "
    )


def test_translate_and_evaluate_with_a_language_model(folder, tmp_path, capsys):
    helped = ("--language-model", folder / "model", "--language-model-weight", "0.9", "--beam-size", "1")
    source = ("-i", folder / "source.txt")
    assert run("translate", folder / "translator", *source, "--beam-size", "1", "-o", tmp_path / "alone") == 0
    assert run("translate", folder / "translator", *source, *helped, "-o", tmp_path / "helped") == 0
    assert (tmp_path / "helped").read_text() != (tmp_path / "alone").read_text()
    files = ("--source", folder / "source.txt", "--reference", folder / "reference.txt", "-o", tmp_path / "same")
    assert run("evaluate", folder / "translator", *files, *helped) == 0
    assert (tmp_path / "same").read_text() == (tmp_path / "helped").read_text()
    capsys.readouterr()
    assert run("translate", folder / "translator", *source, "--language-model", folder / "nowhere") == 1
    assert f"{folder / 'nowhere'}: no such folder" in capsys.readouterr().err
    assert run("translate", folder / "translator", *source, *helped, "--sample") == 0


def test_a_bulk_job_knows_its_language_model(folder, tmp_path):
    from seq2seq.bulk.chunks import Job

    shutil.copytree(folder / "model", tmp_path / "lm")
    options = SearchOptions(language_model=str(tmp_path / "lm"))
    job = Job((folder / "translator",), folder / "source.txt", tmp_path / "out", options, "text")
    alone = Job((folder / "translator",), folder / "source.txt", tmp_path / "out", SearchOptions(), "text")
    names = job.identity()["model"].keys() - alone.identity()["model"].keys()
    assert "language_model/model.safetensors" in names


def test_a_translator_starts_from_a_language_model(folder, tmp_path):
    """The decoder's weights of the same name and shape are taken over."""
    values = toy_values(folder)
    config = toy_config(
        folder,
        tokenizer={"from_model": str(folder / "model")},
        embeddings={"size": 10},
        encoder={"dropout": 0.0},
        decoder={**values["decoder"], "cell": "lstm", "layers": 2, "units": 14, "attention": "none"},
        training={"warm_start": str(folder / "model"), "updates": 1},
    )
    assert train(config, tmp_path / "m").end
    assert load_model_config(tmp_path / "m").task == "translation"
