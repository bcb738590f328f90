"""Recipes: every mistake is named, every resolved recipe reads back."""

import re
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from seq2seq.config import (
    Config,
    TranslationConfig,
    changed_keys,
    dump_config,
    load_config,
    parse_config_text,
    recipe_names,
    validate_config,
)
from seq2seq.config.recipe import TASK_CONFIGS
from seq2seq.config.schema import sections
from seq2seq.errors import ConfigError
from tests.recipes import DATA, mixed


def parse(**sections) -> Config:
    return validate_config({"data": DATA, **sections}, origin="recipe.yaml")


def message_of(**sections) -> str:
    with pytest.raises(ConfigError) as error:
        parse(**sections)
    return str(error.value)


CORPUS_KEYS = (
    "columns, delimiter, header, lexicon, min_score, mixture, pairs, phrasebook, quoted, score_column, seed, source, "
    "target, temperature, tsv"
)


@pytest.mark.parametrize(
    ("key", "meant", "accepted"),
    [
        (
            "decodr",
            "decoder",
            "batching, data, decoder, embeddings, encoder, search, seed, stages, task, teachers, tokenizer",
        ),
        ("data.vaild", "valid", "filters, reverse_tag, source_language, target_language, test, train, valid"),
        ("data.train.sorce", "source", CORPUS_KEYS),
        # `test` may be null, so its section hides in a union.
        ("data.test.sorce", "source", CORPUS_KEYS),
        (
            "data.filters.max_token",
            "max_tokens",
            "drop_duplicates, drop_empty, max_characters, max_ratio, max_tokens",
        ),
        (
            "tokenizer.vocab_size",
            "vocabulary_size",
            "byte_fallback, character_coverage, exact_size, from_model, joint, model_type",
        ),
        ("batching.max_token", "max_tokens", "max_tokens, shuffle_buffer"),
        (
            "encoder.bidirection",
            "bidirectional",
            "bidirectional, cell, dropout, layer_norm, layers, recurrent_dropout, residual, transition_depth, units",
        ),
        (
            "decoder.atention",
            "attention",
            "attention, attention_dropout, attention_units, bridge, cell, context, coverage, dropout, heads, "
            "layer_norm",
        ),
        ("embeddings.tid", "tied", "dropout, size, source_word_dropout, target_word_dropout, tied"),
        (
            "training.schedule.warm_up",
            "warmup_updates",
            "decay_start, decay_updates, factor, min_learning_rate, patience, type, warmup_updates",
        ),
        (
            "training.keep_lst",
            "keep_last",
            "accumulation_steps, beta_1, beta_2, checkpoint_minutes, clip_norm, consistency, deterministic",
        ),
        ("validation.beamsize", "beam_size", "beam_size, compute_bleu, interval_updates, metric, patience"),
        (
            "search.top_kk",
            "top_k",
            "batch_tokens, beam_groups, beam_size, candidates, confidence, coverage_penalty, decision, distinct, ",
        ),
    ],
)
def test_unknown_key_at_every_level(key: str, meant: str, accepted: str) -> None:
    *sections, last = key.split(".")
    values = inner = {"data": {name: dict(corpus) for name, corpus in DATA.items()}}
    for section in sections:
        inner = inner.setdefault(section, {"tsv": "a.tsv"} if section == "test" else {})
    inner[last] = 1
    with pytest.raises(ConfigError) as error:
        validate_config(values, origin="recipe.yaml")
    where = f"in {'.'.join(sections)}" if sections else "at the top"
    meant = ".".join([*sections, meant])
    assert str(error.value).startswith(
        f"recipe.yaml: unknown key '{key}'. Did you mean '{meant}'? Accepted {where}: {accepted}"
    )


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("encoder.cel", " Did you mean 'encoder.cell'?"),
        ("encoder.cell", " Dots are for --set and overrides: write {encoder: {cell: ...}} here."),
        ("training.schedule.typ", " Did you mean 'training.schedule.type'?"),
        ("no.such", ""),
    ],
)
def test_a_key_with_dots_in_a_recipe(key: str, said: str) -> None:
    assert message_of(**{key: 1}).startswith(f"recipe.yaml: unknown key '{key}'.{said} Accepted at the top: ")


def test_unknown_key_like_no_other_has_no_suggestion() -> None:
    message = message_of(qqq=1)
    assert message.startswith("recipe.yaml: unknown key 'qqq'. Accepted at the top: ")
    assert "Did you mean" not in message


@pytest.mark.parametrize(
    ("sections", "key", "found"),
    [
        ({"seed": "many"}, "seed", "'many'"),
        ({"seed": 1.5}, "seed", "1.5"),
        ({"seed": -1}, "seed", "-1"),
        ({"encoder": {"units": 0}}, "encoder.units", "0"),
        ({"encoder": {"bidirectional": "maybe"}}, "encoder.bidirectional", "'maybe'"),
        ({"encoder": {"transition_depth": 0}}, "encoder.transition_depth", "0"),
        ({"encoder": {"recurrent_dropout": -0.1}}, "encoder.recurrent_dropout", "-0.1"),
        ({"encoder": 5}, "encoder", "5"),
        ({"encoder": None}, "encoder", "null"),
        ({"decoder": {"dropout": 1.0}}, "decoder.dropout", "1.0"),
        ({"decoder": {"heads": 0}}, "decoder.heads", "0"),
        ({"decoder": {"readout_dropout": 1.0}}, "decoder.readout_dropout", "1.0"),
        ({"embeddings": {"source_word_dropout": 1}}, "embeddings.source_word_dropout", "1"),
        ({"training": {"learning_rate": float("inf")}}, "training.learning_rate", "inf"),
        ({"training": {"ema_decay": 1.0}}, "training.ema_decay", "1.0"),
        ({"training": {"beta_2": 1.0}}, "training.beta_2", "1.0"),
        ({"training": {"keep_best": -1}}, "training.keep_best", "-1"),
        ({"training": {"weight_decay_include": ["gates"]}}, "training.weight_decay_include.0", "'gates'"),
        ({"training": {"freeze": "encoder/*"}}, "training.freeze", "'encoder/*'"),
        ({"search": {"top_p": 0.0}}, "search.top_p", "0.0"),
        ({"search": {"top_k": 0}}, "search.top_k", "0"),
        ({"search": {"temperature": 0}}, "search.temperature", "0"),
        ({"search": {"coverage_penalty": -1}}, "search.coverage_penalty", "-1"),
        ({"training": {"schedule": {"factor": 1}}}, "training.schedule.factor", "1"),
        ({"tokenizer": {"user_defined_symbols": "ab"}}, "tokenizer.user_defined_symbols", "'ab'"),
        ({"data": {**DATA, "filters": {"max_ratio": 1.0}}}, "data.filters.max_ratio", "1.0"),
        ({"data": {**DATA, "valid": {"fraction": 0.6}}}, "data.valid.fraction", "0.6"),
        ({"data": {**DATA, "valid": {"fraction": 0}}}, "data.valid.fraction", "0"),
        ({"data": {**DATA, "valid": {"pairs": 0}}}, "data.valid.pairs", "0"),
        ({"data": {**DATA, "train": {"tsv": "a", "columns": [0, 1]}}}, "data.train.columns.0", "0"),
        ({"data": {**DATA, "train": mixed({"tsv": "a", "weight": 0})}}, "data.train.mixture.0.weight", "0"),
        ({"data": {**DATA, "train": {"tsv": "a", "temperature": 0}}}, "data.train.temperature", "0"),
        ({"data": {**DATA, "train": {"mixture": 5}}}, "data.train.mixture", "5"),
        ({"data": {**DATA, "train": {"mixture": ["a.tsv"]}}}, "data.train.mixture.0", "'a.tsv'"),
    ],
)
def test_wrong_type_or_range_names_key_and_value(sections, key, found) -> None:
    said = (
        r"(\. Input should be |\. String should match pattern |, expected a section with keys of: |, expected a list\.)"
    )
    expected = rf"recipe\.yaml: '{re.escape(key)}': found {re.escape(found)}{said}"
    assert re.match(expected, message_of(**sections))


def test_wrong_choice_lists_the_accepted_ones() -> None:
    assert message_of(decoder={"cell": "rnn"}) == (
        "recipe.yaml: 'decoder.cell': found 'rnn'. "
        "Input should be 'gru', 'gru_reset_before', 'mgu', 'min_gru', 'lstm', 'peephole_lstm', 'cifg', "
        "'depth_gated_lstm', 'slstm', 'min_lstm', 'sru', 'layer_norm_gru', 'layer_norm_lstm', 'elman', "
        "'elman_sigmoid', 'elman_relu', 'irnn', 'jordan' or 'clockwork'."
    )
    message = message_of(search={"length_penalty": "long"})
    assert "search.length_penalty" in message
    assert "found 'long'" in message
    assert "'average'" in message


@pytest.mark.parametrize(
    ("section", "key", "found", "choices"),
    [
        ("encoder", "bidirectional", "both", "true, false, 'all' or 'alternating'"),
        ("encoder", "residual", "no way", "true, false or 'highway'"),
        ("decoder", "residual", 2, "true, false or 'highway'"),
    ],
)
def test_a_switch_with_more_positions_gives_one_error(section, key, found, choices) -> None:
    assert message_of(**{section: {key: found}}) == (
        f"recipe.yaml: '{section}.{key}': found {found!r}. Input should be {choices}."
    )


def test_a_switch_with_more_positions_takes_all_of_them() -> None:
    for value in (True, False, "all", "alternating"):
        assert parse(encoder={"bidirectional": value}).encoder.bidirectional == value
    for value in (True, False, "highway"):
        assert parse(decoder={"residual": value}).decoder.residual == value


def test_every_problem_gets_its_line() -> None:
    lines = message_of(seed=-1, encoder={"units": 3}, search={"beam": 2}).split("\n")
    assert [line.startswith("recipe.yaml: ") for line in lines] == [True, True, True]
    assert "'seed'" in lines[0]
    assert "'units' is 3" in lines[1]
    assert "'search.beam'" in lines[2]


def test_missing_section() -> None:
    with pytest.raises(ConfigError, match=r"^recipe\.yaml: 'data\.valid' is missing\. Validation needs"):
        validate_config({"data": {"train": {"tsv": "a"}}}, origin="recipe.yaml")


def test_a_recipe_for_training_has_corpora_and_that_of_a_model_may_lack_them(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    for text in ("seed: 3", "data: null"):
        recipe.write_text(text)
        with pytest.raises(ConfigError, match=r"/recipe\.yaml: 'data' is missing\.$"):
            load_config(recipe)
    for task in TASK_CONFIGS:
        config = parse_config_text(f"task: {task}".encode(), "config.yaml")
        assert config.data is None
        assert parse_config_text(dump_config(config).encode(), "dump") == config
        with pytest.raises(ConfigError, match=r"^the recipe has no 'data' section"):
            _ = config.corpora


@pytest.mark.parametrize("name", recipe_names())
def test_packaged_recipes_load_by_name_and_read_back(name: str) -> None:
    config = load_config(name)
    assert validate_config(yaml.safe_load(dump_config(config)), origin=name) == config


def test_dump_reads_back_and_is_complete() -> None:
    config = parse(
        tokenizer={"user_defined_symbols": ["<größer>", "：", "null"]},
        search={"length_penalty": "average"},
        training={"epochs": None, "updates": 3, "learning_rate": 1e-5},
    )
    text = dump_config(config)
    assert validate_config(yaml.safe_load(text), origin="dump") == config
    assert "<größer>" in text, "readable, not escaped"
    assert list(yaml.safe_load(text)) == list(TranslationConfig.model_fields)
    assert yaml.safe_load(text)["encoder"]["units"] == config.encoder.units, "defaults are written out"


def test_environment_variables_stay_in_the_dump(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORPUS", "/private/folder")
    text = dump_config(parse(data={**DATA, "train": {"tsv": "$CORPUS/train.tsv"}}))
    assert yaml.safe_load(text)["data"]["train"]["tsv"] == "$CORPUS/train.tsv"
    assert "/private/folder" not in text


def test_changed_keys_in_schema_order() -> None:
    old = parse()
    new = parse(search={"n_best": 2}, seed=2, training={"schedule": {"type": "plateau"}, "clip_norm": None})
    assert changed_keys(old, new) == ["seed", "training.schedule.type", "training.clip_norm", "search.n_best"]
    assert changed_keys(old, parse()) == []


def test_a_section_given_or_taken_away_is_a_change() -> None:
    without, given = parse(), parse(data={**DATA, "test": {"tsv": "test.tsv"}})
    assert "data.test.tsv" in changed_keys(without, given)
    assert "data.test.tsv" in changed_keys(given, without)


def test_a_change_in_a_list_names_its_place() -> None:
    old = parse(data={**DATA, "train": mixed({"tsv": "a"}, {"tsv": "b"})})
    new = parse(data={**DATA, "train": mixed({"tsv": "a"}, {"tsv": "c"})})
    assert changed_keys(old, new) == ["data.train.mixture.1.tsv"]
    longer = parse(data={**DATA, "train": mixed({"tsv": "a"}, {"tsv": "b"}, {"phrasebook": "train"})})
    assert "data.train.mixture.2.phrasebook" in changed_keys(old, longer)
    assert changed_keys(old, parse(data={**DATA, "train": {"tsv": "a"}}))


def test_every_section_and_key_is_described() -> None:
    for recipe in TASK_CONFIGS.values():
        found = dict(sections(recipe))
        for name, section in found.items():
            assert section.__doc__
            for key, field in section.model_fields.items():
                assert field.description or f"{name}.{key}".lstrip(".") in found, f"{name}.{key}"
        assert list(found)[:4] == ["", "data", "data.train", "data.train.mixture.0"]


def test_frozen() -> None:
    config = parse()
    with pytest.raises(ValidationError, match="frozen"):
        config.seed = 2
    with pytest.raises(ValidationError, match="frozen"):
        config.training.schedule.warmup_updates = 2
