"""Recipes: every mistake is named, every override lands, every resolved recipe reads back."""

import re
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from seq2seq.config import Config, changed_keys, dump_config, load_config, parse_config, recipe_names
from seq2seq.errors import ConfigError

DATA = {"train": {"tsv": "train.tsv"}, "valid": {"source": "valid.en", "target": "valid.de"}}


def parse(**sections) -> Config:
    return parse_config({"data": DATA, **sections}, origin="recipe.yaml")


def message_of(**sections) -> str:
    with pytest.raises(ConfigError) as error:
        parse(**sections)
    return str(error.value)


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump({"seed": 7, "data": DATA, "training": {"epochs": 3}}), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("key", "meant", "accepted"),
    [
        (
            "decodr",
            "decoder",
            "batching, data, decoder, embeddings, encoder, search, seed, tokenizer",
        ),
        ("data.vaild", "valid", "filters, test, train, valid"),
        ("data.train.sorce", "source", "phrasebook, source, target, tsv"),
        # `test` may be null, so its section hides in a union.
        ("data.test.sorce", "source", "phrasebook, source, target, tsv"),
        (
            "data.filters.max_token",
            "max_tokens",
            "duplicates, empty, max_characters, max_ratio",
        ),
        ("batching.token", "tokens", "pool, tokens"),
        ("decoder.atention", "attention", "attention, cell, dropout, layers, residual, units"),
        ("embeddings.tid", "tied", "dropout, size, tied"),
        ("training.schedule.warm_up", "warmup", "factor, kind, minimum, patience, warmup"),
        ("validation.beamsize", "beam_size", "beam_size, bleu, every_updates, metric, patience"),
    ],
)
def test_unknown_key_at_every_level(key: str, meant: str, accepted: str) -> None:
    *sections, last = key.split(".")
    values = inner = {"data": {name: dict(corpus) for name, corpus in DATA.items()}}
    for section in sections:
        inner = inner.setdefault(section, {"tsv": "a.tsv"} if section == "test" else {})
    inner[last] = 1
    with pytest.raises(ConfigError) as error:
        parse_config(values, origin="recipe.yaml")
    where = f"in {'.'.join(sections)}" if sections else "at the top"
    assert str(error.value).startswith(
        f"recipe.yaml: unknown key '{key}'. Did you mean '{meant}'? Accepted {where}: {accepted}"
    )


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
        ({"encoder": 5}, "encoder", "5"),
        ({"encoder": None}, "encoder", "None"),
        ({"decoder": {"dropout": 1.0}}, "decoder.dropout", "1.0"),
        ({"training": {"learning_rate": float("inf")}}, "training.learning_rate", "inf"),
        ({"training": {"schedule": {"factor": 1}}}, "training.schedule.factor", "1"),
        ({"tokenizer": {"user_defined_symbols": "ab"}}, "tokenizer.user_defined_symbols", "'ab'"),
        ({"data": {**DATA, "filters": {"max_ratio": 1.0}}}, "data.filters.max_ratio", "1.0"),
    ],
)
def test_wrong_type_or_range_names_key_and_value(sections, key, found) -> None:
    expected = rf"recipe\.yaml: '{re.escape(key)}': found {re.escape(found)}(\. Input should be |, expected a section)"
    assert re.match(expected, message_of(**sections))


def test_wrong_choice_lists_the_accepted_ones() -> None:
    assert message_of(decoder={"cell": "rnn"}) == (
        "recipe.yaml: 'decoder.cell': found 'rnn'. Input should be 'gru' or 'lstm'."
    )
    message = message_of(search={"length_penalty": "long"})
    assert "search.length_penalty" in message
    assert "found 'long'" in message
    assert "'average'" in message


def test_every_problem_gets_its_line() -> None:
    lines = message_of(seed=-1, encoder={"units": 3}, search={"beam": 2}).split("\n")
    assert [line.startswith("recipe.yaml: ") for line in lines] == [True, True, True]
    assert "'seed'" in lines[0]
    assert "'units' is 3" in lines[1]
    assert "'search.beam'" in lines[2]


def test_missing_section() -> None:
    with pytest.raises(ConfigError, match=r"^recipe\.yaml: 'data\.valid' is missing\.$"):
        parse_config({"data": {"train": {"tsv": "a"}}}, origin="recipe.yaml")
    with pytest.raises(ConfigError, match=r"^recipe\.yaml: 'data' is missing\.$"):
        parse_config({}, origin="recipe.yaml")


ONE_KIND = "data.train: give one of: 'source' and 'target', 'tsv', or 'phrasebook'."


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ("data.train={source: a}", "data.train: 'source' and 'target' go together: give both files."),
        ("data.train={target: a, tsv: b}", "data.train: 'source' and 'target' go together: give both files."),
        ("data.train={}", ONE_KIND),
        ("data.train.phrasebook=train", ONE_KIND),
        ("data.train.source=a data.train.target=b", ONE_KIND),
        (
            "tokenizer.joint=true tokenizer.source_model=a tokenizer.target_model=b",
            "tokenizer: a joint tokenizer is one file: give 'source_model' alone.",
        ),
        (
            "tokenizer.target_model=b",
            "tokenizer: give both 'source_model' and 'target_model', or neither, or set 'joint: true'.",
        ),
        ("encoder.units=51", "encoder: 'units' is 51: a bidirectional encoder needs an even number."),
        (
            "training.schedule.kind=inverse_sqrt",
            "training.schedule: 'inverse_sqrt' needs 'warmup' of at least 1 update.",
        ),
        ("training.epochs=null", "training: give 'epochs' or 'updates', or training never ends."),
        (
            "training.optimizer=sgd training.weight_decay=0.1",
            "training: 'weight_decay' belongs to adamw, and 'optimizer' is sgd.",
        ),
        ("validation.bleu=false", "validation: 'metric: bleu' needs 'bleu: true'."),
        ("search.n_best=4 search.beam_size=3", "search: 'n_best' is 4, more than 'beam_size' 3."),
        ("embeddings.tied=all", "'embeddings.tied: all' needs 'tokenizer.joint: true'."),
        (
            "batching.tokens=99 data.filters.max_tokens=100",
            "'data.filters.max_tokens' is 100, more than 'batching.tokens' 99: such a sentence fits no batch.",
        ),
        (
            "decoder.attention=scaled_dot decoder.units=24 encoder.units=36",
            "'decoder.attention: scaled_dot' multiplies decoder and encoder states: 'encoder.units' 36 and "
            "'decoder.units' 24 must be equal, or use 'general'.",
        ),
    ],
)
def test_combinations_that_cannot_be(recipe: Path, overrides: str, expected: str) -> None:
    with pytest.raises(ConfigError) as error:
        load_config(recipe, re.split(r" (?=\w+\.)", overrides))
    assert str(error.value) == f"{recipe}: {expected}"


@pytest.mark.parametrize(
    "overrides",
    [
        "encoder.units=51 encoder.bidirectional=false",
        "training.epochs=null training.updates=10",
        "training.optimizer=adamw training.weight_decay=0.1",
        "validation.bleu=false validation.metric=loss",
        "embeddings.tied=all tokenizer.joint=true tokenizer.source_model=a",
        "tokenizer.source_model=a tokenizer.target_model=b",
        "decoder.attention=general decoder.units=24 encoder.units=36",
        "batching.tokens=100 data.filters.max_tokens=100",
        "search.n_best=5 search.length_penalty=average",
    ],
)
def test_neighbouring_combinations_are_accepted(recipe: Path, overrides: str) -> None:
    load_config(recipe, overrides.split(" "))


def test_overrides_take_yaml_values(recipe: Path) -> None:
    config = load_config(
        recipe,
        [
            "seed=9",
            "seed=8",  # the last one wins
            "training.epochs=null",
            "training.updates=50",
            "training.learning_rate=1e-3",  # a string in YAML 1.1
            "training.schedule.kind=plateau",  # a section that the recipe does not have
            "encoder.bidirectional=no",
            "tokenizer.user_defined_symbols=[<a>, 'b,c', 'd=e']",
            "search.length_penalty=average",
            "data.train={source: a=b.en, target: a=b.de}",
        ],
    )
    assert (config.seed, config.training.epochs, config.training.updates) == (8, None, 50)
    assert config.training.learning_rate == 0.001
    assert config.training.schedule.kind == "plateau"
    assert config.encoder.bidirectional is False
    assert config.tokenizer.user_defined_symbols == ("<a>", "b,c", "d=e")
    assert config.search.length_penalty == "average"
    assert (config.data.train.source, config.data.train.tsv) == ("a=b.en", None)
    assert config.data.valid.target == "valid.de", "what no override names stays"


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("training.epochs", "--set training.epochs: expected section.key=value"),
        ("=5", "--set =5: expected section.key=value"),
        ("seed=[1", "--set seed=[1: the value is not valid YAML: "),
        ("seed.x=1", "--set seed.x=1: 'seed' is a value, not a section."),
        ("training.epochs.x=1", "--set training.epochs.x=1: 'epochs' is a value, not a section."),
    ],
)
def test_malformed_override(recipe: Path, override: str, expected: str) -> None:
    with pytest.raises(ConfigError) as error:
        load_config(recipe, [override])
    assert str(error.value).startswith(expected)


def test_misspelt_override_is_an_unknown_key(recipe: Path) -> None:
    with pytest.raises(ConfigError, match=r"recipe\.yaml: unknown key 'trainig'\. Did you mean 'training'\?"):
        load_config(recipe, ["trainig.epochs=5"])


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "expected sections with keys, found NoneType."),
        (b"- seed\n", "expected sections with keys, found list."),
        (b"seed: [1\n", "not valid YAML: "),
        (b"# caf\xe9\nseed: 1\n", "not valid YAML: unacceptable character #x00e9"),
    ],
)
def test_file_that_is_no_recipe(recipe: Path, content: bytes, expected: str) -> None:
    recipe.write_bytes(content)
    with pytest.raises(ConfigError) as error:
        load_config(recipe)
    assert str(error.value).startswith(f"{recipe}: {expected}")


def test_recipe_with_windows_line_ends_and_bom(recipe: Path) -> None:
    expected = load_config(recipe)
    recipe.write_bytes(b"\xef\xbb\xbf" + recipe.read_bytes().replace(b"\n", b"\r\n"))
    assert load_config(recipe) == expected


def test_missing_recipe_lists_the_packaged_ones(tmp_path: Path) -> None:
    path = tmp_path / "nowhere.yaml"
    with pytest.raises(ConfigError) as error:
        load_config(path)
    assert str(error.value).startswith(f"{path}: no such recipe.")
    assert str(error.value).endswith(f": {', '.join(recipe_names())}.")
    assert "quickstart" in recipe_names()


@pytest.mark.parametrize("name", recipe_names())
def test_packaged_recipes_load_by_name_and_read_back(name: str) -> None:
    config = load_config(name)
    assert parse_config(yaml.safe_load(dump_config(config)), origin=name) == config


def test_dump_reads_back_and_is_complete() -> None:
    config = parse(
        tokenizer={"user_defined_symbols": ["<größer>", "：", "null"]},
        search={"length_penalty": "average"},
        training={"epochs": None, "updates": 3, "learning_rate": 1e-5},
    )
    text = dump_config(config)
    assert parse_config(yaml.safe_load(text), origin="dump") == config
    assert "<größer>" in text, "readable, not escaped"
    assert list(yaml.safe_load(text)) == list(Config.model_fields)
    assert yaml.safe_load(text)["encoder"]["units"] == config.encoder.units, "defaults are written out"


def test_environment_variables_stay_in_the_dump(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORPUS", "/private/folder")
    text = dump_config(parse(data={**DATA, "train": {"tsv": "$CORPUS/train.tsv"}}))
    assert yaml.safe_load(text)["data"]["train"]["tsv"] == "$CORPUS/train.tsv"
    assert "/private/folder" not in text


def test_changed_keys_in_schema_order() -> None:
    old = parse()
    new = parse(search={"n_best": 2}, seed=2, training={"schedule": {"kind": "plateau"}, "clip_norm": None})
    assert changed_keys(old, new) == ["seed", "training.schedule.kind", "training.clip_norm", "search.n_best"]
    assert changed_keys(old, parse()) == []


def test_a_section_given_or_taken_away_is_a_change() -> None:
    without, given = parse(), parse(data={**DATA, "test": {"tsv": "test.tsv"}})
    assert "data.test.tsv" in changed_keys(without, given)
    assert "data.test.tsv" in changed_keys(given, without)


def test_frozen() -> None:
    config = parse()
    with pytest.raises(ValidationError, match="frozen"):
        config.seed = 2
    with pytest.raises(ValidationError, match="frozen"):
        config.training.schedule.warmup = 2


@pytest.mark.parametrize(
    ("override", "meant"),
    [("optimizer=sgd", "training.optimizer"), ("data.max_tokens=3", "data.filters.max_tokens")],
)
def test_a_key_of_another_section_is_pointed_to(override, meant):
    with pytest.raises(ConfigError, match=rf"Did you mean '{meant}'\?"):
        load_config("quickstart", [override])


def test_a_value_where_a_section_belongs_names_its_keys():
    with pytest.raises(ConfigError, match=r"'data.train': found 'x.tsv', expected a section with keys of: phrasebook"):
        load_config("quickstart", ["data.train=x.tsv"])
