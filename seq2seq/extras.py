"""Optional dependencies: where they may be imported, and the error if they are missing."""

from collections.abc import Iterator
from contextlib import contextmanager

from seq2seq.errors import MissingExtraError

DISTRIBUTION_NAME = "recurrent-seq2seq"  # as in pyproject.toml


@contextmanager
def require_extra(extra: str, *, needed_by: str) -> Iterator[None]:
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
        raise missing_extra_error(extra, needed_by=needed_by, package=package) from None


def missing_extra_error(extra: str, *, needed_by: str, package: str) -> MissingExtraError:
    """Make the error for a package of an extra that is not installed; arguments as for `require_extra`."""
    # From the folder: the distribution is on no index.
    return MissingExtraError(
        f"{needed_by} needs the package '{package}', which is not installed. Install the extra '{extra}': run "
        f"pip install '.[{extra}]' in the source folder of {DISTRIBUTION_NAME}."
    )
