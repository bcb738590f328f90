"""Stages of a recipe: the recipe of each, and what is refused."""

from pathlib import Path

import pytest

from seq2seq.config import dump_config, load_config, parse_config_text, stage_recipe
from seq2seq.errors import ConfigError

RECIPE = """
data:
  train: {mixture: [{tsv: a.tsv}, {tsv: b.tsv}]}
  valid: {tsv: valid.tsv}
training: {epochs: 20, learning_rate: 1e-3}
stages:
  - {}
  - training: {epochs: 10, schedule: {type: step, decay_updates: 5}}
    data: {train: {tsv: 007}, source_language: no, test: null}
"""


def parse(text=RECIPE, overrides=()):
    return parse_config_text(text.encode(), "toy.yaml", overrides)


def test_each_stage_is_the_recipe_with_its_keys():
    recipe = parse()
    assert parse(dump_config(recipe)) == recipe
    first, second = stage_recipe(recipe, 0), stage_recipe(recipe, 1, Path("runs/a"))
    assert first == recipe.model_copy(update={"stages": ()})
    assert second.training.epochs == 10
    assert second.training.learning_rate == 1e-3
    assert second.data.train.tsv == "007"
    assert second.data.train.mixture is None
    assert second.data.source_language == "no", "Norwegian, where YAML has a boolean"
    assert (second.training.warm_start, second.tokenizer.from_model) == ("runs/a", "runs/a")
    given = parse(overrides=["tokenizer.from_model=other", "stages.1.training.epochs=3"])
    assert stage_recipe(given, 1, Path("runs/a")).tokenizer.from_model == "other"
    assert stage_recipe(given, 1).training.epochs == 3


@pytest.mark.parametrize(
    ("stage", "message"),
    [
        ("training: {epoch: 3}", "toy.yaml: stages.1: unknown key 'training.epoch'. Did you mean 'training.epochs'?"),
        ("training: {epochs: x}", "toy.yaml: stages.1: 'training.epochs': found 'x'"),
        ("tokenizer: {joint: true}", "toy.yaml: stages.1: 'tokenizer.joint' is the same in all stages"),
        ("training: {warm_start: x}", "toy.yaml: stages.1: 'training.warm_start' is the same in all stages"),
        ("task: language_model", "toy.yaml: stages.1: 'task' is the same in all stages"),
        ("stages: [{}]", "toy.yaml: stages.1: 'stages' is the same in all stages"),
        ("data: {train: {}}", "toy.yaml: stages.1: 'data.train' is empty. Give it keys, or leave it out."),
        ("data: {train: {mixture: {x: {tsv: a}}}}", "toy.yaml: stages.1: data.train.mixture.x.tsv="),
        ("batching: {max_tokens: 50}", "toy.yaml: stages.1: 'data.filters.max_tokens' is 200"),
    ],
)
def test_what_a_stage_cannot_change_is_refused(stage, message):
    text = RECIPE[: RECIPE.index("  - training")] + f"  - {stage}\n"
    with pytest.raises(ConfigError) as error:
        parse(text)
    assert message in str(error.value)


def test_stages_are_sections():
    with pytest.raises(ConfigError, match=r"'stages\.0': found 'x'"):
        parse(RECIPE.replace("  - {}", "  - x"))
    with pytest.raises(ConfigError, match="'stages' are for one machine"):
        parse(overrides=["training.distribution=multi_worker"])


def test_a_packaged_recipe_has_no_stages():
    assert load_config("quickstart").stages == ()
