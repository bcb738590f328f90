"""Model directories near a path that is not one, for the error message."""

import os
from collections import deque
from collections.abc import Iterator
from difflib import SequenceMatcher
from pathlib import Path

MODEL_FILES = ("config.yaml", "metadata.json")
MAX_DEPTH = 3  # levels below the start of the search
MAX_FOLDERS = 500  # folders to search: a home directory has millions
MAX_SHOWN = 3


def nearby_models(path: Path) -> list[str]:
    """Find up to three model directories near `path`, by similarity of names, those in its own folder first.

    The search covers `path` or its parent, and the working directory, without hidden folders and links.
    """
    wanted = path.absolute()
    start = next(folder for folder in (wanted, *wanted.parents) if folder.is_dir())
    # The root or another folder far above a wrong path is no hint to the location of models.
    starts = [start] if start in (wanted, wanted.parent) else []
    found = dict.fromkeys(model for folder in (*starts, Path.cwd()) for model in _models(folder))
    shown = {_shown(model): model for model in found}
    likeness = SequenceMatcher(b=str(wanted), autojunk=False)

    def distance(name: str) -> tuple[bool, float, str]:
        likeness.set_seq1(str(shown[name]))
        return not shown[name].is_relative_to(wanted.parent), -likeness.ratio(), name

    return sorted(shown, key=distance)[:MAX_SHOWN]


def _models(start: Path) -> Iterator[Path]:
    """Yield model directories in `start` and below, level by level."""
    waiting = deque([(start, 0)])
    for _ in range(MAX_FOLDERS):
        if not waiting:
            return
        folder, depth = waiting.popleft()
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError:  # no permission to read it
            continue
        if {entry.name for entry in entries}.issuperset(MODEL_FILES):
            yield folder
        elif depth < MAX_DEPTH:
            inner = (entry for entry in entries if not entry.name.startswith(".") and _is_folder(entry))
            waiting.extend((folder / entry.name, depth + 1) for entry in inner)


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:
        return False


def _shown(folder: Path) -> str:
    """The path as written from the working directory."""
    here = Path.cwd()
    return str(folder.relative_to(here)) if folder.is_relative_to(here) else str(folder)
