"""Optional dependencies: a guard for their imports, and the error if they are missing."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from shlex import quote
from urllib.parse import urlsplit
from urllib.request import url2pathname

from seq2seq.errors import MissingExtraError

DISTRIBUTION_NAME = "recurrent-seq2seq"  # as in pyproject.toml


@contextmanager
def require_extra(extra: str, *, needed_by: str) -> Iterator[None]:
    """Convert a failed import inside the block to a `MissingExtraError`.

    Args:
        extra: Name of the extra in pyproject.toml.
        needed_by: The feature that needs the extra; the beginning of the message.

    Raises:
        MissingExtraError: A package is not installed; the message says how to install the extra.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = str(error.name).partition(".")[0]
        raise missing_extra_error(extra, needed_by=needed_by, package=package) from None


def missing_extra_error(extra: str, *, needed_by: str, package: str) -> MissingExtraError:
    """The error for a missing package of an extra; arguments as for `require_extra`."""
    return MissingExtraError(
        f"{needed_by} needs the package '{package}', which is not installed. Install the extra '{extra}': "
        f"{how_to_install(extra)}."
    )


def how_to_install(extra: str) -> str:
    """The installation command, which depends on how this package was installed: from a folder or from an index."""
    constraints = f"constraints{'-apache-beam' if extra == 'apache-beam' else ''}.txt"
    command = f"pip install -c {constraints} '.[{extra}]'"
    try:
        origin = json.loads(metadata.distribution(DISTRIBUTION_NAME).read_text("direct_url.json") or "{}")
    except metadata.PackageNotFoundError:  # the package runs from its source folder
        origin = {"dir_info": {}}
    if "dir_info" not in origin:
        return f"pip install '{DISTRIBUTION_NAME}[{extra}]'"
    if origin["dir_info"].get("editable"):
        command = command.replace("'.[", "-e '.[")
    folder = Path(url2pathname(urlsplit(origin.get("url", "")).path))
    known = folder.name and (folder / constraints).is_file()
    return (
        f"cd {quote(str(folder))} && {command}" if known else f"{command}, in the source folder of {DISTRIBUTION_NAME}"
    )
