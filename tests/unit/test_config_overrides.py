"""Recipes as files, and what `--set` changes in them."""

from pathlib import Path

import pytest

from seq2seq.config import load_config, recipe_names
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
    assert str(error.value).startswith(f"{path}: no such file, and no packaged recipe. ")
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
