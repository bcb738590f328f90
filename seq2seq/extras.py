"""Optional dependencies: where they may be imported, and the error if they are missing."""

from collections.abc import Iterator
from contextlib import contextmanager

from seq2seq.errors import MissingExtraError

DISTRIBUTION = "seq2seq"  # as in pyproject.toml


@contextmanager
def from_extra(extra: str, *, needed_by: str) -> Iterator[None]:
    """Turn a failed import inside the block into a `MissingExtraError`.

    Args:
        extra: Name of the extra in pyproject.toml.
        needed_by: What cannot be done without it; the beginning of the message.

    Raises:
        MissingExtraError: A package is not installed; says how to install the extra.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = str(error.name).partition(".")[0]
        raise missing_extra(extra, needed_by=needed_by, package=package) from None


def missing_extra(extra: str, *, needed_by: str, package: str) -> MissingExtraError:
    """Make the error for a package of an extra that is not installed; arguments as for `from_extra`."""
    # From the folder and not by the distribution's name, under which an index has another project.
    return MissingExtraError(
        f"{needed_by} needs the package '{package}', which is not installed. Install the extra '{extra}': run "
        f"pip install '.[{extra}]' in the source folder of {DISTRIBUTION}."
    )
