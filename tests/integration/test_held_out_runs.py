"""Runs that validate with a part of their training corpus: nothing of it is trained on, nor are tokenizers."""

import numpy as np
import pytest

from seq2seq.cli.derived_models import shortlist
from seq2seq.inference import shortlist as learning
from seq2seq.model_directory.inspection import inspect_model
from seq2seq.training.display import Display
from seq2seq.training.preparation import prepare_data
from tests.toy import language_model_config, pairs, save_random_model, toy_config, toy_tokenizer

pytestmark = pytest.mark.usefixtures("shared_graphs")


def letter(number):
    """A character that no other line has."""
    return chr(0x4E00 + number)


@pytest.fixture
def corpus(tmp_path):
    """Lines with a character of their own on each side, then a blank one and repetitions."""
    made = [(f"{source} {letter(n)}", f"{target} {letter(n)}") for n, (source, target) in enumerate(pairs(100, 1))]
    lines = made + [(source, " ") for source, _ in made] + made
    text = "".join(f"{n}\t{target}\t{source}\n" for n, (source, target) in enumerate(lines))
    (tmp_path / "mine.tsv").write_text(f"id\tde\ten\n{text}", encoding="utf-8")
    return tmp_path


MINE = {"tsv": "mine.tsv", "columns": [3, 2], "header": True}
LETTERS = {"model_type": "char", "vocabulary_size": 300, "joint": False}


@pytest.fixture
def config(corpus, monkeypatch):
    monkeypatch.chdir(corpus)

    def config(make=toy_config, **data):
        data = {"train": MINE, "filters": {"max_tokens": 60}} | data
        letters = LETTERS if make is toy_config else {"model_type": "char", "vocabulary_size": 300}
        return make(corpus, data=data, tokenizer=letters, embeddings={"tied": "none"})

    return config


def own(texts):
    return {character for text in texts for character in text if character >= letter(0)}


@pytest.mark.parametrize("make", [toy_config, language_model_config])
@pytest.mark.parametrize("amount", [{"fraction": 0.2}, {"pairs": 20}])
def test_what_is_held_out_is_neither_trained_on_nor_in_the_vocabulary(config, tmp_path, make, amount):
    data = prepare_data(config(make, valid=amount), tmp_path / "run", Display())
    held_out = own(pair.target for pair in data.valid_pairs)
    assert len(held_out) == len(data.valid_pairs) == len(data.valid)
    assert len(held_out) == 20 if "pairs" in amount else 4 <= len(held_out) <= 36
    target = data.tokenizers.target
    vocabulary = own(target.pieces(range(target.vocabulary_size)))
    assert vocabulary == {letter(n) for n in range(100)} - held_out
    assert len(data.train) == 100 - len(held_out)
    assert own(target.pieces(data.train.target.ids(np.arange(len(data.train))).tolist())) == vocabulary
    facts, (trained,) = data.corpus_stats["valid"], data.corpus_stats["train"]
    assert facts["read"] + trained["read"] == 300
    assert facts["dropped"]["duplicate"] == len(held_out)
    assert sum(side["dropped"].get("empty side", 0) for side in (facts, trained)) == 100
    assert facts["name"].endswith("held out from data.train")


def test_encoded_corpora_are_kept_until_the_amount_changes(config, tmp_path):
    def encoded(**data):
        made = prepare_data(config(**data), tmp_path / "run", Display(), tokenizers)
        return made.fingerprint(), [part.folder.stat().st_mtime_ns for part in (*made.train.parts, made.valid)]

    tokenizers = prepare_data(config(valid={"fraction": 0.2}), tmp_path / "run", Display()).tokenizers
    first = encoded(valid={"fraction": 0.2})
    assert encoded(valid={"fraction": 0.2}) == first
    changed = encoded(valid={"fraction": 0.3})
    assert not {changed[0], *changed[1]} & {first[0], *first[1]}


def test_long_sentences_are_validated_with(config, tmp_path):
    """Only training has a limit of tokens; loss and BLEU are of the same pairs."""
    data = prepare_data(config(valid={"fraction": 0.2}, filters={"max_tokens": 30}), tmp_path / "run", Display())
    assert data.valid.target.lengths.max() > 30
    assert len(data.valid) == len(data.valid_pairs)


def test_a_shortlist_is_learnt_from_what_was_trained_on(config, corpus, monkeypatch):
    learnt, learn = [], learning.learn_shortlist

    def record(corpora, *others):
        learnt.extend(pair.target for part in corpora for pair in part)
        return learn(corpora, *others)

    monkeypatch.setattr(learning, "learn_shortlist", record)
    data = {"train": MINE, "valid": {"fraction": 0.2}}
    save_random_model(corpus / "model", toy_tokenizer(), data=data)
    held_out = own(pair.target for pair in prepare_data(config(**data), corpus / "run", Display()).valid_pairs)
    shortlist(corpus / "model")
    assert own(learnt) == {letter(n) for n in range(100)} - held_out
    assert inspect_model(corpus / "model")["corpus"]["valid"] == {"name": "20% held out from data.train"}
