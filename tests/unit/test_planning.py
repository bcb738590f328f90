"""A recipe planned from the amount of text and time."""

import math
from itertools import pairwise

import pytest

from seq2seq.config import CorpusConfig, FilterConfig, dump_config, parse_config_text
from seq2seq.config.corpus import ValidConfig
from seq2seq.config.data import DataConfig
from seq2seq.config.overrides import flatten, override_values
from seq2seq.corpora.survey import CorpusSurvey, DetectedPairs
from seq2seq.data.tokenizer import Tokenizer
from seq2seq.errors import ConfigError, CorpusError
from seq2seq.training.pairs import plan_pairs
from seq2seq.training.planning import PLAN, describe_recipe, plan_held_out, plan_recipe, plan_training

SIZES = [1, 20, 100, 800, 5_000, 29_000, 118_000, 10**6, 10**7, 10**8]  # pairs
TIMES = [1, 5, 30, 480, 30 * 24 * 60, None]  # minutes


def survey_of(pairs, length=65, shared=0.99, **changes):
    counts = {f"{side}_characters": pairs * length for side in ("source", "target")}
    counts |= {f"{side}_words": pairs * length // 5 for side in ("source", "target")}
    counts |= {f"{side}_alphabet": 60 for side in ("source", "target")}
    return CorpusSurvey(**{"pairs": pairs, "shared_characters": shared, **counts, **changes})


def plan_of(survey, minutes=None, **data):
    corpora = DataConfig(**{"train": CorpusConfig(tsv="pairs.tsv"), "valid": plan_held_out(survey), **data})
    return plan_recipe(corpora, survey, minutes)


@pytest.mark.parametrize("minutes", [0, -3])
def test_no_time_is_refused_as_in_a_recipe(minutes):
    with pytest.raises(ConfigError, match=rf"'training\.minutes': found {minutes}\b.* greater than 0"):
        plan_of(survey_of(100), minutes)


@pytest.mark.parametrize("minutes", TIMES)
@pytest.mark.parametrize("pairs", SIZES)
@pytest.mark.parametrize("length", [1, 12, 65, 900])
def test_every_plan_is_a_whole_recipe(pairs, minutes, length):
    plan = plan_of(survey_of(pairs, length), minutes)
    assert parse_config_text(dump_config(plan).encode(), "plan") == plan
    assert plan.training.minutes == minutes
    assert plan.data.filters.max_tokens <= plan.batching.max_tokens
    assert str(plan.encoder.units) in describe_recipe(plan)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "batches of 1,000 tokens, learning rate 0.004, at most 12 epochs or 1 minute"),
        (
            {"training.epochs": None, "batching.max_tokens": None},
            "batches as suits the device, learning rate 0.004, 1 m",
        ),
        ({"training.minutes": None}, "learning rate 0.004, 12 epochs"),
        ({"training.minutes": None, "validation.patience": 8}, "learning rate 0.004, at most 12 epochs"),
        ({"training.updates": 1500}, "at most 12 epochs or 1,500 updates"),
    ],
)
def test_a_recipe_is_described_as_it_was_changed(changes, said):
    plan = plan_of(survey_of(30_000))
    changed = parse_config_text(dump_config(plan).encode(), "plan", {"training.minutes": 1, **changes})
    assert said in describe_recipe(changed)


@pytest.mark.parametrize("minutes", [-3, 0, float("nan")])
def test_impossible_minutes_are_refused_before_the_text_is_read(minutes, tmp_path):
    found = DetectedPairs(CorpusConfig(tsv=str(tmp_path / "no.tsv")), None, None, "")
    with pytest.raises(ConfigError, match="'minutes': found"):
        plan_training(found, minutes)


@pytest.mark.parametrize(
    ("lines", "valid", "found"),
    [
        (["a\tb"] * 5, None, "1 pair (left out: 4 duplicate). Give more text, or"),
        (["a\tb"], ValidConfig(fraction=0.5), "1 pair. Give more text, or"),
        (["a\t", "\tb"], ValidConfig(tsv="v.tsv"), "0 pairs (left out: 2 empty side). Give"),
    ],
)
def test_too_little_text_is_refused_with_what_was_left_out(lines, valid, found, tmp_path):
    path = tmp_path / "pairs.tsv"
    path.write_text("\n".join(lines), encoding="utf-8")
    detected = DetectedPairs(CorpusConfig(tsv=str(path)), None, None, "")
    with pytest.raises(CorpusError) as error:
        plan_training(detected, valid=valid)
    assert str(error.value).startswith(f"{path}: expected pairs")
    assert f", found {found}" in str(error.value)


@pytest.mark.parametrize(
    ("overrides", "followers"),
    [
        (["tokenizer.joint=false"], {"embeddings.tied": "target"}),
        (["tokenizer={joint: false}"], {"embeddings.tied": "target"}),
        (
            {"encoder.units": 512},
            {"decoder.units": 512, "embeddings.size": 512, "training.learning_rate": 3e-3},
        ),
        ({"decoder.units": 512, "decoder.attention": "dot"}, {"encoder.units": 512}),
        ({"training.learning_rate": 0.01}, {"training.schedule.min_learning_rate": 1e-4}),
        ({"data.filters.max_tokens": 5000}, {"batching.max_tokens": 5000}),
        ({"training.epochs": 1}, {"training.schedule.warmup_updates": 20}),
        ({"validation.compute_bleu": False}, {"validation.metric": "loss"}),
        ({"decoder.attention": "none"}, {"encoder.dropout": 0.0, "decoder.type": "luong", "decoder.bridge": "dense"}),
    ],
)
def test_what_is_planned_by_an_overridden_value_follows_it(overrides, followers):
    survey = survey_of(800)
    corpora = DataConfig(train=CorpusConfig(tsv="pairs.tsv"), valid=plan_held_out(survey))
    plan, changed = (flatten(plan_recipe(corpora, survey, None, some).model_dump()) for some in ((), overrides))
    given = override_values(overrides)
    assert {key: changed[key] for key in given | followers} == given | followers
    assert all(plan[key] != value for key, value in followers.items())


def test_minutes_are_followed_wherever_they_are_given():
    survey = survey_of(10**6)
    corpora = DataConfig(train=CorpusConfig(tsv="pairs.tsv"), valid=plan_held_out(survey))
    assert plan_recipe(corpora, survey, None, {"training.minutes": 5}) == plan_recipe(corpora, survey, 5)


@pytest.mark.parametrize("value", ["wide", -3, 2.5, 10**400, None, [1]])
def test_a_value_that_nothing_can_follow_is_refused_by_its_own_key(value):
    survey = survey_of(800)
    corpora = DataConfig(train=CorpusConfig(tsv="pairs.tsv"), valid=plan_held_out(survey))
    with pytest.raises(ConfigError, match=r"the planned recipe: .*units") as error:
        plan_recipe(corpora, survey, None, {"encoder.units": value})
    assert "embeddings" not in str(error.value), "nobody has set them"


@pytest.mark.parametrize("value", [5, ["de"], "klingonish"])
def test_a_language_that_is_none_is_refused_by_its_key_whatever_the_text(value):
    survey = survey_of(29_000, target_words=30_000)
    corpora = DataConfig(train=CorpusConfig(tsv="pairs.tsv"), valid=plan_held_out(survey))
    with pytest.raises(ConfigError, match=r"the planned recipe: '?data\.target_language'?: .*found|unknown"):
        plan_recipe(corpora, survey, None, {"data.target_language": value})


@pytest.mark.parametrize(
    "override", ["data.train.tsv=other.tsv", "data.train={tsv: other.tsv}", "data.train.columns=[2, 1]"]
)
def test_other_pairs_than_the_planned_ones_are_refused_before_they_are_read(override, tmp_path):
    found = DetectedPairs(CorpusConfig(tsv=str(tmp_path / "no.tsv")), None, None, "")
    key = override.partition("=")[0]
    with pytest.raises(
        ConfigError, match=rf"'{key}.*': the recipe is planned for the pairs of .*no\.tsv.* train OTHER"
    ):
        plan_training(found, overrides=[override])


def test_a_minimum_score_is_for_files(tmp_path):
    with pytest.raises(ConfigError, match=r"min_score=0\.5 is for a file with a column of scores, .* in memory"):
        plan_pairs([("one", "eins")], tmp_path, min_score=0.5)


def test_more_text_means_a_larger_model_that_is_regularised_less_and_read_less_often():
    plans = [plan_of(survey_of(pairs)) for pairs in SIZES]

    def rising(of):
        values = [of(plan) for plan in plans]
        return values == sorted(values) and values[0] < values[-1]

    assert rising(lambda plan: plan.encoder.units)
    assert rising(lambda plan: plan.tokenizer.vocabulary_size)
    assert rising(lambda plan: plan.batching.max_tokens)
    assert rising(lambda plan: -plan.training.epochs)
    assert rising(lambda plan: -plan.encoder.dropout)
    assert rising(lambda plan: -plan.training.learning_rate)


@pytest.mark.parametrize("pairs", [100_000, 10**7])
def test_less_time_means_a_smaller_model(pairs):
    plans = [plan_of(survey_of(pairs), minutes) for minutes in TIMES]
    for of in (
        lambda plan: plan.encoder.units,
        lambda plan: plan.tokenizer.vocabulary_size,
        lambda plan: plan.encoder.dropout,
    ):
        values = [of(plan) for plan in plans]
        assert values == sorted(values)
        assert values[0] < values[-1]
    assert plans[-2] == plans[-1].model_copy(update={"training": plans[-2].training})  # enough is as good as no limit


def test_choices_change_smoothly_with_the_text():
    sizes = [round(100 * 1.1**step) for step in range(150)]
    plans = [plan_of(survey_of(pairs)) for pairs in sizes]
    for before, after in pairwise(plans):
        assert after.encoder.units - before.encoder.units <= 32
        assert after.tokenizer.vocabulary_size <= 1.12 * before.tokenizer.vocabulary_size + 1
        assert abs(after.encoder.dropout - before.encoder.dropout) <= 0.0501


def test_held_out_is_enough_to_measure_and_no_more():
    held_out = [plan_held_out(survey_of(pairs)).pairs for pairs in SIZES]
    assert held_out == sorted(held_out)
    assert 10 <= held_out[SIZES.index(100)] <= 15
    assert held_out[-1] == 2_000
    assert all(held_out[i] <= max(SIZES[i] / 4, 1) for i in range(len(SIZES)))


def test_bleu_decides_where_it_tells():
    def metric(survey, **data):
        return plan_of(survey, **data).validation.metric

    many = survey_of(29_000)
    no_blanks = survey_of(29_000, target_words=30_000)
    assert metric(survey_of(100)) == "bleu"
    assert metric(many) == metric(no_blanks, target_language="zh") == "bleu"
    assert metric(no_blanks, target_language="th") == metric(no_blanks, target_language="Khmer") == "bleu"
    assert metric(no_blanks) == metric(no_blanks, target_language="de") == "loss"


def test_languages_that_share_no_letters_have_a_vocabulary_each():
    shared, apart = plan_of(survey_of(5_000)), plan_of(survey_of(5_000, shared=0.1, target_alphabet=2_000))
    assert (shared.tokenizer.joint, shared.embeddings.tied) == (True, "all")
    assert (apart.tokenizer.joint, apart.embeddings.tied) == (False, "target")
    assert apart.tokenizer.vocabulary_size > 2_000  # each character has a piece


@pytest.mark.parametrize(
    "texts", [["一二三四五六七八九十"] * 20, ["ab ab ab"] * 200, [f"{chr(0x4E00 + n)}{n}" for n in range(300)], ["a"]]
)
def test_a_tokenizer_of_the_planned_size_can_be_trained_on_any_text(texts):
    characters, alphabet = sum(map(len, texts)), len(set("".join(texts)))
    sides = {
        f"{side}_{what}": count
        for side in ("source", "target")
        for what, count in (("characters", characters), ("alphabet", alphabet))
    }
    plan = plan_of(survey_of(len(texts), **sides))
    tokenizer = Tokenizer.train(texts + texts, plan.tokenizer, lambda message: None)
    assert tokenizer.vocabulary_size <= plan.tokenizer.vocabulary_size


def test_the_plan_has_a_value_for_each_amount_of_text():
    assert len({len(row) for row in PLAN.values()}) == 1
    assert all(math.isfinite(value) for row in PLAN.values() for value in row)


def test_pairs_of_a_dense_script_are_kept(tmp_path):
    file = tmp_path / "pairs.tsv"
    lines = (
        f"This is the sentence with number {number:>6}, and another.\t第{number}句话在这里\n" for number in range(50)
    )
    file.write_text("".join(lines), encoding="utf-8")
    recipe, survey = plan_training(DetectedPairs(CorpusConfig(tsv=str(file)), "en", "zh", "pairs.tsv"))
    assert (survey.pairs, survey.dropped) == (50, "")
    assert recipe.data.filters == FilterConfig()
    assert survey.source_characters > 4 * survey.target_characters
