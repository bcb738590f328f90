"""Models in the folders around a path that is none, for its error message."""

import os
from collections import deque
from collections.abc import Iterator
from difflib import SequenceMatcher
from pathlib import Path

MODEL_FILES = ("config.yaml", "metadata.json")
MAX_DEPTH = 3  # folders below where the search begins
MAX_FOLDERS = 500  # that are looked at: a home directory has millions
MAX_SHOWN = 5


def nearby_models(path: Path) -> list[str]:
    """Model directories near `path`, the one with the most similar name first.

    Searched are the folder that `path` would be in, or is, and the working directory; hidden folders and links are not.
    """
    wanted = path.absolute()
    start = next(folder for folder in (wanted, *wanted.parents) if folder.is_dir())
    # The root, or another folder far above a path that is wrong from there on, says nothing about where models are.
    starts = [start] if start in (wanted, wanted.parent) else []
    found = dict.fromkeys(model for folder in (*starts, Path.cwd()) for model in _models(folder))
    shown = {_shown(model): model for model in found}
    likeness = SequenceMatcher(b=str(wanted), autojunk=False)

    def distance(name: str) -> tuple[float, str]:
        likeness.set_seq1(str(shown[name]))
        return -likeness.ratio(), name

    return sorted(shown, key=distance)[:MAX_SHOWN]


def _models(start: Path) -> Iterator[Path]:
    """Model directories in `start` and below, the uppermost first."""
    waiting = deque([(start, 0)])
    for _ in range(MAX_FOLDERS):
        if not waiting:
            return
        folder, depth = waiting.popleft()
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError:  # it may not be read
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
    """As a person in the working directory would write it."""
    here = Path.cwd()
    return str(folder.relative_to(here)) if folder.is_relative_to(here) else str(folder)
