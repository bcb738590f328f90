"""Commands as their users run them, in this process."""

import io
import json
import re
import shutil
import sys

import pytest
import yaml

from seq2seq.model_directory.directory import create_model_directory, load_model_config, load_tokenizers
from seq2seq.model_directory.history import read_history
from tests.command import run
from tests.toy import pairs, toy_values, write_corpus

pytestmark = pytest.mark.usefixtures("shared_searches")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli")
    write_corpus(folder, train=400)
    (folder / "recipe.yaml").write_text(yaml.safe_dump(toy_values(folder)), encoding="utf-8")
    for name, side in (("source.txt", 0), ("reference.txt", 1)):
        (folder / name).write_text("".join(f"{pair[side]}\n" for pair in pairs(9, 5)), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def model(folder):
    assert run("train", folder / "recipe.yaml", "--output", folder / "model", "--set", "training.epochs=1") == 0
    return folder / "model"


@pytest.fixture(scope="module")
def fast(model, tmp_path_factory):
    """The model with a shortlist and an 8-bit decoder."""
    fast = tmp_path_factory.mktemp("fast") / "model"
    shutil.copytree(model, fast)
    assert run("shortlist", fast) == run("quantize", fast) == 0
    return fast


def test_train_says_what_it_does(folder, tmp_path, capsys):
    settings = ("--set", "training.updates=2", "--set", "training.precision=mixed_bfloat16")
    code = run("train", folder / "recipe.yaml", "--output", tmp_path / "m", *settings)
    output = capsys.readouterr().out
    assert code == 0
    said = "device: CPU, precision: mixed_bfloat16|parameters|400 of 400 pairs|tokens per epoch|padding|largest batch"
    for part in (said + "|valid loss|perplexity|*best*|finished: |seq2seq translate").split("|"):
        assert part in output, part


def test_dump_config_prints_the_complete_recipe(folder, capsys):
    assert run("train", folder / "recipe.yaml", "--set", "encoder.layers=3", "--dump-config") == 0
    values = yaml.safe_load(capsys.readouterr().out)
    assert values["encoder"]["layers"] == 3
    assert values["training"]["optimizer"] == "adam", "defaults are spelt out"


@pytest.mark.parametrize("words", ["evaluate", "generate", "challenge", "data phrasebook"])
def test_a_paragraph_of_help_has_no_line_breaks_of_its_own(words, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "500")
    assert run(*words.split(), "--help") == 0
    about = capsys.readouterr().out.partition("╭")[0].split("Usage:")[1]
    paragraphs = [line.strip() for line in about.split("\n")[1:] if line.strip()]
    assert len(paragraphs) >= 2
    assert all(text.endswith(".") for text in paragraphs), paragraphs


def test_the_version_is_that_of_the_package(capsys):
    from seq2seq import __version__

    assert run("--version") == 0
    assert capsys.readouterr().out == f"seq2seq {__version__}\n"


def test_a_choice_that_there_is_not_is_said_without_words_of_pythons(model, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "200")
    assert run("translate", model, "--format", "html") == 2
    error = capsys.readouterr().err
    assert "'html' is not one of 'text', 'tsv', 'jsonl'" in error
    assert "Value error" not in error


def test_errors_go_to_stderr_with_exit_code_1(folder, tmp_path, capsys):
    assert run("train", folder / "recipe.yaml", "--set", "decoder.atention=dot", "--output", tmp_path / "x") == 1
    assert "Did you mean 'decoder.attention'?" in capsys.readouterr().err
    assert run("translate", tmp_path / "nothing") == 1
    assert f"{tmp_path / 'nothing'}: no such folder; " in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


def test_translate_streams_stdin_to_stdout(model, monkeypatch, capsys):
    text = "the dog sees bird here\n\nthe king hears\u2028 cat there\nbroken \udcff bytes"
    raw = text.encode("utf-8", "surrogateescape")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(raw)))
    assert run("translate", model, "--beam-size", "2") == 0
    captured = capsys.readouterr()
    lines = captured.out.split("\n")
    assert len(lines) == 5
    assert lines[1] == lines[4] == ""
    assert lines[0]
    assert "stdin:4: invalid UTF-8" in captured.err


def test_translate_equals_the_python_api(model, folder, tmp_path):
    from seq2seq import Translator

    files = ("-i", folder / "source.txt", "-o", tmp_path / "out")
    assert run("translate", model, *files, "--length-penalty", "average") == 0
    translator = Translator.load(model)
    options = translator.options.model_copy(update={"length_penalty": "average"})
    sentences = [source for source, _ in pairs(9, 5)]
    expected = [translation.text for translation in translator.translate(sentences, options)]
    assert (tmp_path / "out").read_text(encoding="utf-8").split("\n")[:-1] == expected


def test_n_best_lines_name_their_source(model, folder, tmp_path):
    assert run("translate", model, "-i", folder / "source.txt", "-o", tmp_path / "out", "--n-best", 2) == 0
    rows = [line.split("\t") for line in (tmp_path / "out").read_text(encoding="utf-8").split("\n")[:-1]]
    assert [int(number) for number, _, _ in rows] == [n for n in range(1, 10) for _ in range(2)]
    assert all(float(rows[i][1]) >= float(rows[i + 1][1]) for i in range(0, 18, 2))


def test_impossible_options_are_errors(model, capsys):
    assert run("translate", model, "--n-best", 4, "--beam-size", 2) == 1
    assert "'n_best' is 4, more than 'beam_size' 2" in capsys.readouterr().err
    assert run("translate", model, "--length-penalty", "long") == 1
    assert "--length-penalty long" in capsys.readouterr().err


def test_evaluate_model_and_hypotheses_agree(model, folder, tmp_path, capsys):
    files = ("--source", folder / "source.txt", "--reference", folder / "reference.txt")
    assert run("evaluate", model, *files, "--output", tmp_path / "hyp", "--json") == 0
    ours = json.loads(capsys.readouterr().out)
    assert run("evaluate", "--hypotheses", tmp_path / "hyp", "--reference", folder / "reference.txt", "--json") == 0
    again = json.loads(capsys.readouterr().out)
    assert ours["scores"] == again["scores"]
    assert [score["name"] for score in ours["scores"]] == ["BLEU", "chrF2", "TER"]
    assert ours["sentences"] == 9
    assert ours["sentences_per_second"] > 0
    assert run("evaluate", model, *files) == 0
    table = capsys.readouterr().out
    assert "BLEU signature: nrefs:1|bs:1000|seed:12345|case:mixed|eff:no|tok:13a|" in table
    assert [line.split()[0] for line in table.split("\n") if line.endswith("lower is better")] == ["TER"]
    assert "sentences/s" in table


def test_evaluate_takes_pairs_as_train_does(model, folder, tmp_path, capsys):
    source, reference, table = folder / "source.txt", folder / "reference.txt", tmp_path / "test.tsv"
    lines = zip(*(file.read_text(encoding="utf-8").splitlines() for file in (source, reference)), strict=True)
    table.write_text("".join(f"{one}\t{other}\n" for one, other in lines), encoding="utf-8")
    scores = []
    for files in (("--source", source, "--reference", reference), (source, reference), (table,)):
        assert run("evaluate", model, *files, "--json") == 0
        scores.append(json.loads(capsys.readouterr().out)["scores"])
    assert scores[0] == scores[1] == scores[2]
    assert run("evaluate", model, table, "--reference", reference) == 2
    assert "give one of them" in " ".join(capsys.readouterr().err.split())


def test_evaluate_with_several_references(model, folder, tmp_path, capsys):
    """The model's own translations as a second reference leave nothing to edit."""
    files = ("--source", folder / "source.txt", "--reference", folder / "reference.txt")
    assert run("evaluate", model, *files, "--output", tmp_path / "hyp", "--json") == 0
    one = json.loads(capsys.readouterr().out)["scores"]
    assert run("evaluate", model, *files, "--reference", tmp_path / "hyp", "--json") == 0
    two = json.loads(capsys.readouterr().out)["scores"]
    assert all("nrefs:2|" in score["signature"] for score in two)
    assert [round(score["score"], 9) for score in two] == [100, 100, 0]
    assert one[0]["score"] < 100
    scored = ("evaluate", "--hypotheses", tmp_path / "hyp", "--reference", folder / "reference.txt")
    assert run(*scored, "--reference", tmp_path / "hyp", "--json") == 0
    assert json.loads(capsys.readouterr().out)["scores"] == two


def test_evaluate_needs_aligned_files_and_a_clear_request(model, folder, tmp_path, capsys):
    short, source, reference = tmp_path / "short", folder / "source.txt", folder / "reference.txt"
    short.write_text("eins\n", encoding="utf-8")
    assert run("evaluate", model, "--source", source, "--reference", short) == 1
    assert f"{source} has 9 lines, but {short} has 1" in capsys.readouterr().err
    assert run("evaluate", "--hypotheses", source, "--reference", reference, "--reference", short) == 1
    assert f"but {short} has 1" in capsys.readouterr().err
    assert run("evaluate", model, "--source", source, "--reference", reference, "--output", reference) == 1
    assert f"{reference}: is also the input, which would be lost" in capsys.readouterr().err
    assert run("evaluate", model, "--reference", short) == 2
    assert run("evaluate", model, "--source", source) == 2


def test_evaluate_leaves_an_older_output_alone_until_there_is_a_new_one(model, folder, tmp_path, capsys):
    files = ("--source", folder / "source.txt", "--reference", folder / "reference.txt")
    old = tmp_path / "hyp"
    old.write_text("old\n", encoding="utf-8")
    for wrong in ((model, "--length-penalty", "long"), (model, "--target-language", "Germn"), (tmp_path / "no",)):
        assert run("evaluate", *wrong, *files, "--output", old) == 1
        assert old.read_text(encoding="utf-8") == "old\n"
    assert run("evaluate", model, *files, "--output", old) == 0
    assert len(old.read_text(encoding="utf-8").split("\n")) == 10


def test_evaluate_warns_once_of_lines_that_are_cut(model, folder, tmp_path, capsys):
    shutil.copytree(model, tmp_path / "cut")
    config, tokenizers = load_model_config(model), load_tokenizers(model)
    lengths = sorted(len(tokenizers.source.encode(source)) + 1 for source, _ in pairs(9, 5))
    search = config.search.model_copy(update={"long_lines": "truncate", "max_source_tokens": lengths[4]})
    create_model_directory(tmp_path / "cut", config.model_copy(update={"search": search}), tokenizers)
    files = ("--source", folder / "source.txt", "--reference", folder / "reference.txt")
    assert run("evaluate", tmp_path / "cut", *files) == 0
    said = capsys.readouterr().err
    longer = sum(length > lengths[4] for length in lengths)
    assert longer > 1
    assert said.startswith(f"warning: {longer} of 9 sentences are cut off at 'max_source_tokens'")
    assert said.count("warning") == 1


def test_evaluate_in_a_language_with_its_own_tokenizer(tmp_path, capsys):
    for name, line in (("hyp", "狗今天看见了树。"), ("ref", "今天狗看到了一棵树。")):
        (tmp_path / name).write_text(f"{line}\n" * 3, encoding="utf-8")
    files = ("--hypotheses", tmp_path / "hyp", "--reference", tmp_path / "ref", "--json")
    assert run("evaluate", *files) == 0
    captured = capsys.readouterr()
    assert captured.err.startswith("warning: the references look Chinese, and BLEU's tokenizer 13a is not made for it.")
    assert "--target-language zh" in captured.err
    western = json.loads(captured.out)["scores"]
    assert run("evaluate", *files, "--target-language", "zh") == 0
    captured = capsys.readouterr()
    chinese = json.loads(captured.out)["scores"]
    assert captured.err == ""
    assert "tok:13a" in western[0]["signature"]
    assert "tok:zh" in chinese[0]["signature"]
    assert "norm:yes|punct:yes|asian:yes" in chinese[2]["signature"]
    for spelling in ("zh-CN", "zho_Hans", "Chinese"):
        assert run("evaluate", *files, "--target-language", spelling, "--json") == 0
        out, err = capsys.readouterr()
        assert (json.loads(out)["scores"], err) == (chinese, "")
    assert run("evaluate", *files, "--target-language", "chinesse") == 1
    assert "unknown language 'chinesse'. Did you mean 'chinese'?" in capsys.readouterr().err
    assert run("evaluate", *files, "--bleu-tokenizer", "char", "--json") == 0
    out, err = capsys.readouterr()
    assert "tok:char" in json.loads(out)["scores"][0]["signature"]
    assert err == ""
    assert run("evaluate", *files, "--bleu-tokenizer", "word") == 2
    assert "'char'" in capsys.readouterr().err


def test_evaluate_says_what_should_not_be_scored_as_it_is(model, folder, tmp_path, capsys):
    """In order: a tiny set, subwords, markup, also before anything is translated or counted."""
    texts = {
        "ref": ["Ein Haus.", "Zwei Hunde."],
        "bpe": ["Ein Hau@@ s.", "Zwei Hun@@ de."],
        "sgm": ["<refset>", "<seg>a</seg>"],
    }
    for name, lines in texts.items():
        (tmp_path / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    reference = "--reference", tmp_path / "ref"
    assert run("evaluate", "--hypotheses", tmp_path / "ref", *reference) == 0
    out, err = capsys.readouterr()
    assert "note: 2 sentences are too few for conclusions" in out
    assert err == ""
    assert run("evaluate", "--hypotheses", tmp_path / "bpe", *reference) == 0
    assert "warning: 2 of 2 hypotheses are split into subwords ('@@', of subword-nmt)" in capsys.readouterr().err
    for asked in (("--hypotheses", tmp_path / "sgm", *reference), (model, "--source", tmp_path / "sgm", *reference)):
        assert run("evaluate", *asked) == 1
        assert f"{tmp_path / 'sgm'}: expected lines of text in UTF-8, found SGM or XML" in capsys.readouterr().err
    long = folder / "source.txt"
    assert run("evaluate", model, "--source", long, "--reference", tmp_path / "sgm") == 1
    assert "found SGM or XML, as used by WMT. Extract the sentences with" in capsys.readouterr().err


def test_the_models_recipe_says_the_language(model, folder, tmp_path, capsys):
    shutil.copytree(model, tmp_path / "zh")
    config = load_model_config(model)
    data = config.data.model_copy(update={"target_language": "zh"})
    create_model_directory(tmp_path / "zh", config.model_copy(update={"data": data}), load_tokenizers(model))
    files = ("--source", folder / "source.txt", "--reference", folder / "reference.txt", "--json")
    assert run("evaluate", tmp_path / "zh", *files) == 0
    assert "tok:zh" in json.loads(capsys.readouterr().out)["scores"][0]["signature"]
    assert run("evaluate", tmp_path / "zh", *files, "--target-language", "de") == 0
    assert "tok:13a" in json.loads(capsys.readouterr().out)["scores"][0]["signature"]


def test_average_and_inspect_a_trained_model(model, folder, tmp_path, capsys):
    """What training keeps and tells is what the two commands read."""
    (last,) = [entry["update"] for entry in read_history(model)]
    assert run("average", model, "--last", 1, "--output", tmp_path / "mean") == 0
    assert f"seq2seq translate {tmp_path / 'mean'}" in capsys.readouterr().out
    for directory in (model, tmp_path / "mean"):
        assert run("inspect", directory) == 0
        shown = re.search(
            r"source lines +the longest has (\d+) tokens; 99% have at most (\d+) token", capsys.readouterr().out
        )
        assert run("inspect", directory, "--json") == 0
        found = json.loads(capsys.readouterr().out)
        train, valid = found["corpus"]["train"][0], found["corpus"]["valid"]
        lines = found["corpus"]["source_lines"]
        assert shown is not None
        assert [int(number) for number in shown.groups()] == [lines["max_tokens"], lines["usual_tokens"]]
        assert (train["read"], train["kept"], valid["kept"]) == (400, 400, 12)
        assert train["source_tokens"] > 400 * 3
        assert found["parameters"]["source_embedding"] == 0, "one table for all"
        assert run("inspect", directory) == 0
        assert "train.tsv, 400 pairs read, 400 kept" in " ".join(capsys.readouterr().out.split())
    assert found["scores"]["averaged"] == [last]
    translated = []
    for directory in (model, tmp_path / "mean"):  # the mean of one is that one, and it was the best
        assert run("translate", directory, "-i", folder / "source.txt", "-o", tmp_path / "out") == 0
        translated.append((tmp_path / "out").read_text(encoding="utf-8"))
    assert translated[0] == translated[1]


def test_tokenizer_round_trip(folder, tmp_path, capsys):
    spm = tmp_path / "m.spm"
    assert run("tokenizer", "train", folder / "source.txt", "--output", spm, "--vocabulary-size", 30) == 0
    for flags in ([], ["--ids"]):
        assert run("tokenizer", "encode", spm, "-i", folder / "source.txt", "-o", tmp_path / "pieces", *flags) == 0
        assert run("tokenizer", "decode", spm, "-i", tmp_path / "pieces", "-o", tmp_path / "text", *flags) == 0
        assert (tmp_path / "text").read_bytes() == (folder / "source.txt").read_bytes()
    assert run("tokenizer", "decode", spm, "-i", folder / "source.txt", "--ids") == 1
    assert "expected numbers" in capsys.readouterr().err
    assert run("tokenizer", "train", folder / "source.txt", "--output", spm, "--model-type", "words") == 1
    assert "--model-type words" in capsys.readouterr().err


def test_tokenizer_of_texts_as_arguments_and_of_a_size_that_fits(folder, tmp_path, capsys):
    spm, text = tmp_path / "m.spm", ("the dog sees bird here", "the cat")
    sizes = ("--vocabulary-size", 5000)
    assert run("tokenizer", "train", folder / "source.txt", "-o", spm, *sizes, "--exact-size") == 1
    assert re.search(
        r"error: cannot train .* exactly 5,000 pieces: the text allows \d+ to \d+\.", capsys.readouterr().err
    )
    assert not spm.exists()
    assert run("tokenizer", "train", folder / "source.txt", "-o", spm, *sizes) == 0
    assert re.search(r"warning: the tokenizer has \d+ pieces, not 5,000, since the text ", capsys.readouterr().err)
    for flags in ((), ("--ids",)):
        assert run("tokenizer", "encode", spm, *text, *flags) == 0
        encoded = capsys.readouterr().out.splitlines()
        assert len(encoded) == 2
        assert run("tokenizer", "decode", spm, *encoded, *flags) == 0
        assert capsys.readouterr().out.splitlines() == list(text)
    assert run("tokenizer", "encode", spm, *text, "-i", folder / "source.txt") == 1
    assert "give one of them" in capsys.readouterr().err


def test_output_over_the_input_is_refused(model, folder, tmp_path, capsys):
    text = tmp_path / "text"
    text.write_text("the dog sees bird here\n", encoding="utf-8")
    for command in (["translate", model], ["tokenizer", "encode", model / "joint.spm"]):
        assert run(*command, "-i", text, "-o", text) == 1
        assert "is also the input" in capsys.readouterr().err
    assert text.read_text(encoding="utf-8") == "the dog sees bird here\n"


def test_places_that_cannot_be_written_are_found_before_the_work(model, folder, tmp_path, capsys):
    files = ("--source", folder / "source.txt", "--reference", folder / "reference.txt")
    assert run("evaluate", model, *files, "--output", tmp_path / "no" / "x") == 1
    assert "cannot be written" in capsys.readouterr().err
    assert run("tokenizer", "train", folder / "source.txt", "-o", tmp_path / "no" / "m.spm") == 1
    assert "there is no folder" in capsys.readouterr().err
    (tmp_path / "file").write_text("", encoding="utf-8")
    assert run("train", folder / "recipe.yaml", "--output", tmp_path / "file") == 1
    assert f"error: {tmp_path / 'file'}" in capsys.readouterr().err


def test_probe_prints_tables_or_json_and_draws_a_plot(model, tmp_path, capsys):
    asked = (
        "challenge",
        model,
        "--items",
        "1",
        "--lexicon",
        "basic",
        "--beam-size",
        "1",
        "--plot",
        tmp_path / "challenge.svg",
    )
    assert run(*asked) == 0
    output = capsys.readouterr().out
    for part in ("phenomenon", "verb second", "adjective ending", "words between, long distance", "95% interval"):
        assert part in output, part
    assert "words between" in (tmp_path / "challenge.svg").read_text(encoding="utf-8")
    assert run("challenge", model, "--items", "1", "--json") == 0, "a model of another corpus is asked basic words"
    report = json.loads(capsys.readouterr().out)
    assert [accuracy["total"] for accuracy in report["by_phenomenon"]] == [1] * 28 + [8]
    assert sum(accuracy["total"] for accuracy in report["by_distance"]) == 8


def test_probe_says_what_is_missing(model, tmp_path, hide, capsys):
    assert run("challenge", model, "--items", "1", "--lexicon", "huge") == 1
    assert "Accepted: full, basic." in capsys.readouterr().err
    hide("matplotlib")
    assert run("challenge", model, "--items", "1", "--plot", tmp_path / "challenge.png") == 1
    assert "A plot needs the package 'matplotlib'" in capsys.readouterr().err


def test_challenge_refuses_a_model_of_other_languages(model, tmp_path, capsys):
    other = tmp_path / "es"
    config = load_model_config(model)
    data = config.data.model_copy(update={"target_language": "es"})
    create_model_directory(other, config.model_copy(update={"data": data}), load_tokenizers(model))
    shutil.copy(model / "model.safetensors", other)
    shutil.copy(model / "metadata.json", other)
    assert run("challenge", other) == 1
    error = capsys.readouterr().err
    assert "according to its recipe, this model writes es; the challenge sets are English to German" in error


@pytest.mark.parametrize(
    "options", [("--beam-size", 1), ("--sample",), ("--shortlist", 3), ("--int8", "--shortlist", 3)]
)
def test_evaluate_tells_the_speed_of_every_way_of_search(folder, fast, options, capsys):
    files = ("--source", folder / "source.txt", "--reference", folder / "reference.txt")
    assert run("evaluate", fast, *files, *options) == 0
    assert "9 sentences in " in capsys.readouterr().out
    assert run("evaluate", fast, *files, *options, "--json") == 0
    assert json.loads(capsys.readouterr().out)["tokens_per_second"] > 0


def test_a_phrasebook_is_written_and_is_what_a_recipe_draws(tmp_path, capsys):
    from seq2seq.phrasebook.phrasebook import generate_pairs

    asked = (
        "--train-pairs",
        "30",
        "--held-out-pairs",
        "4",
        "--seed",
        "3",
        "--lexicon",
        "basic",
        "-o",
        tmp_path / "new" / "book",
    )
    assert run("data", "phrasebook", *asked) == 0
    assert "train.tsv: 30 pairs" in capsys.readouterr().out
    for split, count in (("train", 30), ("valid", 4), ("test", 4), ("compositional", 4)):
        lines = (tmp_path / "new" / "book" / f"{split}.tsv").read_text(encoding="utf-8").splitlines()
        assert [tuple(line.split("\t")) for line in lines] == list(generate_pairs(split, count, 3, "basic"))


def test_a_quantized_decoder_is_made_and_used(folder, model, tmp_path, capsys):
    small = tmp_path / "model"
    shutil.copytree(model, small)
    assert run("translate", small, "-i", folder / "source.txt", "--int8") == 1
    assert f"seq2seq quantize {small}" in capsys.readouterr().err
    assert run("quantize", small) == 0
    assert "decoder.int8.onnx" in capsys.readouterr().out
    assert run("translate", small, "-i", folder / "source.txt", "-o", tmp_path / "out", "--int8") == 0
    assert len((tmp_path / "out").read_text(encoding="utf-8").splitlines()) == 9


def test_a_shortlist_is_learnt_from_what_the_model_was_trained_on(folder, model, tmp_path, capsys):
    narrow = tmp_path / "model"
    shutil.copytree(model, narrow)
    assert run("translate", narrow, "-i", folder / "source.txt", "--shortlist", "3") == 1
    assert f"shortlist.safetensors: no such file. Make it with: seq2seq shortlist {narrow}" in capsys.readouterr().err
    assert run("shortlist", narrow) == 0
    assert "shortlist.safetensors" in capsys.readouterr().out
    assert run("translate", narrow, "-i", folder / "source.txt", "-o", tmp_path / "out", "--shortlist", "3") == 0
    assert len((tmp_path / "out").read_text(encoding="utf-8").splitlines()) == 9
    given = ("--source", folder / "source.txt", "--target", folder / "reference.txt")
    assert run("shortlist", narrow, *given) == 0
    assert run("shortlist", narrow, *given[:2]) == 2
