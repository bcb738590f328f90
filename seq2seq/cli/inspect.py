"""`seq2seq inspect`."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.filesize import decimal

from seq2seq.cli.arguments import AsJson, Model
from seq2seq.cli.console import print_stdout, write_json
from seq2seq.plurals import pluralize
from seq2seq.text.display_width import max_width, pad


def inspect(
    model: Model,
    weights: Annotated[bool, typer.Option("--weights", help="List every weight.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show a model's purpose and origin: languages, corpora, training, scores, architecture and files.

    The files are checked for damage; the model is not run.
    """
    from seq2seq.model_directory.inspection import inspect_model

    found = inspect_model(model)
    if not weights:
        del found["weights"]
    if as_json:
        write_json(found)
        return
    for title, rows in _tables(found).items():
        if rows:
            width = max_width(rows)
            Console().print(title, style="bold", highlight=False)
            # Lines are not wrapped: paths, checksums and commands can be copied.
            print_stdout("\n".join(f" {pad(name, width)}  {value}".rstrip() for name, value in rows.items()))


def _tables(found: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Format the result of `inspect_model` as rows of text by title."""
    from seq2seq.model_directory.inspection import describe_teachers

    parameters, corpus = found["parameters"], found["corpus"]
    total = parameters["total"]
    parts, unit = corpus.get("train", []), _unit(found)
    named = {f"train {number}" if len(parts) > 1 else "train": part for number, part in enumerate(parts, start=1)}
    named |= {"valid": corpus["valid"]} if "valid" in corpus else {}
    others = {
        name: value for name, value in corpus.items() if name not in ("train", "valid", "source_lines", "teachers")
    }
    if teachers := describe_teachers(corpus):
        others["teachers"] = f"the training corpus has {teachers}"
    if lines := corpus.get("source_lines"):
        others["source_lines"] = (
            f"the longest has {pluralize(lines['max_tokens'], 'token')}; 99% have at most "
            f"{pluralize(lines['usual_tokens'], 'token')} and {pluralize(lines['usual_sentences'], 'sentence')}; "
            f"{lines['several_sentences']:.1%} have several sentences"
        )
    tables = {
        "Model": {
            "directory": found["directory"],
            "task": _spaced(found["task"]),
            "weights written": found["written"],
            "trained in": str(found["precision"]),
            "weights stored in": found["weights_dtype"],
        },
        "Purpose": _purpose(found),
        "Parameters": {
            _spaced(part): f"{count:,}" if part == "total" else f"{count:,} ({count / total:.1%})"
            for part, count in parameters.items()
        },
        "Architecture": found["architecture"],
        "Tokenizers": {
            side: f"{one['model_type'] or 'unknown type'}, {one['vocabulary_size']:,} pieces, SHA-256 {one['sha256']}"
            for side, one in found["tokenizers"].items()
        },
        "Corpus": {name: _corpus(part, unit) for name, part in named.items()} | _rows(others) or {"": "unknown"},
        "Training": {"": "no history"},
        "Scores": _rows(found["scores"]),
        "Versions": {
            name: version["then"] + ("" if version["now"] == version["then"] else f", now {version['now']}")
            for name, version in found["versions"].items()
        },
        "Derived files": {
            file: f"outdated: {' and '.join(differ)} changed since; make it again" if differ else "matches the model"
            for file, differ in found["derived"].items()
        },
        "Files": {name: decimal(size) for name, size in found["files"].items()},
    }
    if found["training"]:
        training = dict(found["training"])
        time = str(timedelta(seconds=round(training.pop("seconds"))))
        tables["Training"] = {"time": time, **_rows(training)}
    if "weights" in found:
        tables["Weights"] = {
            weight["name"]: f"{' x '.join(map(str, weight['shape']))} = {weight['parameters']:,}"
            for weight in found["weights"]
        }
    return tables


def _purpose(found: Mapping[str, Any]) -> dict[str, str]:
    """The purpose of the model, and the commands that use it."""
    about = found["purpose"]
    source, target = about["source_language"] or "unknown", about["target_language"] or "unknown"
    translates = found["task"] == "translation"
    rows = {"languages": f"{source} to {target}" if translates else target}
    if about["pairs"]:
        sides = [
            f"{about[key]:.1f} {side} tokens"
            for side in ("source", "target")
            if about.get(key := f"mean_{side}_tokens") is not None
        ]
        names = ", ".join(part["name"] for part in found["corpus"]["train"])
        rows["trained on"] = f"{names}: {pluralize(about['pairs'], _unit(found))}" + (
            f", on average {' and '.join(sides)}" if sides else ""
        )
        rows["suited to"] = "similar text; on other or much longer text, even fluent output may be wrong"
    if translates:
        limits = ((about["max_sentences"], "sentence"), (about["max_source_tokens"], "token"))
        known = [pluralize(number, unit) for number, unit in limits if number]
        rows["input line"] = "one or more sentences" + (
            f", translated at most {' and '.join(known)} at a time" if known else ""
        )
    return rows | about["commands"]


def _unit(found: Mapping[str, Any]) -> str:
    return "pair" if found["task"] == "translation" else "sentence"


def _corpus(facts: Mapping[str, Any], unit: str) -> str:
    """The known facts about a corpus: `train.tsv, 12,000 pairs read, 11,990 kept`."""
    dropped = f" (dropped: {_words(facts['dropped'])})" if facts.get("dropped") else ""
    parts = [
        facts["name"],
        f"{pluralize(facts['read'], unit)} read" if "read" in facts else "",
        f"{facts['kept']:,} kept{dropped}" if "kept" in facts else "",
        *(f"{facts[key]:,} {_spaced(key)}" for key in ("source_tokens", "target_tokens") if key in facts),
        f"{facts['share']:.1%} of an epoch" if facts.get("share", 1.0) < 1.0 else "",
    ]
    return ", ".join(filter(None, parts))


def _rows(values: Mapping[str, Any]) -> dict[str, str]:
    return {_spaced(name): _words(value) for name, value in values.items()}


def _words(value: Any) -> str:
    """Nested values on one line: `name train.tsv, read 12,000, dropped (duplicate 10)`."""
    if isinstance(value, Mapping):
        parts = (
            (name, f"({_words(part)})" if isinstance(part, Mapping) else _words(part)) for name, part in value.items()
        )
        return ", ".join(f"{_spaced(name)} {words}" for name, words in parts) or "none"
    if isinstance(value, list):
        return "; ".join(map(_words, value))
    if isinstance(value, float):
        return f"{value:.4g}"
    if value is None:
        return "none"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _spaced(name: str) -> str:
    return name.replace("_", " ")
