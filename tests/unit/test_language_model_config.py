"""Recipes of language models: their own defaults, and what they must not say."""

import re
from typing import Any

import pytest
import yaml

from seq2seq.config import Config, DecoderConfig, dump_config, parse_config
from seq2seq.errors import ConfigError

VALUES: dict[str, Any] = {
    "task": "language_model",
    "data": {"train": {"target": "train.de"}, "valid": {"tsv": "valid.tsv"}},
}


def parse(**sections: Any) -> Config:
    return parse_config(VALUES | sections, "lm.yaml")


def test_a_short_recipe_has_a_language_models_defaults() -> None:
    config = parse(decoder={"cell": "lstm", "units": 8})
    assert (config.decoder.attention, config.decoder.cell) == ("none", "lstm")
    assert (config.validation.metric, config.validation.bleu) == ("loss", False)
    assert (config.search.sample, config.search.max_length) == (True, 100)
    assert config.data.train.name() == "train.de"
    dumped = yaml.safe_load(dump_config(config))
    assert parse_config(dumped, "dump") == config
    # A later version may have other defaults of what means nothing here.
    assert "encoder" not in dumped
    for section, key in ((dumped["decoder"], "attention"), (dumped["data"]["filters"], "max_ratio")):
        assert section
        assert key not in section


def test_what_a_recipe_says_wins_and_sections_may_be_objects() -> None:
    assert parse(search={"sample": False, "max_length": 7}).search.max_length == 7
    config = Config.model_validate(VALUES | {"decoder": DecoderConfig(units=8)})
    assert (config.decoder.units, config.decoder.attention) == (8, "none")


def test_a_translators_defaults_are_as_they_were() -> None:
    config = parse_config({"data": {"train": {"tsv": "a"}, "valid": {"tsv": "b"}}}, "t.yaml")
    assert config.task == "translation"
    assert (config.decoder.attention, config.validation.metric, config.search.sample) == ("general", "bleu", False)


NO_SOURCE = "and 'task: language_model' has no source and no translations: leave it out, or set it to"


@pytest.mark.parametrize(
    ("sections", "expected"),
    [
        (
            {"encoder": {"units": 8}},
            "'encoder.units' is 8, and 'task: language_model' has no encoder: leave the section out.",
        ),
        ({"decoder": {"attention": "dot"}}, f"'decoder.attention' is dot, {NO_SOURCE} none."),
        ({"decoder": {"summary": "mean"}}, f"'decoder.summary' is mean, {NO_SOURCE} transformed."),
        ({"decoder": {"context": "every_step"}}, f"'decoder.context' is every_step, {NO_SOURCE} initial."),
        ({"decoder": {"heads": 2}}, "decoder: 'heads: 2' needs an attention, and 'attention' is none."),
        (
            {"decoder": {"form": "conditional"}},
            "decoder: 'form: conditional' needs an attention, and 'attention' is none.",
        ),
        ({"validation": {"metric": "bleu", "bleu": True}}, f"'validation.metric' is bleu, {NO_SOURCE} loss."),
        ({"validation": {"metric": "bleu"}}, f"'validation.metric' is bleu, {NO_SOURCE} loss."),
        ({"validation": {"bleu": True}}, f"'validation.bleu' is true, {NO_SOURCE} false."),
        ({"search": {"unk": "replace"}}, f"'search.unk' is replace, {NO_SOURCE} keep."),
        ({"search": {"coverage_penalty": 0.2}}, f"'search.coverage_penalty' is 0.2, {NO_SOURCE} 0.0."),
        (
            {"data": VALUES["data"] | {"filters": {"max_ratio": 3.0}}},
            f"'data.filters.max_ratio' is 3.0, {NO_SOURCE} 4.0.",
        ),
        ({"search": {"long_lines": "cut"}}, f"'search.long_lines' is cut, {NO_SOURCE} split."),
        ({"tokenizer": {"joint": True}}, f"'tokenizer.joint' is true, {NO_SOURCE} false."),
        ({"embeddings": {"source_word_dropout": 0.1}}, f"'embeddings.source_word_dropout' is 0.1, {NO_SOURCE} 0.0."),
        (
            {"embeddings": {"tied": "all"}},
            "'embeddings.tied: all' shares a table with the source, and 'task: language_model' has none.",
        ),
        (
            {"training": {"warm_start": "runs/a"}},
            "'training.warm_start' needs the tokenizers that its embeddings were trained with: set "
            "'tokenizer.from_model' to the same directory, or give 'tokenizer.target_model'.",
        ),
        ({"task": "parsing"}, "'task': found 'parsing'. Input should be 'translation' or 'language_model'."),
    ],
)
def test_what_means_nothing_is_refused(sections: dict[str, Any], expected: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(expected)):
        parse(**sections)


def test_of_an_unknown_task_nothing_else_is_said() -> None:
    with pytest.raises(ConfigError) as error:
        parse(task="language-model", search={"temperature": 0.8}, decoder={"units": 0})
    expected = "lm.yaml: 'task': found 'language-model'. Input should be 'translation' or 'language_model'."
    assert str(error.value) == expected


def test_sources_are_not_read() -> None:
    pair = {"source": "a.en", "target": "a.de"}
    data = {"train": {"mixture": [pair, {"tsv": "b.tsv"}]}, "valid": pair}
    config = parse(data=data)
    assert [part.name() for part in config.corpora.train.parts()] == ["a.de", "b.tsv"]
    assert (config.corpora.valid.name(), config.corpora.test) == ("a.de", None)
    assert config.data.valid.source == "a.en", "the recipe stays as it was written"
    translator = parse(task="translation", data=data)
    assert translator.corpora == translator.data


@pytest.mark.parametrize("section", [None, [], 3, {"attention": []}, {3: 4}])
def test_strange_sections_are_config_errors(section: Any) -> None:
    with pytest.raises(ConfigError, match=r"lm\.yaml"):
        parse(decoder=section)


def test_target_model_alone_is_fine() -> None:
    assert parse(tokenizer={"target_model": "de.spm"}).tokenizer.target_model == "de.spm"


def test_a_weight_without_a_language_model_is_refused() -> None:
    search = {"language_model_weight": 0.5}
    values = {"data": {"train": {"tsv": "a"}, "valid": {"tsv": "b"}}, "search": search}
    with pytest.raises(ConfigError, match=r"'language_model_weight' is 0\.5, and there is no 'language_model'"):
        parse_config(values, "t.yaml")


@pytest.mark.parametrize("values", [{"sample": True}, {"shortlist": 9}, {"int8": True}, {"sample": True, "int8": True}])
def test_a_language_model_goes_with_every_way_to_search(values: dict[str, Any]) -> None:
    search = {"language_model": "lm", **values}
    values = {"data": {"train": {"tsv": "a"}, "valid": {"tsv": "b"}}, "search": search}
    assert parse_config(values, "t.yaml").search.fusion


def test_a_language_model_of_weight_0_is_none() -> None:
    values = {"data": {"train": {"tsv": "a"}, "valid": {"tsv": "b"}}}
    search = {"language_model": "lm", "language_model_weight": 0.0, "sample": True}
    assert not parse_config(values | {"search": search}, "t.yaml").search.fusion
