"""Stages of a recipe: the recipe of each, and what is refused."""

from pathlib import Path

import pytest

from seq2seq.config import dump_config, parse_config_text, stage_recipe
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


def test_stages_draw_other_random_numbers():
    recipe = parse(overrides=["seed=7", "stages=[{}, {}, {seed: 9}, {tokenizer: {sampling: {target_alpha: 0.5}}}]"])
    stages = [stage_recipe(recipe, number) for number in range(4)]
    assert [stage.seed for stage in stages] == [7, 1_000_007, 9, 3_000_007]
    assert [stage.tokenizer.sampling.target_alpha for stage in stages] == [None, None, None, 0.5]
    assert stage_recipe(parse(overrides=["seed=2147483647"]), 1).seed == 999_999


SAME, WEIGHED = (
    "{mixture: [{tsv: a.tsv}, {tsv: b.tsv}]}",
    "{mixture: [{tsv: a.tsv, weight: 1}, {tsv: b.tsv, weight: 3}]}",
)


@pytest.mark.parametrize(
    ("first", "second", "refused"),
    [
        ("train: {tsv: b.tsv}, valid: {pairs: 50}", f"train: {SAME}, valid: {{pairs: 50}}", True),
        (f"train: {SAME}, valid: {{pairs: 50}}", f"train: {WEIGHED}, valid: {{pairs: 40}}", False),
        ("valid: {pairs: 50}, filters: {max_tokens: 9}", "valid: {pairs: 50}", False),
        ("valid: {pairs: 50}, filters: {max_ratio: 9}", "valid: {pairs: 50}", True),
        ("valid: {pairs: 40}", "valid: {pairs: 50}", True),
        ("valid: {pairs: 50}", "valid: {fraction: 0.1}", True),
        ("train: {tsv: b.tsv}, valid: {fraction: 0.1}", "valid: {fraction: 0.1}", False),
        ("valid: {fraction: 0.1}", "valid: {fraction: 0.2}", True),
        ("valid: {tsv: valid.tsv}", "valid: {fraction: 0.1}", True),
        ("valid: {phrasebook: valid, pairs: 60}", "valid: {pairs: 50}", True),
        ("valid: {fraction: 0.1}", "valid: {tsv: valid.tsv}", False),
    ],
)
def test_no_stage_trains_on_what_a_later_one_holds_out(first, second, refused):
    overrides = ["data.valid={fraction: 0.01}", f"stages=[{{data: {{{first}}}}}, {{data: {{{second}}}}}]"]
    if not refused:
        assert len(parse(overrides=overrides).stages) == 2
        return
    with pytest.raises(ConfigError) as error:
        parse(overrides=overrides)
    assert str(error.value).startswith("toy.yaml: stages.1: 'data.valid', ")
    assert " held out from data.train, may have sentences that stages.0 trains on: " in str(error.value)


@pytest.mark.parametrize(
    ("stage", "message"),
    [
        ("training: {epoch: 3}", "toy.yaml: stages.1: unknown key 'training.epoch'. Did you mean 'training.epochs'?"),
        ("training: {epochs: x}", "toy.yaml: stages.1: 'training.epochs': found 'x'"),
        ("tokenizer: {sampling: {source_bpe_dropout: 0.1}}", "toy.yaml: stages.1: tokenizer: 'sampling.source_bpe_dr"),
        ("tokenizer: {joint: true}", "toy.yaml: stages.1: 'tokenizer.joint' is the same in all stages"),
        ("training: {warm_start: x}", "toy.yaml: stages.1: 'training.warm_start' is the same in all stages"),
        ("task: language_model", "toy.yaml: stages.1: 'task' is the same in all stages"),
        ("stages: [{}]", "toy.yaml: stages.1: 'stages' is the same in all stages"),
        ("data: {train: {}}", "toy.yaml: stages.1: 'data.train' is empty. Give it keys, or leave it out."),
        ("data: {train: {mixture: {x: {tsv: a}}}}", "toy.yaml: stages.1: data.train.mixture.x.tsv="),
        ("teachers: {count: 2}", "toy.yaml: stages.1: 'teachers.count' is the same in all stages"),
        (
            "training: {distribution: multi_worker}",
            "toy.yaml: stages.1: 'training.distribution' cannot be multi_worker",
        ),
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
    with pytest.raises(ConfigError, match=r"stages\.0: 'training\.distribution' cannot be multi_worker"):
        parse(overrides=["training.distribution=multi_worker"])
