"""Lines of several sentences: what training records about its own, and how they are then translated."""

import json
from dataclasses import replace

import keras
import numpy as np
import pytest

from seq2seq.config import SearchOptions, TokenizerConfig
from seq2seq.data.tokenizer import Tokenizer, Tokenizers
from seq2seq.errors import ModelDirectoryError
from seq2seq.evaluation.metrics import evaluate
from seq2seq.inference.results import join_segments
from seq2seq.inference.segments import UNKNOWN_MAX_TOKENS, SourceLines
from seq2seq.inference.translator import Translator
from seq2seq.model_directory.inspection import inspect_model
from seq2seq.models.build import build_model
from seq2seq.training.display import Display
from seq2seq.training.preparation import prepare_data
from seq2seq.training.validation import TranslationValidator
from tests.command import run
from tests.conftest import randomize
from tests.toy import pairs, save, save_trained, toy_config

pytestmark = pytest.mark.usefixtures("shared_searches")

SENTENCES = ["The dog sees bird here.", "The king loves cat and dog!", "The man hears man often."]
LINE = " ".join(SENTENCES)
ONE = SourceLines(max_tokens=60, usual_tokens=50, language="en")


@pytest.fixture(scope="module")
def tokenizer():
    texts = [f"{text.capitalize()}{mark}" for pair in pairs(200, 1) for text in pair for mark in ".!"]
    return Tokenizer.train(texts, TokenizerConfig(vocabulary_size=60))


@pytest.fixture(scope="module")
def model(tokenizer, tmp_path_factory):
    keras.utils.set_random_seed(2)
    model = build_model(toy_config(tmp_path_factory.mktemp("toy")), Tokenizers(tokenizer, tokenizer))
    randomize(model, seed=5, scale=0.7)
    return model


@pytest.fixture(scope="module")
def translator(model, tokenizer):
    return Translator(model, tokenizer, tokenizer, source_lines=ONE)


def options(**values):
    return SearchOptions(**{"beam_size": 2, "max_length_factor": 1.0, "max_length_extra": 4} | values)


def same(ours, theirs):
    assert (ours.source_tokens, ours.num_segments) == (theirs.source_tokens, theirs.num_segments)
    assert len(ours.hypotheses) == len(theirs.hypotheses)
    for a, b in zip(ours.hypotheses, theirs.hypotheses, strict=True):
        assert (a.text, a.tokens) == (b.text, b.tokens)
        assert a.score == pytest.approx(b.score, abs=1e-4)
        np.testing.assert_allclose(a.attention, b.attention, atol=1e-5)


@pytest.mark.parametrize(
    ("usual", "lengths", "limit", "expected"),
    [
        ((50, 1), [4, 5, 6], 60, [[0], [1], [2]]),
        ((50, 2), [4, 5, 6], 60, [[0, 1], [2]]),
        ((50, 9), [4, 5, 6], 60, [[0, 1, 2]]),
        ((16, 9), [4, 5, 6], 60, [[0, 1, 2]]),  # 15 tokens and </s>
        ((15, 9), [4, 5, 6], 60, [[0, 1], [2]]),
        ((50, 9), [4, 5, 6], 11, [[0, 1], [2]]),  # the option is below what is usual
        ((10, 9), [40, 5, 6], 60, [[0], [1], [2]]),  # one sentence is never divided here
        ((50, 3), [7], 60, [[0]]),
    ],
)
def test_sentences_are_grouped_as_in_training(usual, lengths, limit, expected):
    lines = SourceLines(max_tokens=60, usual_tokens=usual[0], usual_sentences=usual[1])
    assert [list(group) for group in lines.group(lengths, limit)] == expected


@pytest.mark.parametrize(
    "values",
    [{}, {"n_best": 2, "coverage_penalty": 0.2}, {"sample": True, "n_best": 2}, {"beam_size": 1}],
)
def test_a_line_is_its_sentences(translator, values):
    lines = ["The dog.", LINE, "", LINE, "The cat finds tree"]
    results = translator.translate(lines, options(**values))
    assert [result.num_groups for result in results] == [1, 3, 1, 3, 1]
    expected = join_segments(translator.translate(SENTENCES, options(**values)))
    for place in (1, 3):
        same(results[place], expected)
    streamed = translator.translate_stream(lines, options(**values), chunk=2)
    assert [result.text for result in streamed] == [result.text for result in results]


def test_a_model_of_pairs_of_sentences_translates_two_at_once(model, tokenizer):
    translator = Translator(model, tokenizer, tokenizer, source_lines=replace(ONE, usual_sentences=2))
    two, three = translator.translate([" ".join(SENTENCES[:2]), LINE], options())
    assert (two.num_groups, two.num_segments, three.num_groups) == (1, 1, 2)
    same(three, join_segments(translator.translate([" ".join(SENTENCES[:2]), SENTENCES[2]], options())))


def test_turned_off_a_line_is_a_whole(translator):
    (whole,) = translator.translate([LINE], options(split_sentences=False))
    assert (whole.num_groups, whole.num_segments) == (1, 1)
    assert whole.source_tokens.count("</s>") == 1


def test_without_several_sentences_nothing_changes_bit_for_bit(translator):
    lines = [*SENTENCES, "The dog sees 3.5 birds.", "the king...", "Mr. King hears man", ""]
    on, off = (translator.translate(lines, options(split_sentences=split)) for split in (True, False))
    for ours, theirs in zip(on, off, strict=True):
        assert (ours.text, ours.score, ours.tokens, ours.num_groups) == (theirs.text, theirs.score, theirs.tokens, 1)
        np.testing.assert_array_equal(ours.attention, theirs.attention)


def test_a_long_sentence_is_divided_further_or_cut(translator):
    long = f"{SENTENCES[0]} The king, the man loves cat and dog and bird and tree and king."
    lengths = [len(translator.tokenizers.source.encode(text)) for text in (SENTENCES[0], long)]
    limit = lengths[0] + 2
    (split,) = translator.translate([long], options(max_source_tokens=limit))
    assert (split.num_groups, split.truncated_tokens) == (2, 0)
    assert split.num_segments > 2
    (cut,) = translator.translate([long], options(max_source_tokens=limit, long_lines="truncate"))
    assert (cut.num_groups, cut.num_segments) == (2, 2)
    read = [token for token in cut.source_tokens if token != "</s>"]
    assert cut.truncated_tokens == lengths[1] - len(read) > 0
    assert len(read) == lengths[0] + limit - 1


def test_without_a_limit_it_is_the_longest_line_of_the_training(model, tokenizer):
    text = "The king loves cat and dog and bird and tree and king and man here"
    length = len(tokenizer.encode(text)) + 1
    for longest, segments in ((length, 1), (length - 1, 2)):
        lines = replace(ONE, max_tokens=longest, usual_tokens=longest)
        translator = Translator(model, tokenizer, tokenizer, source_lines=lines)
        assert translator.source_lines.max_source_tokens(options()) == longest
        assert translator.translate([text], options())[0].num_segments == segments
    assert translator.translate([text], options(max_source_tokens=length))[0].num_segments == 1
    unknown = Translator(model, tokenizer, tokenizer)
    assert unknown.source_lines.max_source_tokens(options()) == UNKNOWN_MAX_TOKENS
    assert unknown.translate([LINE], options())[0].num_groups == 3


def test_unknown_characters_of_all_segments_are_named(translator):
    line = "The dög sees ь. The ь hears 犬 and dög."
    assert not translator.translate(SENTENCES, options())[1].unknown_characters
    (result,) = translator.translate([line], options())
    assert result.num_groups == 2
    assert set(result.unknown_characters) == {"ь", "犬"} | (
        {"ö"} if "ö" not in "".join(translator.tokenizers.source.pieces(range(60))) else set()
    )
    assert result.unknown_tokens >= 3
    (split,) = translator.translate([line], options(max_source_tokens=5))
    assert split.num_segments > 2
    assert set(split.unknown_characters) == set(result.unknown_characters)


def test_evaluation_translates_as_translate_does(translator):
    found = evaluate(translator, [(LINE, "x"), (SENTENCES[0], "y")], options(), bootstrap=False)
    texts = [result.text for result in translator.translate([LINE, SENTENCES[0]], options())]
    assert [result.text for result in found.translations] == texts


def corpus(folder, counts):
    """A corpus whose line N has `counts[N]` sentences of five or six words."""
    made = [(f"{source.capitalize()}.", f"{target.capitalize()}.") for source, target in pairs(sum(counts), 1)]
    lines, start = [], 0
    for count in counts:
        sides = zip(*made[start : start + count], strict=True)
        lines.append("\t".join(" ".join(side) for side in sides))
        start += count
    for name in ("train", "valid"):
        (folder / f"{name}.tsv").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


@pytest.mark.parametrize(
    ("counts", "usual", "share"),
    [([1] * 200, 1, 0.0), ([1] * 199 + [2], 1, 0.005), ([1] * 190 + [2] * 10, 2, 0.05), ([3, 4] * 20, 4, 1.0)],
)
def test_training_records_what_its_lines_are(tmp_path, counts, usual, share):
    corpus(tmp_path, counts)
    filters = {"max_tokens": 200, "max_characters": None, "drop_duplicates": False}
    data = {name: {"tsv": str(tmp_path / f"{name}.tsv")} for name in ("train", "valid")}
    config = toy_config(
        tmp_path, data=data | {"filters": filters, "source_language": "en"}, validation={"compute_bleu": True}
    )
    prepared = prepare_data(config, tmp_path / "run", Display())
    lengths = np.sort(prepared.train.source.lengths)
    assert prepared.source_lines == SourceLines(
        max_tokens=lengths[-1],
        usual_tokens=lengths[int(np.ceil(0.99 * (len(lengths) - 1)))],
        usual_sentences=usual,
        several_sentences=pytest.approx(share),
        language="en",
    )
    recorded = json.loads(json.dumps(prepared.corpus_stats["source_lines"]))
    assert SourceLines.from_metadata({"corpus": {"source_lines": recorded}}, "en") == prepared.source_lines
    model = build_model(config, prepared.tokenizers)
    validator = TranslationValidator(model, prepared, config, Display())
    assert validator.translator.source_lines == prepared.source_lines


@pytest.fixture
def directory(model, tokenizer, tmp_path):
    """A model directory with the record."""
    save(tmp_path / "model", model, tokenizer, data={"source_language": "en"})
    facts = {"name": "train.tsv", "read": 9, "kept": 9, "dropped": {}, "source_tokens": 99, "target_tokens": 99}
    corpus = {
        "train": [facts | {"share": 1.0}],
        "valid": facts,
        "source_lines": replace(ONE, max_tokens=30).as_metadata(),
    }
    save_trained(tmp_path / "model", model, {}, corpus)
    return tmp_path / "model"


def test_a_model_directory_has_the_record(directory, tmp_path, capsys):
    assert Translator.load(directory).source_lines == replace(ONE, max_tokens=30)
    assert run("export", directory, tmp_path / "copy") == 0
    assert Translator.load(tmp_path / "copy").source_lines == replace(ONE, max_tokens=30)
    card = (tmp_path / "copy" / "README.md").read_text(encoding="utf-8")
    assert "It translates a sentence at a time, without further context; a sentence of more than 30 tokens" in card
    purpose = inspect_model(directory)["purpose"]
    assert (purpose["max_sentences"], purpose["max_source_tokens"]) == (1, 30)
    capsys.readouterr()
    assert run("inspect", directory) == 0
    assert "translated at most 1 sentence and 30 tokens at a time" in " ".join(capsys.readouterr().out.split())


def test_a_damaged_record_is_an_error(directory):
    metadata = json.loads((directory / "metadata.json").read_text())
    metadata["corpus"]["source_lines"]["usual_sentences"] = "one"
    (directory / "metadata.json").write_text(json.dumps(metadata))
    with pytest.raises(ModelDirectoryError, match="usual_sentences"):
        Translator.load(directory)


def test_the_command_says_once_what_it_did(directory, tmp_path, capsys):
    (tmp_path / "in").write_text(f"{LINE}\nThe dog.\n\n{LINE} ь\nThe ь.\n", encoding="utf-8")
    assert run("translate", directory, "-i", tmp_path / "in", "-o", tmp_path / "out") == 0
    said = capsys.readouterr().err.splitlines()
    assert said[:2] == [
        "2 lines of several sentences were translated sentence by sentence (lines 1, 4); --no-split-sentences turns "
        "this off",
        "2 lines have characters that the model does not know: ь (lines 4, 5)",
    ]
    assert len(said) == 3
    assert len((tmp_path / "out").read_text(encoding="utf-8").splitlines()) == 5
    flags = ("-i", tmp_path / "in", "-o", tmp_path / "out", "--format", "jsonl", "--no-split-sentences")
    assert run("translate", directory, *flags) == 0
    assert "several sentences" not in capsys.readouterr().err
    rows = [json.loads(line) for line in (tmp_path / "out").read_text(encoding="utf-8").splitlines()]
    assert [row["num_groups"] for row in rows] == [1] * 5
    assert [row["unknown_characters"] for row in rows] == [[], [], [], ["ь"], ["ь"]]
