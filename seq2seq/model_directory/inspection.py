"""Inspection of a model directory from its files, without building the model or importing TensorFlow."""

from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from platform import python_version
from shlex import quote
from typing import Any

from seq2seq.config import Config, SearchOptions
from seq2seq.config.recipe import component_of
from seq2seq.model_directory.directory import (
    WEIGHTS_FILE,
    checksums,
    load_model_config,
    load_tokenizers,
    load_weights,
    verify_directory,
)
from seq2seq.model_directory.history import read_history
from seq2seq.model_directory.pretrained import find_model, short_name
from seq2seq.storage.files import check_regular_file, sha256


def inspect_model(directory: str | Path) -> dict[str, Any]:
    """Describe a model directory; all values are JSON-able.

    The checksums of recipe, tokenizers and weights are verified.

    Returns:
        Facts about the model, by the keys below.

    Keys:
        - `directory`: path of the directory.
        - `task`: `translation` or `language_model`.
        - `written`: modification time of the weights file (ISO 8601, UTC).
        - `purpose`: `source_language` and `target_language` (None: unknown); `pairs` of the training text (for a
          language model: sentences), `mean_source_tokens` and `mean_target_tokens` (None: unknown);
          `max_source_tokens` of text that is translated as a whole, and `max_sentences` of such a line (None: unknown,
          not limited, or no translator); `commands` by purpose.
        - `parameters`: numbers of parameters, `total` and by part; a table that several parts share counts for the
          target.
        - `architecture`: descriptions of embeddings, encoder, attention and decoder; for a language model, only of
          embeddings and decoder.
        - `tokenizers`: `joint`, or `source` and `target`: `model_type` (None: of a file made elsewhere),
          `vocabulary_size`, `sha256`.
        - `corpus`: the facts given to `save_weights`, or else the names in the recipe; {} if there are none.
        - `training`: `updates`, `epoch`, `validations`, `seconds`, `best`; None without a history.
        - `scores`: scores of the weights.
        - `precision`: precision of training.
        - `weights_dtype`: type of the stored weights, `float32` or `float16`.
        - `versions`: versions of Python and packages, `then` and `now` (None: not installed).
        - `derived`: derived files, each with the list of files that it no longer matches.
        - `files`: sizes in bytes by path, including checkpoints and encoded corpora, without locks.
        - `weights`: `name`, `shape` and `parameters` of each weight.

    Raises:
        ModelDirectoryError: Something is missing, damaged, edited, or of a later format version.
    """
    folder = find_model(directory)
    described = verify_directory(folder)
    config = load_model_config(folder)
    weights = load_weights(folder)
    corpus = described.get("corpus") or {}
    if not corpus and config.data is not None:
        train = [{"name": part.name(config.sides)} for part in config.data.train.parts()]
        corpus = {"train": train, "valid": {"name": config.data.valid.name(config.sides)}}
    by_part = dict.fromkeys(config.components, 0)
    for name, array in weights.items():
        by_part[component_of(name)] = by_part.get(component_of(name), 0) + array.size
    return {
        "directory": str(folder),
        "task": config.task,
        "written": datetime.fromtimestamp((folder / WEIGHTS_FILE).stat().st_mtime, UTC).isoformat(timespec="seconds"),
        "purpose": _purpose(folder, config, corpus),
        "parameters": {"total": sum(array.size for array in weights.values()), **by_part},
        "architecture": config.describe_architecture(),
        "tokenizers": {
            file.removesuffix(".spm"): {
                "model_type": described["tokenizers"].get(file),
                "vocabulary_size": tokenizer.vocabulary_size,
                "sha256": tokenizer.file_checksum(),
            }
            for file, tokenizer in load_tokenizers(folder).files().items()
        },
        "corpus": corpus,
        "training": _training(folder, config),
        "scores": described.get("scores", {}),
        "precision": described.get("precision"),
        "weights_dtype": described.get("weights_dtype", "float32"),
        "versions": {
            name: {"then": then, "now": _version(name)} for name, then in described.get("versions", {}).items()
        },
        "derived": _derived(folder, described.get("derived", {})),
        "files": {
            file.relative_to(folder).as_posix(): file.stat().st_size
            for file in sorted(folder.rglob("*"))
            if file.is_file() and file.suffix != ".lock"
        },
        "weights": [
            {"name": name, "shape": list(array.shape), "parameters": array.size} for name, array in weights.items()
        ],
    }


def describe_teachers(corpus: Mapping[str, Any]) -> str:
    """What the training corpus of a student has, from the facts about its corpora; "" for any other model."""
    if not (about := corpus.get("teachers")):
        return ""
    names = ", ".join(part["name"] for part in about["translated"])
    models = "a teacher that was" if about["count"] == 1 else f"an ensemble of {about['count']} teachers that were"
    return f"the pairs of {names}, and translations of their source sentences by {models} trained on the same pairs"


def _purpose(folder: Path, config: Config, corpus: Mapping[str, Any]) -> dict[str, Any]:
    parts = corpus.get("train", [])

    def total(key: str) -> int | None:
        return sum(part[key] for part in parts) if parts and all(part.get(key) for part in parts) else None

    pairs = total("kept")
    means = {
        f"mean_{side}_tokens": tokens / pairs if pairs and (tokens := total(f"{side}_tokens")) else None
        for side in config.sides
    }
    source, target = config.languages
    return {
        "source_language": source,
        "target_language": target,
        "pairs": pairs,
        **means,
        **_limits(config, corpus.get("source_lines") or {}),
        "commands": config.next_commands(quote(short_name(folder))),
    }


def _limits(config: Config, lines: Mapping[str, Any]) -> dict[str, int | None]:
    """Limits of the text that is translated as a whole, from facts about the lines of the training corpus."""
    search = config.search if isinstance(config.search, SearchOptions) else None
    tokens = search and (search.max_source_tokens or lines.get("max_tokens"))
    sentences = search and search.split_sentences and lines.get("usual_sentences", 1)
    return {"max_source_tokens": tokens or None, "max_sentences": sentences or None}


def _derived(folder: Path, recorded: Mapping[str, Mapping[str, str]]) -> dict[str, list[str]]:
    """For each derived file, the files that have changed since it was made."""
    now, differ = checksums(folder), {}
    for file, digests in recorded.items():
        if (folder / file).exists():
            found = now | {file: sha256(check_regular_file(folder / file))}
            differ[file] = [name for name, digest in digests.items() if found.get(name, digest) != digest]
    return differ


def _training(folder: Path, config: Config) -> dict[str, Any] | None:
    history = read_history(folder)
    if not history:
        return None
    metric, last = config.validation.metric, history[-1]
    best = next((entry for entry in reversed(history) if entry["best"]), None)
    if best is not None:
        value = best["valid_loss" if metric == "loss" else "bleu"]
        best = {
            "update": best["update"],
            "epoch": best["epoch"],
            "metric": config.validation.metric_name,
            "value": value,
        }
    return {
        "updates": last["update"],
        "epoch": last["epoch"],
        "validations": len(history),
        "seconds": last["seconds"],
        "best": best,
    }


def _version(name: str) -> str | None:
    if name == "python":
        return python_version()
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
