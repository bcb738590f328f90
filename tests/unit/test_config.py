"""Recipes: every mistake is named, every override lands, every resolved recipe reads back."""

import re
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from seq2seq.config import Config, changed_keys, dump_config, load_config, parse_config, recipe_names
from seq2seq.config.recipe import sections
from seq2seq.errors import ConfigError

DATA = {"train": {"tsv": "train.tsv"}, "valid": {"source": "valid.en", "target": "valid.de"}}


def parse(**sections) -> Config:
    return parse_config({"data": DATA, **sections}, origin="recipe.yaml")


def mixed(*parts) -> dict:
    """A corpus of several."""
    return {"mixture": list(parts)}


def message_of(**sections) -> str:
    with pytest.raises(ConfigError) as error:
        parse(**sections)
    return str(error.value)


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump({"seed": 7, "data": DATA, "training": {"epochs": 3}}), encoding="utf-8")
    return path


CORPUS_KEYS = "draw, lexicon, mixture, pairs, phrasebook, source, target, temperature, tsv"


@pytest.mark.parametrize(
    ("key", "meant", "accepted"),
    [
        (
            "decodr",
            "decoder",
            "batching, data, decoder, embeddings, encoder, search, seed, task, tokenizer",
        ),
        ("data.vaild", "valid", "filters, target_language, test, train, valid"),
        ("data.train.sorce", "source", CORPUS_KEYS),
        # `test` may be null, so its section hides in a union.
        ("data.test.sorce", "source", CORPUS_KEYS),
        (
            "data.filters.max_token",
            "max_tokens",
            "duplicates, empty, max_characters, max_ratio, max_tokens, nfc",
        ),
        ("tokenizer.vocab_size", "vocabulary_size", "byte_fallback, character_coverage, from_model, joint, model"),
        ("batching.token", "tokens", "pool, tokens"),
        (
            "encoder.bidirection",
            "bidirectional",
            "bidirectional, cell, dropout, layer_norm, layers, recurrent_dropout, residual, transition_depth, units",
        ),
        (
            "decoder.atention",
            "attention",
            "attention, attention_dropout, attention_units, cell, context, coverage, dropout, form, heads, layer_norm",
        ),
        ("embeddings.tid", "tied", "dropout, size, source_word_dropout, target_word_dropout, tied"),
        (
            "training.schedule.warm_up",
            "warmup",
            "decay_start, decay_updates, factor, kind, minimum, patience, warmup",
        ),
        ("training.keep_lst", "keep_last", "accumulate, beta_1, beta_2, checkpoint_minutes, clip_norm, decay_also"),
        ("validation.beamsize", "beam_size", "beam_size, bleu, every_updates, metric, patience"),
        (
            "search.top_kk",
            "top_k",
            "batch_tokens, beam_size, coverage_penalty, int8, language_model, language_model_weight, length_penalty",
        ),
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
        ({"encoder": {"transition_depth": 0}}, "encoder.transition_depth", "0"),
        ({"encoder": {"recurrent_dropout": -0.1}}, "encoder.recurrent_dropout", "-0.1"),
        ({"encoder": 5}, "encoder", "5"),
        ({"encoder": None}, "encoder", "None"),
        ({"decoder": {"dropout": 1.0}}, "decoder.dropout", "1.0"),
        ({"decoder": {"heads": 0}}, "decoder.heads", "0"),
        ({"decoder": {"readout_dropout": 1.0}}, "decoder.readout_dropout", "1.0"),
        ({"embeddings": {"source_word_dropout": 1}}, "embeddings.source_word_dropout", "1"),
        ({"training": {"learning_rate": float("inf")}}, "training.learning_rate", "inf"),
        ({"training": {"ema": 1.0}}, "training.ema", "1.0"),
        ({"training": {"beta_2": 1.0}}, "training.beta_2", "1.0"),
        ({"training": {"keep_best": -1}}, "training.keep_best", "-1"),
        ({"training": {"decay_also": ["gates"]}}, "training.decay_also.0", "'gates'"),
        ({"training": {"freeze": "encoder/*"}}, "training.freeze", "'encoder/*'"),
        ({"search": {"top_p": 0.0}}, "search.top_p", "0.0"),
        ({"search": {"top_k": 0}}, "search.top_k", "0"),
        ({"search": {"temperature": 0}}, "search.temperature", "0"),
        ({"search": {"coverage_penalty": -1}}, "search.coverage_penalty", "-1"),
        ({"training": {"schedule": {"factor": 1}}}, "training.schedule.factor", "1"),
        ({"tokenizer": {"user_defined_symbols": "ab"}}, "tokenizer.user_defined_symbols", "'ab'"),
        ({"data": {**DATA, "filters": {"max_ratio": 1.0}}}, "data.filters.max_ratio", "1.0"),
        ({"data": {**DATA, "target_language": "German"}}, "data.target_language", "'German'"),
        ({"data": {**DATA, "train": mixed({"tsv": "a", "weight": 0})}}, "data.train.mixture.0.weight", "0"),
        ({"data": {**DATA, "train": {"tsv": "a", "temperature": 0}}}, "data.train.temperature", "0"),
        ({"data": {**DATA, "train": {"mixture": 5}}}, "data.train.mixture", "5"),
        ({"data": {**DATA, "train": {"mixture": ["a.tsv"]}}}, "data.train.mixture.0", "'a.tsv'"),
    ],
)
def test_wrong_type_or_range_names_key_and_value(sections, key, found) -> None:
    said = (
        r"(\. Input should be |\. String should match pattern |, expected a section with keys of: |, expected a list\.)"
    )
    expected = rf"recipe\.yaml: '{re.escape(key)}': found {re.escape(found)}{said}"
    assert re.match(expected, message_of(**sections))


def test_wrong_choice_lists_the_accepted_ones() -> None:
    assert message_of(decoder={"cell": "rnn"}) == (
        "recipe.yaml: 'decoder.cell': found 'rnn'. "
        "Input should be 'gru', 'gru_reset_before', 'mgu', 'lstm', 'peephole_lstm', 'cifg', 'depth_gated_lstm', 'sru', "
        "'layer_norm_gru', 'layer_norm_lstm', 'elman', 'elman_sigmoid', 'elman_relu', 'irnn', 'jordan' or 'clockwork'."
    )
    message = message_of(search={"length_penalty": "long"})
    assert "search.length_penalty" in message
    assert "found 'long'" in message
    assert "'average'" in message


@pytest.mark.parametrize(
    ("section", "key", "found", "choices"),
    [
        ("encoder", "bidirectional", "both", "true, false, 'all' or 'alternating'"),
        ("encoder", "residual", "no way", "true, false or 'highway'"),
        ("decoder", "residual", 2, "true, false or 'highway'"),
    ],
)
def test_a_switch_with_more_positions_gives_one_error(section, key, found, choices) -> None:
    assert message_of(**{section: {key: found}}) == (
        f"recipe.yaml: '{section}.{key}': found {found!r}. Input should be {choices}."
    )


def test_a_switch_with_more_positions_takes_all_of_them() -> None:
    for value in (True, False, "all", "alternating"):
        assert parse(encoder={"bidirectional": value}).encoder.bidirectional == value
    for value in (True, False, "highway"):
        assert parse(decoder={"residual": value}).decoder.residual == value


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


ONE_KIND = "data.train: give one of: 'source' and 'target', 'tsv', 'phrasebook', or 'mixture'."
MIXED_WEIGHTS = "data.train: some parts of 'mixture' have a 'weight' and some have none: give all one, or none."
TEMPERATURE = "data.train: 'temperature' decides the shares of a 'mixture' whose parts have no 'weight'."


def unread(option: str, summary: str) -> str:
    return (
        f"'encoder.{option}' changes the top layer's outputs, and nothing reads them: 'decoder.attention' is none and "
        f"'decoder.summary: {summary}' takes the cells' last states. Use 'mean' or 'max', or leave it out."
    )


COVERAGE = "decoder: 'coverage' belongs to 'attention: additive' with one head."


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ("data.train={source: a}", "data.train: 'source' and 'target' go together: give both files."),
        ("data.train={target: a, tsv: b}", ONE_KIND),
        (
            "data.train={target: a}",
            "'data.train': 'source' and 'target' go together: give both files; a 'target' alone, here a, is for "
            "'task: language_model'.",
        ),
        (
            "data.valid={mixture: [{tsv: b}, {target: c}]}",
            "'data.valid': 'source' and 'target' go together: give both files; a 'target' alone, here c, is for "
            "'task: language_model'.",
        ),
        ("data.train={}", ONE_KIND),
        ("data.train.phrasebook=train", ONE_KIND),
        ("data.train.source=a data.train.target=b", ONE_KIND),
        ("data.train.mixture=[{tsv: a}]", ONE_KIND),
        ("data.train={mixture: []}", "data.train: 'mixture' is empty: give it a list of corpora."),
        (
            "data.train={mixture: [{tsv: a}, {}]}",
            "data.train.mixture.1: give one of: 'source' and 'target', 'tsv', or 'phrasebook'.",
        ),
        ("data.train={mixture: [{tsv: a, weight: 2}, {tsv: b}]}", MIXED_WEIGHTS),
        ("data.train={mixture: [{tsv: a}, {tsv: b, weight: 2}]}", MIXED_WEIGHTS),
        ("data.train.temperature=2", TEMPERATURE),
        ("data.train={mixture: [{tsv: a, weight: 1}], temperature: 2}", TEMPERATURE),
        (
            "data.valid={mixture: [{tsv: a, weight: 1}]}",
            "data: 'valid' is read whole: leave out 'temperature' and the parts' 'weight'.",
        ),
        (
            "data.test={mixture: [{tsv: a}, {tsv: b}], temperature: 2}",
            "data: 'test' is read whole: leave out 'temperature' and the parts' 'weight'.",
        ),
        (
            "tokenizer.user_defined_symbols=[<a>, <b>, <a>]",
            "tokenizer.user_defined_symbols: '<a>' is empty, reserved or given twice.",
        ),
        (
            "tokenizer.from_model=runs/a tokenizer.source_model=b",
            "tokenizer: 'from_model' brings both tokenizers: leave out 'source_model' and 'target_model'.",
        ),
        (
            "tokenizer.joint=true tokenizer.source_model=a tokenizer.target_model=b",
            "tokenizer: a joint tokenizer is one file: give 'source_model' alone.",
        ),
        (
            "tokenizer.source_model=b",
            "tokenizer: give both 'source_model' and 'target_model', or neither, or set 'joint: true'.",
        ),
        (
            "tokenizer.target_model=b",
            "'tokenizer.target_model' alone is for 'task: language_model': give 'tokenizer.source_model' too.",
        ),
        ("encoder.units=51", "encoder: 'units' is 51: a bidirectional encoder needs an even number."),
        (
            "encoder.units=51 encoder.bidirectional=alternating",
            "encoder: 'units' is 51: a bidirectional encoder needs an even number.",
        ),
        (
            "decoder.attention=none decoder.form=conditional",
            "decoder: 'form: conditional' needs an attention, and 'attention' is none.",
        ),
        ("decoder.attention=none decoder.heads=2", "decoder: 'heads: 2' needs an attention, and 'attention' is none."),
        (
            "decoder.attention=none decoder.coverage=true",
            "decoder: 'coverage: True' needs an attention, and 'attention' is none.",
        ),
        (
            "decoder.attention=none decoder.attention_dropout=0.1",
            "decoder: 'attention_dropout: 0.1' needs an attention, and 'attention' is none.",
        ),
        (
            "decoder.attention=none decoder.attention_units=9",
            "decoder: 'attention_units: 9' needs an attention, and 'attention' is none.",
        ),
        (
            "decoder.attention_units=9",
            "decoder: 'attention_units: 9' is for additive attention or several heads, and 'attention' is general.",
        ),
        (
            "decoder.attention_units=9 decoder.attention=scaled_dot",
            "decoder: 'attention_units: 9' is for additive attention or several heads, and 'attention' is scaled_dot.",
        ),
        (
            "encoder.variational=true encoder.recurrent_dropout=0.1",
            "encoder: 'variational: True' is about the mask of 'dropout', and 'dropout' is 0.",
        ),
        (
            "decoder.variational=true decoder.readout_dropout=0.1",
            "decoder: 'variational: True' is about the mask of 'dropout', and 'dropout' is 0.",
        ),
        (
            "decoder.attention=none search.unk=replace",
            "'search.unk: replace' looks at attention weights, and 'decoder.attention' is none.",
        ),
        (
            "decoder.attention=none search.coverage_penalty=0.2",
            "'search.coverage_penalty: 0.2' looks at attention weights, and 'decoder.attention' is none.",
        ),
        ("decoder.attention=none encoder.layer_norm=true", unread("layer_norm: True", "transformed")),
        (
            "decoder.attention=none decoder.summary=last decoder.layers=2 encoder.layers=2 encoder.residual=highway",
            unread("residual: highway", "last"),
        ),
        ("decoder.attention=none encoder.dropout=0.1", unread("dropout: 0.1", "transformed")),
        (
            "decoder.context=every_step",
            "decoder: 'context: every_step' is for 'attention: none', and 'attention' is general.",
        ),
        ("decoder.coverage=true", COVERAGE),
        ("decoder.coverage=true decoder.attention=additive decoder.heads=2", COVERAGE),
        ("decoder.heads=3", "decoder: 'heads' is 3 and does not divide the attention's width 256."),
        (
            "decoder.heads=4 decoder.attention_units=18",
            "decoder: 'heads' is 4 and does not divide the attention's width 18.",
        ),
        (
            "decoder.heads=2 decoder.attention=dot",
            "decoder: 'attention: dot' has nothing that heads could learn: use general or scaled_dot.",
        ),
        (
            "training.schedule.kind=inverse_sqrt",
            "training.schedule: 'inverse_sqrt' needs 'warmup' of at least 1 update.",
        ),
        ("training.epochs=null", "training: give 'epochs' or 'updates', or training never ends."),
        (
            "training.weight_decay=0.1",
            "training: 'weight_decay' belongs to adamw and sgd, and 'optimizer' is adam.",
        ),
        ("training.momentum=0.9", "training: 'momentum' belongs to sgd, and 'optimizer' is adam."),
        (
            "training.momentum=0.9 training.optimizer=adamw",
            "training: 'momentum' belongs to sgd, and 'optimizer' is adamw.",
        ),
        (
            "training.schedule={kind: plateau, decay_updates: 9}",
            "training.schedule: 'decay_updates' belongs to cosine and step, and 'kind' is plateau.",
        ),
        (
            "training.schedule={kind: inverse_sqrt, warmup: 3, decay_start: 9}",
            "training.schedule: 'decay_start' belongs to cosine and step, and 'kind' is inverse_sqrt.",
        ),
        (
            "training.schedule.decay_updates=9",
            "training.schedule: 'decay_updates' belongs to cosine and step, and 'kind' is constant.",
        ),
        ("training.decay_also=[biases]", "training: 'decay_also' needs a 'weight_decay' above 0."),
        ("training.schedule.kind=cosine", "training.schedule: 'cosine' needs 'decay_updates'."),
        ("training.schedule.kind=step", "training.schedule: 'step' needs 'decay_updates'."),
        (
            "training.schedule={kind: cosine, decay_updates: 9, decay_start: 4, warmup: 5}",
            "training.schedule: 'decay_start' 4 lies within the 'warmup' of 5 updates.",
        ),
        (
            "training.schedule={kind: plateau, minimum: 0.1}",
            "training: 'schedule.minimum' 0.1 is above 'learning_rate' 0.001.",
        ),
        ("validation.bleu=false", "validation: 'metric: bleu' needs 'bleu: true'."),
        ("search.n_best=4 search.beam_size=3", "search: 'n_best' is 4, more than 'beam_size' 3."),
        ("search.top_k=3", "search: 'top_k' is 3: it is for sampling, and 'sample' is false."),
        ("search.top_p=0.5", "search: 'top_p' is 0.5: it is for sampling, and 'sample' is false."),
        ("search.temperature=2", "search: 'temperature' is 2.0: it is for sampling, and 'sample' is false."),
        ("search.max_length=3 search.min_length=4", "search: 'max_length' 3 is below 'min_length' 4."),
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
        (
            "decoder.summary=last decoder.cell=lstm",
            "'decoder.summary: last' hands the encoder's states on as they are: 'encoder.cell' gru and 'decoder.cell' "
            "lstm must be equal, or use 'transformed'.",
        ),
        (
            "decoder.summary=last encoder.layers=2",
            "'decoder.summary: last' hands the encoder's states on as they are: 'encoder.layers' 2 and "
            "'decoder.layers' 1 must be equal, or use 'transformed'.",
        ),
        (
            "decoder.summary=last decoder.units=24",
            "'decoder.summary: last' hands the encoder's states on as they are: 'encoder.units' 256 and "
            "'decoder.units' 24 must be equal, or use 'transformed'.",
        ),
        (
            "training.warm_start=runs/a",
            "'training.warm_start' needs the tokenizers that its embeddings were trained with: set "
            "'tokenizer.from_model' to the same directory, or give 'tokenizer.source_model'.",
        ),
    ],
)
def test_combinations_that_cannot_be(recipe: Path, overrides: str, expected: str) -> None:
    with pytest.raises(ConfigError) as error:
        load_config(recipe, re.split(r" (?=[a-z_]+\.)", overrides))
    assert str(error.value) == f"{recipe}: {expected}"


@pytest.mark.parametrize(
    "overrides",
    [
        "encoder.units=51 encoder.bidirectional=false",
        "encoder.units=50 encoder.bidirectional=alternating",
        "decoder.attention=none decoder.context=every_step",
        "decoder.attention=none decoder.summary=max encoder.dropout=0.1 encoder.layer_norm=true",
        "decoder.attention=none encoder.layers=2 encoder.dropout=0.1",
        "decoder.attention=none encoder.residual=highway",
        "encoder.dropout=0.1 encoder.layer_norm=true search.unk=replace search.coverage_penalty=0.2",
        "decoder.attention=additive decoder.attention_units=9",
        "encoder.variational=true encoder.dropout=0.1 decoder.variational=true decoder.dropout=0.1",
        "decoder.attention=additive decoder.coverage=true",
        "decoder.heads=4 decoder.attention_units=24",
        "decoder.heads=2 decoder.attention=scaled_dot decoder.units=24 encoder.units=36",
        "decoder.summary=last decoder.cell=layer_norm_gru",
        "data.train={mixture: [{tsv: a, weight: 2}, {phrasebook: train, weight: 1}]}",
        "data.train={mixture: [{tsv: a}, {tsv: b}], temperature: 5}",
        "data.valid={mixture: [{tsv: a}, {tsv: b}]}",
        "tokenizer.from_model=runs/a training.warm_start=runs/a",
        "tokenizer.source_model=a tokenizer.joint=true training.warm_start=runs/a",
        "tokenizer.user_defined_symbols=[<a>,<b>]",
        "training.epochs=null training.updates=10",
        "training.optimizer=adamw training.weight_decay=0.1 training.decay_also=[norms]",
        "training.optimizer=sgd training.weight_decay=0.1 training.momentum=0.9",
        "training.schedule.kind=cosine training.schedule.decay_updates=9 training.schedule.warmup=5",
        "training.schedule.kind=step training.schedule.decay_updates=9 training.schedule.decay_start=4",
        "training.schedule.minimum=0.1",
        "validation.bleu=false validation.metric=loss",
        "embeddings.tied=all tokenizer.joint=true tokenizer.source_model=a",
        "tokenizer.source_model=a tokenizer.target_model=b",
        "decoder.attention=general decoder.units=24 encoder.units=36",
        "batching.tokens=100 data.filters.max_tokens=100",
        "search.n_best=5 search.length_penalty=average",
        "search.n_best=9 search.sample=true search.top_k=3 search.top_p=0.5 search.temperature=2",
        "search.max_length=4 search.min_length=4",
    ],
)
def test_neighbouring_combinations_are_accepted(recipe: Path, overrides: str) -> None:
    load_config(recipe, re.split(r" (?=[a-z_]+\.)", overrides))


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
    path = tmp_path / "mixture.yaml"
    train = mixed({"tsv": "a.tsv", "weight": 1}, {"source": "b.en", "target": "b.de", "weight": 3})
    path.write_text(yaml.safe_dump({"data": {**DATA, "train": train}}), encoding="utf-8")
    return path


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
        f"{mixture}: unknown key 'data.train.mixture.1.sorce'. Did you mean 'source'? "
        "Accepted in data.train.mixture.1: draw, lexicon, pairs, phrasebook, source, target, tsv, weight."
    )


def test_an_override_fills_a_section_that_is_null(mixture: Path) -> None:
    assert load_config(mixture, ["data.test=null", "data.test.tsv=t.tsv"]).data.test.tsv == "t.tsv"


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


def test_a_change_in_a_list_names_its_place() -> None:
    old = parse(data={**DATA, "train": mixed({"tsv": "a"}, {"tsv": "b"})})
    new = parse(data={**DATA, "train": mixed({"tsv": "a"}, {"tsv": "c"})})
    assert changed_keys(old, new) == ["data.train.mixture.1.tsv"]
    longer = parse(data={**DATA, "train": mixed({"tsv": "a"}, {"tsv": "b"}, {"phrasebook": "train"})})
    assert "data.train.mixture.2.phrasebook" in changed_keys(old, longer)
    assert changed_keys(old, parse(data={**DATA, "train": {"tsv": "a"}}))


def test_every_section_and_key_is_described() -> None:
    names = []
    for name, section in sections():
        assert section.__doc__
        for key, field in section.model_fields.items():
            assert field.description or f"{name}.{key}".lstrip(".") in dict(sections()), f"{name}.{key}"
        names.append(name)
    assert names[:4] == ["", "data", "data.train", "data.train.mixture.0"]


def test_frozen() -> None:
    config = parse()
    with pytest.raises(ValidationError, match="frozen"):
        config.seed = 2
    with pytest.raises(ValidationError, match="frozen"):
        config.training.schedule.warmup = 2


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
    with pytest.raises(ConfigError, match=r"'data.train': found 'x.tsv', expected a section with keys of: draw"):
        load_config("quickstart", ["data.train=x.tsv"])
