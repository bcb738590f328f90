"""Any recipe is a `Config` or a `ConfigError`, whatever is written into it; and what is dumped reads back."""

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from seq2seq.cli.options import section_from_flags
from seq2seq.config import Config, SearchOptions, dump_config, load_config, parse_config_text, validate_config
from seq2seq.config.recipe import TASK_CONFIGS
from seq2seq.config.schema import sections
from seq2seq.errors import ConfigError
from tests.fuzz.conftest import outcome

VALUES = {"data": {"train": {"tsv": "train.tsv"}, "valid": {"source": "valid.en", "target": "valid.de"}}}
PATHS = [  # of every key of every task, sections too
    [*filter(None, prefix.split(".")), name]
    for recipe in TASK_CONFIGS.values()
    for prefix, section in sections(recipe)
    for name in section.model_fields
]
words = st.sampled_from(
    ["auto", "average", "gru", "lstm", "none", "all", "highway", "adamw", "cosine", "replace", "zh", "a", ""]
)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 300),
    st.integers(),
    st.floats(),
    st.floats(0.0, 2.0),
    words,
    st.text(max_size=5),
    st.binary(max_size=3),
    st.dates(),
    st.sampled_from([10**400, "9" * 5000, "\ud800", "1e400", "0x_", "\0"]),
)
keys = scalars.filter(lambda key: not isinstance(key, float))
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=6,
)


def change(recipe, path, value):
    """A copy in which the key at `path` has another value; lists of sections get one."""
    key, *rest = path
    if not rest:
        return ({} if not isinstance(recipe, dict) else recipe) | {key: value}
    if rest[0] == "0":
        return recipe | {key: [change({"tsv": "part.tsv"}, rest[1:], value)]}
    inner = recipe.get(key)
    return recipe | {key: change(inner if isinstance(inner, dict) else {}, rest, value)}


def check(recipe):
    """A `Config` that reads back as itself, or a `ConfigError` that names the recipe on every line."""
    config, error = outcome(ConfigError, lambda: validate_config(recipe, "recipe.yaml"))
    if config is None:
        assert error.startswith("recipe.yaml: ")
        assert len(error) < 50_000
    else:
        assert parse_config_text(dump_config(config).encode(), "dumped") == config


@given(st.lists(st.tuples(st.sampled_from(PATHS), values), min_size=1, max_size=4))
@example([(["training", "warm_start"], "\ud800")])
@example([(["search", "length_penalty"], 10**400)])
@example([(["training", "clip_norm"], 10**400)])
@example([(["tokenizer", "vocabulary_size"], 10**5000)])
@example([(["tokenizer", "user_defined_symbols"], ["\n"])])
@example([(["data", "train"], {"mixture": [{"tsv": "a", "weight": 1e-320}, {"tsv": "b", "weight": 1e308}]})])
def test_any_values_make_a_recipe_or_an_error(changes):
    recipe = VALUES
    for path, value in changes:
        recipe = change(recipe, path, value)
    check(recipe)


@given(values)
@example({1: 2})
@example({None: {}})
@example({"data": {"train": {"mixture": [{b"x": 1}]}}})
@example({"data": {"train": {"mixture": {"0": {"a": 1}}}}})
@example({"search": {"\ud800": 1}})
def test_any_object_makes_a_recipe_or_an_error(recipe):
    check(recipe)
    if isinstance(recipe, dict):
        check(VALUES | recipe)


BOMB = "a: &a0 [x, x]\n" + "".join(f"b{n}: &a{n + 1} [*a{n}, *a{n}]\n" for n in range(40))


@given(st.text(max_size=60) | values.map(yaml.dump) | st.binary(max_size=30))
@example("[" * 100_000)
@example("{a: " * 10_000)
@example("- " * 5_000 + "x")
@example("a: &a [*a]")
@example("&a data: *a")
@example("data: &a\n  train: *a\n")
@example(BOMB)
@example(BOMB + "data: *a30\n")
@example("a: 2001-99-99")
@example("a: !!int x")
@example("a: !!timestamp x")
@example("a: !!bool x")
@example("a: !!float x")
@example("a: 0b_")
@example("a: " + "9" * 5000)
@example("a: 1" + ":1" * 4000)
@example("? [a]\n: b")
@example("<<: x")
@example("a: =")
@example("!!python/object/apply:os.system ['touch owned']")
@example("!!python/object/new:os.system ['touch owned']")
@example("!!python/name:os.system")
def test_any_text_makes_a_recipe_or_an_error(text):
    recipe = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
    with pytest.raises(ConfigError):
        _ = parse_config_text(recipe, "recipe.yaml").corpora


@given(st.sampled_from(PATHS).map(".".join) | st.text(max_size=8), values.map(yaml.dump) | st.text(max_size=20))
@example("seed.x", "1")
@example("data.train.mixture.0.weight", "1")
@example("data", "&a [*a]")
@example("data.filters", "2001-99-99")
@example("data." * 3000 + "a", "1")
@example("tokenizer.user_defined_symbols." + "9" * 5000, "1")
@example("training.schedule", "\ud800")
def test_any_override_makes_a_recipe_or_an_error(tmp_path, key, value):
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(VALUES), encoding="utf-8")
    config, error = outcome(ConfigError, lambda: load_config(path, [f"{key}={value}"]))
    assert error or isinstance(config, Config)


@given(st.dictionaries(st.sampled_from(sorted(SearchOptions.model_fields)), scalars, max_size=4))
def test_any_flags_make_options_or_an_error(flags):
    found, error = outcome(ConfigError, lambda: section_from_flags(SearchOptions, flags))
    assert error or isinstance(found, SearchOptions)
