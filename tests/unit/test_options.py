"""Search options of the command line: one for each key of `search`, with its own words."""

import re

import pytest
import typer

from seq2seq.cli import app, main
from seq2seq.cli.options import flag, search_options, with_search_options
from seq2seq.cli.score import KEYS
from seq2seq.config import GenerationOptions, SearchOptions
from seq2seq.errors import ConfigError

SAMPLING = {"n_best", "sample", "temperature", "top_k", "top_p", "seed"}
WITHOUT = {
    "translate": set(),
    "evaluate": {"confidence"},
    "challenge": SAMPLING | {"ensemble_weights", "ensemble_average", "distinct", "confidence"},
    "score": SearchOptions.model_fields.keys() - KEYS,
    "generate": {"sample"} | SearchOptions.model_fields.keys() - GenerationOptions.model_fields.keys(),
}


@pytest.mark.parametrize("name", WITHOUT)
def test_a_command_has_an_option_for_each_key(name):
    command = typer.main.get_command(app).commands[name]
    options = {parameter.name: parameter for parameter in command.params}
    keys = SearchOptions.model_fields.keys() - WITHOUT[name]
    assert keys <= options.keys()
    assert not WITHOUT[name] & options.keys() - {"seed"}, "a probe's seed is that of its sentences"
    for key in keys:
        assert flag(key) in options[key].opts
        assert options[key].default is None, "what is not given is the recipe's"
        plain = re.sub(r"--([a-z-]+)", lambda word: word[1].replace("-", "_"), options[key].help)
        description, _, default = (
            plain.rpartition(" Recipe default: ") if "Recipe default" in plain else (plain, "", "")
        )
        assert description.replace("`", "") == SearchOptions.model_fields[key].description.replace("`", "")
        assert ("Default:" in description) != bool(default)
        if default:
            words = {"none": None, "yes": True, "no": False}
            section = GenerationOptions if name == "generate" else SearchOptions
            expected = section.model_fields[key].default
            assert words.get(default[:-1], default[:-1]) in (expected, str(expected))


def command_names(command, path=()):
    yield path
    for name, inner in getattr(command, "commands", {}).items():
        yield from command_names(inner, (*path, name))


@pytest.mark.parametrize("path", command_names(typer.main.get_command(app)), ids=" ".join)
def test_help_fits_into_80_columns_and_shows_no_type_for_flags(path, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        main([*path, "--help"])
    text = capsys.readouterr().out
    assert "--help" in text
    assert "…" not in text, "an option is cut off"
    assert "<bool>" not in text


def test_a_command_gets_what_was_given(capsys):
    seen = []
    application = typer.Typer()

    @application.command()
    @with_search_options("unk_handling")
    def search(model: str, *, search: dict, last: int = 3) -> None:
        seen.append((model, search, last))

    application.command("other")(lambda: None)
    command = typer.main.get_command(application)
    arguments = [
        "search",
        "M",
        "--length-penalty",
        "average",
        "--no-int8",
        "--top-p",
        "0.5",
        "--language-model",
        "lm",
        "--last",
        "4",
    ]
    command(arguments, standalone_mode=False)
    assert seen == [("M", {"length_penalty": "average", "int8": False, "top_p": 0.5, "language_model": "lm"}, 4)]
    with pytest.raises(Exception, match="--unk-handling"):
        command(["search", "M", "--unk-handling", "keep"], standalone_mode=False)


def test_given_options_take_the_place_of_the_recipes():
    recipe = SearchOptions(beam_size=4, n_best=3, sample=True, temperature=0.5)
    assert search_options(recipe, {}) == recipe.model_copy(update={"n_best": 1})
    searched = search_options(recipe, {"sample": False, "n_best": 2})
    assert searched == SearchOptions(beam_size=4, n_best=2)


def test_candidates_of_a_recipe_give_way_to_what_is_given():
    recipe = SearchOptions(beam_size=8, decision="mbr-chrf", candidates=8)
    assert search_options(recipe, {"beam_size": 4}) == SearchOptions(beam_size=4, decision="mbr-chrf")
    assert search_options(recipe, {"decision": "score"}) == SearchOptions(beam_size=8)
    assert search_options(recipe, {"beam_size": 10}).candidates == 8
    assert search_options(recipe, {"sample": True}).candidates == 8
    with pytest.raises(ConfigError, match=r"'candidates' is 8, more than 'beam_size' 4"):
        search_options(recipe, {"beam_size": 4, "candidates": 8})


@pytest.mark.parametrize("given", [["--beam-size", "4"], ["--int8"], ["--seed", "7"]])
def test_options_without_a_model_to_search_with_are_refused(tmp_path, capsys, given):
    for name in ("a", "b"):
        (tmp_path / name).write_text("one\n")
    files = ["--hypotheses", str(tmp_path / "a"), "--reference", str(tmp_path / "b")]
    with pytest.raises(SystemExit) as end:
        main(["evaluate", *files, *given])
    assert end.value.code == 2
    assert given[0] in capsys.readouterr().err


@pytest.mark.parametrize("value", ["-300", "1e39", "ten", "nan"])
def test_a_length_penalty_out_of_range_is_refused(value):
    with pytest.raises(ConfigError, match=r"expected a number from -1 to 10, or 'average'"):
        search_options(SearchOptions(), {"length_penalty": value})
