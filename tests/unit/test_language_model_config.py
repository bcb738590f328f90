"""Recipes of language models: their own defaults, and what they must not say."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from seq2seq.config import Config, LanguageModelConfig, TranslationConfig, dump_config, validate_config
from seq2seq.config.network import LanguageModelDecoderConfig
from seq2seq.config.recipe import TASK_CONFIGS
from seq2seq.corpora import open_corpus
from seq2seq.errors import ConfigError, CorpusError

VALUES: dict[str, Any] = {
    "task": "language_model",
    "data": {"train": {"target": "train.de"}, "valid": {"tsv": "valid.tsv"}},
}


def parse(**sections: Any) -> Config:
    return validate_config(VALUES | sections, "lm.yaml")


def test_a_short_recipe_has_a_language_models_defaults() -> None:
    config = parse(decoder={"cell": "lstm", "units": 8})
    assert config.decoder.cell == "lstm"
    assert config.validation.metric == "loss"
    assert (config.search.sample, config.search.max_length) == (True, 100)
    assert config.data.train.name() == "train.de"
    dumped = yaml.safe_load(dump_config(config))
    assert validate_config(dumped, "dump") == config
    assert "encoder" not in dumped
    for section, key in ((dumped["decoder"], "attention"), (dumped["data"]["filters"], "max_ratio")):
        assert section
        assert key not in section


def test_what_a_recipe_says_wins_and_sections_may_be_objects() -> None:
    assert parse(search={"sample": False, "max_length": 7}).search.max_length == 7
    config = LanguageModelConfig(data=VALUES["data"], decoder=LanguageModelDecoderConfig(units=8))
    assert config == parse(decoder={"units": 8})


def test_every_task_is_told_by_its_key_and_translation_by_none() -> None:
    for task, recipe in TASK_CONFIGS.items():
        config = validate_config({"task": task}, "t.yaml")
        assert type(config) is recipe
        assert yaml.safe_load(dump_config(config))["task"] == task
    assert type(validate_config({}, "t.yaml")) is TranslationConfig


def test_a_translators_defaults_are_as_they_were() -> None:
    config = validate_config({"data": {"train": {"tsv": "a"}, "valid": {"tsv": "b"}}}, "t.yaml")
    assert config.task == "translation"
    assert (config.decoder.attention, config.validation.metric, config.search.sample) == ("general", "bleu", False)


def of_a_translator(key: str, accepted: str) -> str:
    ours = "but this recipe has 'task: language_model': leave it out"
    return f"'{key}' is for 'task: translation', {ours}. Accepted {accepted}"


@pytest.mark.parametrize(
    ("sections", "expected"),
    [
        (
            {"encoder": {"units": 8}},
            of_a_translator("encoder", "at the top: batching, data, decoder, embeddings, search, seed, stages, task, "),
        ),
        (
            {"decoder": {"attention": "dot"}},
            of_a_translator("decoder.attention", "in decoder: cell, dropout, "),
        ),
        ({"decoder": {"bridge": "mean"}}, of_a_translator("decoder.bridge", "in decoder: ")),
        ({"decoder": {"context": "every_step"}}, of_a_translator("decoder.context", "in decoder: ")),
        ({"decoder": {"heads": 2}}, of_a_translator("decoder.heads", "in decoder: ")),
        ({"decoder": {"type": "cgru"}}, of_a_translator("decoder.type", "in decoder: ")),
        ({"validation": {"metric": "bleu"}}, "'validation.metric': found 'bleu'. Input should be 'loss'."),
        (
            {"validation": {"compute_bleu": True}},
            of_a_translator("validation.compute_bleu", "in validation: interval_updates, "),
        ),
        (
            {"search": {"unk_handling": "replace"}},
            of_a_translator("search.unk_handling", "in search: beam_groups, beam_size, "),
        ),
        ({"search": {"coverage_penalty": 0.2}}, of_a_translator("search.coverage_penalty", "in search: ")),
        ({"search": {"long_lines": "truncate"}}, of_a_translator("search.long_lines", "in search: ")),
        ({"search": {"language_model": "lm"}}, of_a_translator("search.language_model", "in search: ")),
        (
            {"data": VALUES["data"] | {"filters": {"max_ratio": 3.0}}},
            of_a_translator("data.filters.max_ratio", "in data.filters: drop_duplicates, drop_empty, max_characters, "),
        ),
        ({"data": VALUES["data"] | {"target_language": "de"}}, of_a_translator("data.target_language", "in data: ")),
        ({"tokenizer": {"joint": True}}, of_a_translator("tokenizer.joint", "in tokenizer: ")),
        ({"embeddings": {"source_word_dropout": 0.1}}, of_a_translator("embeddings.source_word_dropout", "in embed")),
        ({"embeddings": {"tied": "all"}}, "'embeddings.tied': found 'all'. Input should be 'none' or 'target'."),
        (
            {"decoder": {"unitz": 8}},
            "unknown key 'decoder.unitz'. Did you mean 'decoder.units'? Accepted in decoder: cell, ",
        ),
        (
            {"tokenizer": {"from_model": "runs/a", "target_model": "b"}},
            "tokenizer: 'from_model' provides the tokenizers: leave out 'target_model'.",
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


def test_sources_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "a.de").write_text("eins\nzwei\n", encoding="utf-8")
    (tmp_path / "b.tsv").write_text("three\tdrei\n", encoding="utf-8")
    pair = {"source": str(tmp_path / "missing.en"), "target": str(tmp_path / "a.de")}
    data = {"train": {"mixture": [pair, {"tsv": str(tmp_path / "b.tsv")}]}, "valid": pair}
    config, translator = parse(data=data), parse(task="translation", data=data)
    assert config.corpora.valid.name(config.sides) == pair["target"]
    assert translator.corpora.valid.name(translator.sides) == pair["source"]
    found = [one[:2] for one in open_corpus(config.corpora.train, config.sides)]
    assert found == [("eins", "eins"), ("zwei", "zwei"), ("drei", "drei")]
    with pytest.raises(CorpusError, match=r"missing\.en"):
        open_corpus(translator.corpora.train, translator.sides)


@pytest.mark.parametrize("section", [None, [], 3, {"attention": []}, {3: 4}])
def test_strange_sections_are_config_errors(section: Any) -> None:
    with pytest.raises(ConfigError, match=r"lm\.yaml"):
        parse(decoder=section)


def test_target_model_alone_is_fine() -> None:
    assert parse(tokenizer={"target_model": "de.spm"}).tokenizer.target_model == "de.spm"


def test_a_weight_without_a_language_model_is_refused() -> None:
    search = {"language_model_weight": 0.5}
    values = {"data": {"train": {"tsv": "a"}, "valid": {"tsv": "b"}}, "search": search}
    with pytest.raises(ConfigError, match=r"'language_model_weight' is 0\.5, but there is no 'language_model'"):
        validate_config(values, "t.yaml")


@pytest.mark.parametrize("values", [{"sample": True}, {"shortlist": 9}, {"int8": True}, {"sample": True, "int8": True}])
def test_a_language_model_goes_with_every_way_to_search(values: dict[str, Any]) -> None:
    search = {"language_model": "lm", **values}
    values = {"data": {"train": {"tsv": "a"}, "valid": {"tsv": "b"}}, "search": search}
    assert validate_config(values, "t.yaml").search.uses_fusion


def test_a_language_model_of_weight_0_is_none() -> None:
    values = {"data": {"train": {"tsv": "a"}, "valid": {"tsv": "b"}}}
    search = {"language_model": "lm", "language_model_weight": 0.0, "sample": True}
    assert not validate_config(values | {"search": search}, "t.yaml").search.uses_fusion
