"""`seq2seq translate` with every option and format, in this process; the Python API is the reference."""

import io
import json
import math
import os
import re
import sys

import numpy as np
import pytest

from seq2seq.config import SearchOptions
from seq2seq.inference.alignment import words_of
from seq2seq.inference.results import Hypothesis, Translation, blank_translation
from seq2seq.inference.summary import TranslationSummary
from seq2seq.inference.translator import Translator
from seq2seq.model_directory import directory
from seq2seq.plurals import pluralize
from tests.command import run
from tests.shortage import FACES, limit_searches
from tests.toy import save_random_model, save_trained, toy_tokenizer

pytestmark = pytest.mark.usefixtures("shared_searches")

LINES = ["the dog sees bird here", "", "the king\u2028 loves ☃ and dog and tree there", "bird", "the cat\tfinds\r tree"]


@pytest.fixture(scope="module")
def tokenizer():
    return toy_tokenizer()


@pytest.fixture(scope="module")
def folder(tmp_path_factory, tokenizer):
    folder = tmp_path_factory.mktemp("translate")
    search = {"beam_size": 3, "max_length_factor": 1.0, "max_length_extra": 3}
    save_random_model(folder / "model", tokenizer, search=search)
    plain = {"encoder": {"dropout": 0.0}, "decoder": {"attention": "none"}}
    save_random_model(folder / "plain", tokenizer, search=search, **plain)
    save_random_model(folder / "sampling", tokenizer, search={**search, "sample": True, "temperature": 0.5, "top_k": 5})
    (folder / "source").write_text("".join(f"{line}\n" for line in LINES), encoding="utf-8", newline="\n")
    return folder


@pytest.fixture(scope="module")
def translator(folder):
    return Translator.load(folder / "model")


def translate(folder, output, *arguments, model="model"):
    """The lines that the command writes."""
    assert run("translate", folder / model, "-i", folder / "source", "-o", output, *arguments) == 0
    *lines, last = output.read_bytes().decode("utf-8").split("\n")
    assert last == ""
    return lines


def expected(translator, **values):
    return translator.translate(LINES, translator.options.model_copy(update=values))


def test_every_key_is_a_flag(folder, monkeypatch, capsys):
    values = {
        "beam_size": 2,
        "length_penalty": "average",
        "no_repeat_ngram_size": 3,
        "repetition_penalty": 1.25,
        "coverage_penalty": 0.25,
        "n_best": 4,
        "min_length": 2,
        "max_length": 30,
        "max_length_factor": 1.25,
        "max_length_extra": 7,
        "sample": True,
        "temperature": 0.75,
        "top_k": 12,
        "top_p": 0.875,
        "seed": 9,
        "unk_handling": "replace",
        "split_sentences": False,
        "max_source_tokens": 50,
        "long_lines": "truncate",
        "batch_tokens": 300,
        "int8": True,
        "shortlist": 7,
        "language_model": "lm",
        "language_model_weight": 0.375,
        "decision": "mbr-bleu",
        "candidates": 6,
        "distinct": True,
        "confidence": True,
        "beam_groups": 1,
        "diversity_penalty": 0.5,
        "glossary": "terms.tsv",
        "ensemble_weights": (2.0, 0.5),
        "ensemble_average": "probability",
        "rerank_model": "lm",
        "rerank_weight": 0.0,
    }
    assert values.keys() == SearchOptions.model_fields.keys()
    texts = values | {"ensemble_weights": "2,0.5"}
    flags = [f"--{key.replace('_', '-')}={value}" for key, value in texts.items() if not isinstance(value, bool)]
    seen = []
    # There is no such language model.
    read = directory.load_recipe
    monkeypatch.setattr(directory, "load_recipe", lambda path, kind: None if path.name == "lm" else read(path, kind))
    monkeypatch.setattr(Translator, "check", lambda self, options: None)

    def translate(self, lines, options, **_):
        seen.append(options)
        return [blank_translation()] * len(lines)

    monkeypatch.setattr(Translator, "translate", translate)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"x\n")))
    flags += ["--sample", "--int8", "--distinct", "--confidence", "--no-split-sentences"]
    models = folder / "model", folder / "model"
    assert run("translate", *models, *flags) == 1
    assert "--confidence: is not part of --format tsv. Use --format jsonl." in capsys.readouterr().err
    flags += ["--format", "jsonl"]
    assert run("translate", *models, *flags) == 0
    assert seen == [SearchOptions(**values)]


def test_text_is_one_translation_a_line(folder, translator, tmp_path):
    for arguments in ((), ("--format", "text")):
        assert translate(folder, tmp_path / "out", *arguments) == [result.text for result in expected(translator)]
    options = ("--beam-size", 1, "--unk-handling", "suppress", "--min-length", 6, "--coverage-penalty", 0.5)
    results = expected(translator, beam_size=1, unk_handling="suppress", min_length=6)
    assert translate(folder, tmp_path / "out", *options) == [result.text for result in results]


def test_text_holds_no_second_translation(folder, tmp_path, capsys):
    assert run("translate", folder / "model", "-o", tmp_path / "out", "--format", "text", "--n-best", 3) == 1
    error = capsys.readouterr().err
    assert "--format text has one translation per line, but --n-best is 3. Use --format tsv or jsonl." in error
    assert not (tmp_path / "out").exists()
    assert run("translate", folder / "model", "--format", "xml") == 2


@pytest.mark.parametrize(
    ("arguments", "values"),
    [
        (("--n-best", 2), {"n_best": 2}),
        (("--format", "tsv"), {}),
        (("--sample", "--n-best", 4, "--seed", 3), {"sample": True, "n_best": 4, "seed": 3}),
    ],
)
def test_tsv_has_a_row_for_each_translation(folder, translator, tmp_path, arguments, values):
    rows = [
        f"{number}\t{f'{hypothesis.score:.4f}' if hypothesis.tokens else ''}\t"
        + re.sub(r"[\t\r\n]", " ", hypothesis.text)
        for number, result in enumerate(expected(translator, **values), start=1)
        for hypothesis in result.hypotheses
    ]
    assert translate(folder, tmp_path / "out", *arguments) == rows
    assert "2\t\t" in rows, "the blank line has no score"


def test_a_tab_or_line_end_in_a_translation_makes_no_column_or_row(folder, tokenizer, tmp_path):
    (tmp_path / "source").write_text("bird\nthe dog\n", encoding="utf-8")
    for byte in ("<0x09>", "<0x0A>", "<0x0D>"):
        model = save_random_model(tmp_path / byte[1:-1], tokenizer)
        bias = np.zeros(tokenizer.vocabulary_size, np.float32)
        bias[tokenizer.ids([byte])] = 50.0
        model.output_bias.assign(bias)
        save_trained(tmp_path / byte[1:-1], model, {})
        rows = translate(tmp_path, tmp_path / "out", "--format", "tsv", model=byte[1:-1])
        assert [len(row.split("\t")) for row in rows] == [3, 3]
        assert [len(row.splitlines()) for row in rows] == [1, 1]


@pytest.mark.parametrize(
    ("model", "arguments", "values"),
    [
        ("model", (), {}),
        ("model", ("--n-best", 3, "--coverage-penalty", 0.3), {"n_best": 3, "coverage_penalty": 0.3}),
        ("model", ("--sample", "--max-source-tokens", 9), {"sample": True, "max_source_tokens": 9}),
        (
            "model",
            ("--long-lines", "truncate", "--max-source-tokens", 9),
            {"long_lines": "truncate", "max_source_tokens": 9},
        ),
        ("plain", ("--beam-size", 1), {"beam_size": 1}),
    ],
)
def test_json_holds_what_the_python_api_gives(folder, tmp_path, model, arguments, values):
    results = expected(Translator.load(folder / model), **values)
    lines = translate(folder, tmp_path / "out", "--format", "jsonl", *arguments, model=model)
    assert len(lines) == len(LINES)
    for number, (line, source, result) in enumerate(zip(lines, LINES, results, strict=True), start=1):
        found = json.loads(line, parse_constant=pytest.fail)
        translations = found.pop("translations")
        assert found.pop("source_words", None) == (words_of(source) if model == "model" else None)
        assert found == {
            "line": number,
            "source": source,
            "source_tokens": result.source_tokens,
            "num_segments": result.num_segments,
            "num_groups": result.num_groups,
            "truncated_tokens": result.truncated_tokens,
            "unknown_tokens": result.unknown_tokens,
            "unknown_characters": list(result.unknown_characters),
            "unattended_share": None if math.isnan(result.unattended_share) else result.unattended_share,
            "unsatisfied": [],
            "repeats": result.repeats,
        }
        for written, hypothesis in zip(translations, result.hypotheses, strict=True):
            attention = written.pop("attention", None)
            written_words = written.pop("words", None), "alignment" in written
            assert written_words == ((words_of(hypothesis.text), True) if model == "model" else (None, False))
            written.pop("alignment", None)  # `tests/unit/test_word_alignments.py` looks at it
            assert written == {
                "text": hypothesis.text,
                "score": hypothesis.score if hypothesis.tokens else None,
                "mean_log_prob": hypothesis.mean_log_prob if hypothesis.tokens else None,
                "tokens": hypothesis.tokens,
                "token_log_probs": hypothesis.token_log_probs.tolist(),
            }
            if model == "plain":
                assert attention is None
            else:
                shape = (len(hypothesis.tokens), len(result.source_tokens))
                np.testing.assert_allclose(np.reshape(attention, shape), hypothesis.attention, atol=5.1e-7)


def test_json_has_no_number_that_json_does_not_know():
    weights = np.array([[0.25, np.nan]], np.float32)
    nan = np.array([np.nan], np.float32)
    broken = Translation(["a"], [Hypothesis("x", -np.inf, ["x"], nan, weights, token_confidence=nan)])
    (values,) = json.loads(json.dumps(broken.as_dict(), allow_nan=False))["translations"]
    assert (values["score"], values["token_log_probs"], values["attention"]) == (None, [None], [[0.25, None]])
    assert (values["confidence"], values["token_confidence"], values["word_confidence"]) == (None, [None], [None])


def test_coverage_is_what_attention_adds_up_to(folder, translator):
    results = expected(translator, n_best=2, max_source_tokens=9)
    without = translator.translate(
        LINES, translator.options.model_copy(update={"n_best": 2, "max_source_tokens": 9}), attention=False
    )
    assert results[2].num_segments > 1
    for result, other in zip(results, without, strict=True):
        for hypothesis, same in zip(result.hypotheses, other.hypotheses, strict=True):
            np.testing.assert_allclose(hypothesis.coverage, hypothesis.attention.sum(axis=0), atol=1e-5)
            np.testing.assert_allclose(same.coverage, hypothesis.coverage, atol=1e-6)
            assert same.attention.shape[1] == 0
    assert expected(Translator.load(folder / "plain"))[0].coverage.shape == (0,), "nothing attends"


def test_the_last_line_on_stderr_is_a_summary(folder, translator, tmp_path, monkeypatch, capsys):
    command = sys.modules["seq2seq.cli.translate"]
    monkeypatch.setattr(command, "low_log_prob", lambda scores, options: 0.0)  # every score is low
    summary = TranslationSummary(low_log_prob=0.0, seconds=1.0)
    for number, result in enumerate(expected(translator), start=1):
        summary.add(number, result)
    to_check = summary.describe(0.0).partition("loading the model")[2]
    assert "4 with low scores (lines 1, 3, 4, 5)" in to_check
    translate(folder, tmp_path / "out")
    (line,) = capsys.readouterr().err.splitlines()
    counts, speed = r"4 sentences, 1 blank line in [\d.]+ s", r"(including compiling|[\d,]+ tokens/s)"
    assert re.fullmatch(rf"{counts}, {speed}, after [\d.]+ s of loading the model" + re.escape(to_check), line), line
    translate(folder, tmp_path / "out", "-q")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("kind", ["terminal", "pipe", "option"])
def test_a_line_is_answered_before_the_next(kind, folder, translator, monkeypatch, capfd):
    pty = pytest.importorskip("pty")
    master, slave = pty.openpty() if kind == "terminal" else os.pipe()[::-1]
    lines = [LINES[0], LINES[3]]
    chunks = []
    plain = Translator.translate

    def follow(self, sentences, *arguments, **values):
        chunks.append(list(sentences))
        if len(chunks) == 1:
            os.write(master, f"{lines[1]}\n".encode())  # a person types on only after the answer
            os.write(master, b"\x04") if kind == "terminal" else os.close(master)
        return plain(self, sentences, *arguments, **values)

    monkeypatch.setattr(Translator, "translate", follow)
    os.write(master, f"{lines[0]}\n".encode())
    with os.fdopen(slave) as terminal:
        monkeypatch.setattr(sys, "stdin", terminal)
        assert run("translate", folder / "model", *(("-i", f"/dev/fd/{slave}") if kind == "option" else ())) == 0
    if kind == "terminal":
        os.close(master)
    assert chunks == [[lines[0]], [lines[1]]]
    captured = capfd.readouterr()
    assert captured.out.splitlines() == [result.text for result in translator.translate(lines)]
    assert ("Type a sentence and press Enter; Ctrl-D to finish." in captured.err) == (kind == "terminal")


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["the dog sees"], ""),
        (["my.txt"], "warning: my.txt: no such file; the argument is taken as text\n"),
        (["the", "dog"], "warning: each word is taken as a separate text. To join them: 'the dog'\n"),
    ],
)
def test_texts_as_arguments_are_translated_with_a_warning_if_others_may_be_meant(
    folder, translator, texts, said, capsys
):
    assert run("translate", folder / "model", "--quiet", *texts) == 0
    captured = capsys.readouterr()
    assert captured.out.splitlines() == [result.text for result in translator.translate(texts)]
    assert captured.err == said


def test_a_cut_line_is_a_warning_with_its_place(folder, translator, tmp_path, capsys):
    flags = ("--quiet", "--long-lines", "truncate", "--max-source-tokens", 12)
    lines = translate(folder, tmp_path / "out", *flags)
    assert lines == [result.text for result in expected(translator, long_lines="truncate", max_source_tokens=12)]
    lengths = [len(translator.tokenizers.source.encode(line)) + 1 for line in LINES]
    warnings = [
        f"warning: {folder / 'source'}:{number}: {pluralize(length - 12, 'token')} beyond the limit of 12 "
        f"{'is' if length == 13 else 'are'} not translated. Raise --max-source-tokens, or use --long-lines split."
        for number, length in enumerate(lengths, start=1)
        if length > 12
    ]
    assert 0 < len(warnings) < len(LINES)
    assert capsys.readouterr().err.splitlines() == warnings
    split = translate(folder, tmp_path / "out", "--quiet", "--max-source-tokens", 12)
    assert split == [result.text for result in expected(translator, max_source_tokens=12)]
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("face", FACES)
def test_little_memory_gives_one_notice_and_the_same_lines(face, folder, capsys, monkeypatch):
    command = ("translate", folder / "model", "-i", folder / "source", "--quiet", "--format", "tsv", "--n-best", 2)
    assert run(*command) == 0
    expected = capsys.readouterr()
    limit_searches(monkeypatch, 1, face)
    assert run(*command) == 0
    found = capsys.readouterr()
    assert found.out == expected.out
    assert expected.err == ""
    (line,) = found.err.splitlines()
    assert line.startswith(f"warning: {FACES[face][2]} at a batch of 4 sentences of up to ")


def test_a_line_too_large_for_memory_is_an_error(folder, tmp_path, capsys, monkeypatch):
    limit_searches(monkeypatch, 0, "allocator")
    assert run("translate", folder / "model", "-i", folder / "source", "-o", tmp_path / "out") == 1
    notice, error = capsys.readouterr().err.splitlines()
    assert notice.startswith("warning: out of memory at a batch of 4 sentences")
    assert error.startswith("error: out of memory at one sentence of ")
    assert not (tmp_path / "out").exists()


def test_sampling_repeats_itself_until_the_seed_changes(folder, tmp_path):
    first, again, other = (translate(folder, tmp_path / "out", "--sample", "--seed", seed) for seed in (5, 5, 6))
    assert first == again
    assert first != other


def test_no_sample_undoes_what_the_recipe_says_of_sampling(folder, translator, tmp_path, capsys):
    found = translate(folder, tmp_path / "out", "--no-sample", model="sampling")
    assert found == [result.text for result in expected(translator)]
    drawn = translate(folder, tmp_path / "out", model="sampling")
    values = {"sample": True, "temperature": 0.5, "top_k": 5}
    assert drawn == [result.text for result in expected(translator, **values)]
    assert run("translate", folder / "model", "--temperature", 0.5) == 1
    assert "'temperature' is 0.5: it is for sampling, but 'sample' is false" in capsys.readouterr().err
    assert run("translate", folder / "sampling", "--no-sample", "--top-p", 0.5) == 1
    assert "'top_p' is 0.5" in capsys.readouterr().err


def test_a_model_without_attention_says_so(folder, tmp_path, capsys):
    (tmp_path / "out").write_text("kept")
    assert (
        run("translate", folder / "plain", "-i", folder / "source", "-o", tmp_path / "out", "--unk-handling", "replace")
        == 1
    )
    assert "'unk_handling: replace' needs attention weights" in capsys.readouterr().err
    assert (tmp_path / "out").read_text() == "kept", "found before the output is opened"
