"""Runs on several corpora."""

import io
import json

import numpy as np
import pytest
from rich.console import Console

from seq2seq.config import CorpusConfig, FilterConfig
from seq2seq.corpora import open_corpus
from seq2seq.corpora.filters import measure_length_ratio
from seq2seq.data.batching import plan_batches
from seq2seq.data.encoded import EncodedCorpus
from seq2seq.data.tokenizer import Tokenizer
from seq2seq.errors import TokenizerError, TrainingError
from seq2seq.model_directory.directory import load_tokenizers
from seq2seq.training import run, run_state, train
from seq2seq.training.display import Display
from seq2seq.training.preparation import prepare_data
from tests.runs import CopyAfter, InterruptAfter, assert_goes_on, often_saved
from tests.toy import pairs, toy_config

pytestmark = pytest.mark.usefixtures("shared_graphs")
SIZES = {"small": 10, "large": 50}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    for name, count, seed in (("small", SIZES["small"], 3), ("large", SIZES["large"], 4), ("valid", 8, 5)):
        lines = [f"{source}\t{target}\n" for source, target in pairs(count, seed)]
        lines += ["\tblank\n"] if name == "small" else []
        (folder / f"{name}.tsv").write_text("".join(lines), encoding="utf-8")
    return folder


def mixed(folder, training=None, weights=(None, None), **options):
    parts = [
        {"tsv": str(folder / f"{name}.tsv")} | ({} if weight is None else {"weight": weight})
        for name, weight in zip(SIZES, weights, strict=True)
    ]
    data = {
        "train": {"mixture": parts, **options},
        "valid": {"mixture": [{"tsv": str(folder / "valid.tsv")}, {"tsv": str(folder / "small.tsv")}]},
    }
    return toy_config(folder, data=data, training=training or {"epochs": 2})


@pytest.fixture(scope="module")
def whole(corpus, tmp_path_factory):
    """A finished run at temperature 2, what it said, and the plans of its epochs."""
    screen, plans = io.StringIO(), []

    def record(*args, **kwargs):
        plans.append(plan_batches(*args, **kwargs))
        return plans[-1]

    folder = tmp_path_factory.mktemp("runs") / "whole"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_state, "plan_batches", record)
        config = often_saved(mixed(corpus, temperature=2.0))
        train(config, folder, [CopyAfter(folder, 5)], Console(file=screen, width=250))
    return folder, screen.getvalue(), plans[-2:]


def test_resume_is_exact(corpus, whole):
    assert_goes_on(often_saved(mixed(corpus, temperature=2.0)), whole[0], 5)


# sqrt(10) to sqrt(50) of 60 sentences: quotas 18.54 and 41.46
SHARES = {"small": 19 / 60, "large": 41 / 60}


def test_each_part_is_named_with_its_share(corpus, whole):
    _, said, _ = whole
    for number, (name, size) in enumerate(SIZES.items(), start=1):
        dropped = " (dropped: 1 empty side)" if name == "small" else ""
        read = size + 1 if dropped else size
        row = f"{corpus / name}.tsv: {SHARES[name]:.1%} of an epoch, {size} of {read} pairs{dropped}"
        assert f"corpus {number}" in said
        assert row in said


def test_what_the_first_epoch_leaves_out_is_tried_before_it(corpus, tmp_path, monkeypatch):
    long = f"{'dog ' * 50}\t{'Hund ' * 50}\n"
    for name in (*SIZES, "valid"):
        text = (corpus / f"{name}.tsv").read_text(encoding="utf-8")
        (tmp_path / f"{name}.tsv").write_text((long if name == "large" else "") + text, encoding="utf-8")
    config = mixed(tmp_path, training={"updates": 1}, weights=(50, 1))
    train_data = prepare_data(config, tmp_path / "run", Display()).train
    longest = int(train_data.source.lengths.argmax())
    assert longest not in train_data.epoch_indices(config.seed, epoch=1)
    tried, real = [], run.try_largest_batches

    def record(validator, train, plan):
        tried.extend(row for index in plan.largest_batches() for row in plan.batch(index))
        real(validator, train, plan)

    monkeypatch.setattr(run, "try_largest_batches", record)
    train(config, tmp_path / "run")
    assert longest in tried


def test_metadata_tells_what_each_part_gave(corpus, whole):
    folder, _, _ = whole
    facts = json.loads((folder / "metadata.json").read_text())["corpus"]
    tokenizer = load_tokenizers(folder).source
    seeds = {"small": 3, "large": 4, "valid": 5}

    def tokens(*names):
        text = [pair for name in names for pair in pairs({**SIZES, "valid": 8}[name], seeds[name])]
        return [sum(len(tokenizer.encode(pair[side])) + 1 for pair in text) for side in (0, 1)]

    for fact, (name, size) in zip(facts["train"], SIZES.items(), strict=True):
        source, target = tokens(name)
        empty = 1 if name == "small" else 0
        assert fact == {
            "name": str(corpus / f"{name}.tsv"), "read": size + empty, "kept": size,
            "dropped": {"empty side": 1} if empty else {}, "source_tokens": source, "target_tokens": target,
            "length_ratios": [measure_length_ratio(open_corpus(CorpusConfig(tsv=str(corpus / f"{name}.tsv"))))],
            "share": pytest.approx(SHARES[name]),
        }  # fmt: skip
    source, target = tokens("valid", "small")
    assert facts["valid"] == {
        "name": f"{corpus / 'valid.tsv'}, {corpus / 'small.tsv'}", "read": 19, "kept": 18,
        "dropped": {"side without tokens": 1}, "source_tokens": source, "target_tokens": target, "length_ratios": [],
    }  # fmt: skip


def test_an_epoch_has_the_shares_and_the_next_one_another_sample(whole):
    first, second = (np.bincount(plan.indices, minlength=60) for plan in whole[2])
    for times in (first, second):
        assert (times[:10].sum(), times[10:].sum()) == (19, 41)
        assert set(times[:10]) == {1, 2}
        assert set(times[10:]) == {0, 1}
    assert np.any(first != second)


def test_parts_are_encoded_on_their_own_and_only_what_changed_again(corpus, tmp_path):
    for name in ("small", "large", "valid"):
        (tmp_path / f"{name}.tsv").write_text((corpus / f"{name}.tsv").read_text(encoding="utf-8"), encoding="utf-8")
    config = mixed(tmp_path)
    first = prepare_data(config, tmp_path / "run", Display())
    folders = [tmp_path / "run" / "encoded" / f"train.mixture.{number}" for number in (0, 1)]
    assert [len(EncodedCorpus(folder)) for folder in folders] == list(SIZES.values())
    before = [(folder / "source.tokens.bin").stat().st_mtime_ns for folder in folders]
    with (tmp_path / "large.tsv").open("a", encoding="utf-8") as file:
        file.write("the dog sees the cat\tder Hund sieht Kater\n")
    second = prepare_data(config, tmp_path / "run", Display(), first.tokenizers)
    after = [(folder / "source.tokens.bin").stat().st_mtime_ns for folder in folders]
    assert [a == b for a, b in zip(before, after, strict=True)] == [True, False]
    assert first.fingerprint() != second.fingerprint()
    assert len(second.train) == 61


def test_the_tokenizer_is_trained_on_all_parts_each_filtered_alone(corpus, tmp_path, monkeypatch):
    texts = []

    def record(sentences, options, on_warning):
        texts.extend(sentences)
        raise TokenizerError("that is enough")

    monkeypatch.setattr(Tokenizer, "train", record)
    for name in SIZES:  # a pair in both parts is no duplicate
        (tmp_path / f"{name}.tsv").write_text(f"in both\tin beiden\n{name}\t{name}\n\tblank\n", encoding="utf-8")
    config = mixed(tmp_path).model_copy(
        update={"data": mixed(tmp_path).data.model_copy(update={"filters": FilterConfig()})}
    )
    (tmp_path / "valid.tsv").write_text("a\tb\n", encoding="utf-8")
    with pytest.raises(TokenizerError, match="enough"):
        prepare_data(config, tmp_path / "run", Display())
    assert texts == ["in both", "in beiden", "small", "small", "in both", "in beiden", "large", "large"]


def test_changed_shares_or_parts_are_refused_on_resume(corpus, tmp_path):
    train(mixed(corpus, temperature=2.0), tmp_path, [InterruptAfter(2)])
    with pytest.raises(TrainingError, match=r"changed: data.train.temperature\."):
        train(mixed(corpus, temperature=3.0), tmp_path)
    with pytest.raises(TrainingError, match=r"changed: .*data.train.mixture"):
        train(mixed(corpus, weights=(1, 2)), tmp_path)


def test_a_part_of_which_nothing_is_left_is_named(corpus, tmp_path):
    (tmp_path / "small.tsv").write_text("\tleer\n" * 3, encoding="utf-8")
    for name in ("large", "valid"):
        (tmp_path / f"{name}.tsv").write_text((corpus / f"{name}.tsv").read_text(encoding="utf-8"), encoding="utf-8")
    with pytest.raises(TrainingError, match=r"no train pairs are left \(read: 3; .* Check data.train.mixture.0 and"):
        train(mixed(tmp_path), tmp_path / "run")
