"""A small recipe, as values and as a file."""

from pathlib import Path

import yaml

DATA = {"train": {"tsv": "train.tsv"}, "valid": {"source": "valid.en", "target": "valid.de"}}


def mixed(*parts) -> dict:
    """A corpus that is a mixture of several."""
    return {"mixture": list(parts)}


def write_recipe(folder: Path, **data) -> Path:
    """Write `folder`/recipe.yaml, with corpora of its own."""
    path = folder / "recipe.yaml"
    values = {"seed": 7, "data": {**DATA, **data}, "training": {"epochs": 3}}
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return path
