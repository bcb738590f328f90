"""Recipes as files, and what `--set` changes in them."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from seq2seq.config import CorpusConfig, EncoderConfig, load_config, recipe_names
from seq2seq.errors import ConfigError
from tests.recipes import mixed, write_recipe


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    return write_recipe(tmp_path)


def test_overrides_take_yaml_values(recipe: Path) -> None:
    config = load_config(
        recipe,
        [
            "seed=9",
            "seed=8",  # the last one wins
            "training.epochs=null",
            "training.updates=50",
            "training.learning_rate=1e-3",  # a string in YAML 1.1
            "training.schedule.type=plateau",  # a section that the recipe does not have
            "encoder.bidirectional=no",
            "tokenizer.user_defined_symbols=[<a>, 'b,c', 'd=e']",
            "search.length_penalty=average",
            "data.train={source: a=b.en, target: a=b.de}",
        ],
    )
    assert (config.seed, config.training.epochs, config.training.updates) == (8, None, 50)
    assert config.training.learning_rate == 0.001
    assert config.training.schedule.type == "plateau"
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
        ("training.epochs.x=1", "--set training.epochs.x=1: 'training.epochs' is a value, not a section."),
        ("training.epochs.x.y=1", "--set training.epochs.x.y=1: 'training.epochs' is a value, not a section."),
    ],
)
def test_malformed_override(recipe: Path, override: str, expected: str) -> None:
    with pytest.raises(ConfigError) as error:
        load_config(recipe, [override])
    assert str(error.value).startswith(expected)


@pytest.fixture
def mixture(tmp_path: Path) -> Path:
    parts = {"tsv": "a.tsv", "weight": 1}, {"source": "b.en", "target": "b.de", "weight": 3}
    return write_recipe(tmp_path, train=mixed(*parts))


def test_overrides_go_into_lists(mixture: Path) -> None:
    overrides = ["data.train.mixture.0.weight=2", "data.train.mixture.1={phrasebook: train, weight: 4}"]
    parts = load_config(mixture, overrides).data.train.parts()
    assert [(part.tsv, part.source, part.phrasebook, part.weight) for part in parts] == [
        ("a.tsv", None, None, 2.0),
        (None, None, "train", 4.0),
    ]


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("data.train.mixture.2.weight", "2", "'data.train.mixture' is a list of 2, counted from 0: it has no '2'."),
        ("data.train.mixture.2", "{}", "'data.train.mixture' is a list of 2, counted from 0: it has no '2'."),
        ("data.train.mixture.-1", "{}", "'data.train.mixture' is a list of 2, counted from 0: it has no '-1'."),
        ("data.train.mixture.weight", "2", "'data.train.mixture' is a list of 2, counted from 0: it has no 'weight'."),
        ("data.train.mixture.0.tsv.x", "2", "'data.train.mixture.0.tsv' is a value, not a section."),
    ],
)
def test_an_override_that_misses_its_list(mixture: Path, key: str, value: str, expected: str) -> None:
    with pytest.raises(ConfigError) as error:
        load_config(mixture, [f"{key}={value}"])
    assert str(error.value).startswith(f"--set {key}={value}: {expected}")


def test_an_unknown_key_in_a_list_names_its_place(mixture: Path) -> None:
    with pytest.raises(ConfigError) as error:
        load_config(mixture, ["data.train.mixture.1.sorce=c.en"])
    assert str(error.value) == (
        f"{mixture}: unknown key 'data.train.mixture.1.sorce'. Did you mean 'data.train.mixture.1.source'? "
        "Accepted in data.train.mixture.1: columns, delimiter, header, lexicon, min_score, pairs, "
        "phrasebook, quoted, score_column, seed, source, target, "
        "tsv, weight."
    )


def test_an_override_fills_a_section_that_is_null(mixture: Path) -> None:
    assert load_config(mixture, ["data.test=null", "data.test.tsv=t.tsv"]).data.test.tsv == "t.tsv"


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["data.train.tsv=mine.tsv"], {"tsv": "mine.tsv"}),
        (["data.train.target=a.de", "data.train.source=a.en"], {"source": "a.en", "target": "a.de"}),
        (["data.train.mixture=[{tsv: a}]"], {"mixture": ({"tsv": "a"},)}),
        (["data.train.pairs=7"], {"phrasebook": "train", "lexicon": "basic", "pairs": 7}),
        (["data.train.phrasebook=valid"], {"phrasebook": "valid", "lexicon": "basic", "pairs": 22000}),
        (["data.train.tsv=null"], {"phrasebook": "train", "lexicon": "basic", "pairs": 22000}),
    ],
)
def test_an_override_that_names_another_kind_of_corpus_replaces_the_recipes(overrides, expected):
    """The packaged recipe has `{phrasebook: train, pairs: 22000, lexicon: basic}`."""
    data = load_config("quickstart", overrides).data
    assert data.train.model_dump(exclude_defaults=True) == expected
    assert data.valid.phrasebook == "valid", "what no override names stays"


@pytest.mark.parametrize(
    ("valid", "override", "expected"),
    [
        ({"pairs": 9}, "fraction=0.1", {"fraction": 0.1}),
        ({"fraction": 0.1}, "pairs=9", {"pairs": 9}),
        ({"tsv": "a.tsv", "header": True}, "fraction=0.1", {"fraction": 0.1}),
        ({"phrasebook": "valid", "seed": 3}, "pairs=9", {"phrasebook": "valid", "pairs": 9, "seed": 3}),
        ({"fraction": 0.1}, "tsv=a.tsv", {"tsv": "a.tsv"}),
    ],
)
def test_an_override_replaces_what_is_held_out(tmp_path, valid, override, expected):
    config = load_config(write_recipe(tmp_path, valid=valid), [f"data.valid.{override}"])
    assert config.data.valid.model_dump(exclude_defaults=True) == expected


def test_an_override_replaces_the_kind_of_a_part_and_keeps_its_weight(mixture: Path) -> None:
    first, second = load_config(mixture, ["data.train.mixture.1.tsv=c.tsv"]).data.train.parts()
    assert (first.tsv, second.tsv, second.source, second.weight) == ("a.tsv", "c.tsv", None, 3.0)


def test_a_missing_blank_is_said(recipe: Path) -> None:
    with pytest.raises(ConfigError) as error:
        load_config(recipe, ["data.train={tsv:mine.tsv}"])
    assert str(error.value) == (
        f"{recipe}: unknown key 'data.train.tsv:mine.tsv': a space is missing after the colon. Write {{tsv: mine.tsv}}."
    )


def test_misspelt_override_is_an_unknown_key(recipe: Path) -> None:
    with pytest.raises(ConfigError, match=r"recipe\.yaml: unknown key 'trainig'\. Did you mean 'training'\?"):
        load_config(recipe, ["trainig.epochs=5"])


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "expected sections with keys, found nothing."),
        (b"- seed\n", "expected sections with keys, found ['seed']."),
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
    assert str(error.value).startswith(f"{path}: no such file, and no packaged recipe of that name. ")
    assert f": {', '.join(recipe_names())}. To train on sentence pairs" in str(error.value)
    assert "quickstart" in recipe_names()


@pytest.mark.parametrize(
    ("override", "meant"),
    [
        ("optimizer=sgd", "training.optimizer"),
        ("data.max_tokens=3", "data.filters.max_tokens"),
        ("weight=3", "data.train.mixture.0.weight"),
    ],
)
def test_a_key_of_another_section_is_pointed_to(override, meant):
    with pytest.raises(ConfigError, match=rf"Did you mean '{meant}'\?"):
        load_config("quickstart", [override])


def test_a_value_where_a_section_belongs_names_its_keys():
    with pytest.raises(
        ConfigError, match=r"'data.train': found 'x.tsv', expected a section with keys of: columns, delimiter, header,"
    ):
        load_config("quickstart", ["data.train=x.tsv"])


@pytest.mark.parametrize(
    ("override", "advice"),
    [
        ("data.valid=null", "To hold it out of data.train: --set data.valid='{fraction: 0.02}'."),
        ("data.valid=~", "To hold it out of data.train: --set data.valid='{fraction: 0.02}'."),
        ("data.valid=false", "To hold it out of data.train: --set data.valid='{fraction: 0.02}'."),
        ("data.valid=500", "To hold it out of data.train: --set data.valid='{pairs: 500}'."),
        ("data.valid=0.1", "To hold it out of data.train: --set data.valid='{fraction: 0.1}'."),
        ("data.valid=v.tsv", "To name files, write {tsv: v.tsv}."),
        ("data.train=007", "expected a section with keys of"),
        ("data.train=t.tsv", "To name files, write {tsv: t.tsv}."),
        ("data.train=[t.en, t.de]", "To name files, write {source: t.en, target: t.de}."),
        ("data.test=t.tsv", "To name files, write {tsv: t.tsv}."),
        ("data.train.mixture=[a.tsv]", "To name files, write {tsv: a.tsv}."),
    ],
)
def test_what_is_no_corpus_says_how_one_is_given(override: str, advice: str) -> None:
    with pytest.raises(ConfigError) as error:
        load_config("quickstart", [override])
    assert advice in str(error.value)
    assert "expected a section with keys of" in str(error.value)


def test_a_recipe_without_validation_says_how_to_hold_it_out(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text("data: {train: {tsv: a.tsv}}")
    with pytest.raises(ConfigError) as error:
        load_config(path)
    assert str(error.value) == (
        f"{path}: 'data.valid' is missing. Validation needs text that is not trained on. To hold it out of "
        "data.train: --set data.valid='{fraction: 0.02}'."
    )


@pytest.mark.parametrize("name", ["train", "valid", "test"])
@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"tsv": "a.tsv"}, {"tsv": "a.tsv"}),
        (CorpusConfig(source="a.en", target="a.de"), {"source": "a.en", "target": "a.de"}),
        ({"source": Path("a.en"), "target": Path("a.de")}, {"source": "a.en", "target": "a.de"}),
        ({"mixture": ({"tsv": "a"}, {"tsv": Path("b")})}, {"mixture": ({"tsv": "a"}, {"tsv": "b"})}),
    ],
)
def test_a_corpus_of_ones_own_in_place_of_the_recipes(name, given, expected):
    """In Python, whole and key by key; on the command line, whole."""
    data = load_config("quickstart", {f"data.{name}": given}).data
    assert getattr(data, name).model_dump(exclude_defaults=True) == expected
    if isinstance(given, dict):
        data = load_config("quickstart", {f"data.{name}.{key}": value for key, value in given.items()}).data
        assert getattr(data, name).model_dump(exclude_defaults=True) == expected
    written = yaml.safe_dump(yaml.safe_load(json.dumps(expected)), default_flow_style=True)
    data = load_config("quickstart", [f"data.{name}={written}"]).data
    assert getattr(data, name).model_dump(exclude_defaults=True) == expected


def test_overrides_in_python_are_taken_as_they_are():
    given = {
        "training.epochs": np.int64(3),
        "training.learning_rate": np.float32(0.5),
        "tokenizer.user_defined_symbols": ("no", "1"),
        "data.target_language": "no",
        "tokenizer.byte_fallback": True,
        "encoder": EncoderConfig(units=4),
    }
    config = load_config("quickstart", given)
    assert (config.training.epochs, config.training.learning_rate) == (3, 0.5)
    assert config.tokenizer.user_defined_symbols == ("no", "1")
    assert (config.data.target_language, config.tokenizer.byte_fallback) == ("no", True)
    assert config.encoder == EncoderConfig(units=4)
    with pytest.raises(ConfigError, match=r"'data\.target_language': found False"):
        load_config("quickstart", {"data.target_language": False})
    corpus = {"tsv": "a.tsv"}
    load_config("quickstart", {"data.train": corpus, "data.train.header": True})
    assert corpus == {"tsv": "a.tsv"}, "what was given stays"
