"""Paths as people write them: with `~` and environment variables."""

import os
import re
from pathlib import Path

from seq2seq.errors import CorpusError


def find_file(path: str) -> Path:
    """`expand_path` a path and check that a file is there.

    Raises:
        CorpusError: A variable is not set, or there is no such file.
    """
    file = expand_path(path)
    if not file.is_file():
        raise CorpusError(f"{file}: no such file.")
    return file


def expand_path(path: str) -> Path:
    """Expand `~` and environment variables in a path.

    Raises:
        CorpusError: A variable is not set.
    """
    expanded = os.path.expandvars(path)
    unset = re.search(r"\$\{?(\w+)", expanded)
    if unset and not Path(expanded).exists():
        raise CorpusError(
            f"{path}: the environment variable {unset[1]} is not set. "
            f"Set it to the folder (export {unset[1]}=...), or give the path with --set."
        )
    return Path(expanded).expanduser()
