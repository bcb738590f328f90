"""What is written without quotes in a recipe: text where text is wanted, and YAML 1.2's types elsewhere."""

import pytest
import yaml

from seq2seq.config import TranslationConfig, dump_config, load_config, parse_config_text
from seq2seq.config.yaml_text import Unquoted, fit_types, load_yaml
from seq2seq.corpora.downloads.catalogue import load_catalogue
from seq2seq.errors import ConfigError
from tests.recipes import write_recipe

# What YAML 1.1 takes for a truth value, a number, a date or an hour, and 1.2 for a number or a null.
WORDS = (
    *("no", "No", "NO", "yes", "on", "Off", "y", "N", "true", "False", "null", "~", "Null"),
    *("007", "1e3", "12", "-5", "+5", "1_000", "0x1F", "0o17", "0b11", "1.50", ".5", "5.", ".inf", ".NaN"),
    *("2024-01-01", "2024-13-45", "12:30:45", "1:30", "<<", "="),
)


def symbols_of(text):
    return parse_config_text(text.encode(), "recipe.yaml").tokenizer.user_defined_symbols


@pytest.mark.parametrize("word", WORDS)
def test_text_is_what_was_written(word):
    """In a list, in a file name, and in what a recipe's dump reads back."""
    assert symbols_of(f"tokenizer: {{user_defined_symbols: [a, {word}]}}") == ("a", word)
    assert symbols_of(f"tokenizer:\n  user_defined_symbols:\n  - {word}\n") == (word,)
    assert symbols_of(f"tokenizer: {{user_defined_symbols: ['{word}']}}") == (word,)
    config = parse_config_text(f"data: {{train: {{tsv: '{word}'}}, valid: {{pairs: 5}}}}".encode(), "recipe.yaml")
    assert parse_config_text(dump_config(config).encode(), "dumped") == config
    assert yaml.safe_load(dump_config(config))["data"]["train"]["tsv"] == word, "other programs read the same"


@pytest.mark.parametrize("word", sorted({*WORDS} - {"null", "~", "Null"}))
@pytest.mark.parametrize("key", ["tsv", "source", "target"])
def test_file_names_are_text(tmp_path, key, word):
    """In the recipe and in what is set, where only a null is none."""
    files = {"source": "a", "target": "b"} | {key: word} if key != "tsv" else {"tsv": word}
    path = write_recipe(tmp_path)
    train = load_config(path, [f"data.train.{name}={value}" for name, value in files.items()]).data.train
    assert getattr(train, key) == word
    written = ", ".join(f"{name}: {value}" for name, value in files.items())
    assert load_config(path, [f"data.train={{{written}}}"]).data.train == train
    path.write_text(f"data: {{train: {{{written}}}, valid: {{pairs: 5}}}}")
    assert load_config(path).data.train == train


@pytest.mark.parametrize("null", ["null", "~", "Null", "NULL", ""])
def test_a_null_is_none_where_none_is_allowed(tmp_path, null):
    assert load_config("quickstart", [f"data.target_language={null}"]).data.target_language is None
    assert load_config("quickstart", [f"data.test={null}"]).data.test is None
    assert load_config("quickstart", [f"training.clip_norm={null}"]).training.clip_norm is None


@pytest.mark.parametrize("code", ["no", "en"])
def test_languages(code):
    """Norwegian is no falsehood."""
    assert load_config("quickstart", [f"data.target_language={code}"]).data.target_language == code
    text = f"task: translation\ndata: {{train: {{tsv: a}}, valid: {{tsv: b}}, source_language: {code}}}"
    assert parse_config_text(text.encode(), "recipe.yaml").data.source_language == code


@pytest.mark.parametrize("word", ["true", "True", "yes", "on", "On", "y", "1"])
def test_truth_values_in_all_spellings(word):
    assert load_config("quickstart", [f"tokenizer.byte_fallback={word}"]).tokenizer.byte_fallback is True
    assert load_config("quickstart", [f"encoder.bidirectional={word}"]).encoder.bidirectional is True


@pytest.mark.parametrize("word", ["false", "FALSE", "no", "off", "n", "0"])
def test_falsehoods_in_all_spellings(word):
    assert load_config("quickstart", [f"encoder.bidirectional={word}"]).encoder.bidirectional is False
    assert load_config("quickstart", [f"data.filters.drop_empty={word}"]).data.filters.drop_empty is False


@pytest.mark.parametrize(
    ("written", "number"), [("12", 12), ("012", 12), ("0x10", 16), ("0o10", 8), ("1e2", 100), ("20.0", 20), ("1_0", 10)]
)
def test_whole_numbers(written, number):
    assert load_config("quickstart", [f"training.epochs={written}"]).training.epochs == number


@pytest.mark.parametrize(
    ("written", "number"), [("1e-3", 0.001), ("1.5E-2", 0.015), (".5", 0.5), ("1.", 1.0), ("2", 2.0), ("'0.25'", 0.25)]
)
def test_numbers(written, number):
    assert load_config("quickstart", [f"training.learning_rate={written}"]).training.learning_rate == number


def test_a_value_of_another_type_is_shown_as_yaml_reads_it():
    with pytest.raises(ConfigError, match=r"'encoder.units': found 1500.5\. Input should be a valid integer"):
        load_config("quickstart", ["encoder.units=1.5005e3"])
    with pytest.raises(ConfigError, match=r"'encoder': found \[1, None\], expected a section with keys of"):
        load_config("quickstart", ["encoder=[1, null]"])
    with pytest.raises(ConfigError, match=r"'seed': found null\. Input should be a valid integer"):
        load_config("quickstart", ["seed=null"])
    with pytest.raises(ConfigError, match="expected sections with keys, found 5"):
        parse_config_text(b"5", "recipe.yaml")


def test_keys_are_text():
    with pytest.raises(ConfigError, match=r"unknown key 'no'\. Accepted at the top"):
        parse_config_text(b"no: 1", "recipe.yaml")
    with pytest.raises(ConfigError, match=r"unknown key 'data.train.12'"):
        parse_config_text(b"data: {train: {tsv: a, 12: b}, valid: {pairs: 3}}", "recipe.yaml")


def test_columns_are_numbers_or_names():
    """Where both are accepted, a number is one, and what is no number is a name."""
    for written, columns in (("[1, 2]", (1, 2)), ("[en, no]", ("en", "no")), ("['1', 2.5]", ("1", "2.5"))):
        given = load_config("quickstart", ["data.train.tsv=a", f"data.train.columns={written}"]).data.train
        assert given.columns == columns


def test_aliases_and_merges():
    text = b"x: &a {tsv: no}\ndata: {train: *a, valid: {<<: *a, tsv: 007}}"
    values = load_yaml(text)
    assert values["data"]["train"] == {"tsv": "no"}
    fitted = fit_types(values["data"], TranslationConfig.model_fields["data"].annotation)
    assert fitted == {"train": {"tsv": "no"}, "valid": {"tsv": "007"}}
    assert values["data"]["valid"]["tsv"] == Unquoted(7, "007"), "what was loaded stays"


def test_a_catalogue_has_the_same_types(tmp_path):
    entry = """
    mine:
      description: 12
      languages: [en, no]
      homepage: http://a.b/c
      licence: none
      citation: 2024-01-01
      files: {007.tsv: {url: "http://a.b/c", size: 10, sha256: %s}}
      table: {file: 007.tsv, columns: [1, 2]}
    """
    path = tmp_path / "catalogue.yaml"
    path.write_text(entry % ("1" * 64))
    found = load_catalogue(path)["mine"]
    assert (found.description, found.languages, found.citation) == ("12", ("en", "no"), "2024-01-01")
    assert found.files["007.tsv"].size == 10
    assert found.files["007.tsv"].sha256 == "1" * 64
    assert found.table.columns == (1, 2)
