"""How long to fuzz: a bounded number of examples, always the same; or so many as `FUZZ_EXAMPLES` says, always others.

FUZZ_EXAMPLES=5000 python -m pytest tests/fuzz
"""

import os
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, settings

SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture]

settings.register_profile(
    "always", derandomize=True, database=None, deadline=None, max_examples=60, suppress_health_check=SLOW
)
settings.register_profile(
    "by hand",
    deadline=None,
    max_examples=int(os.environ.get("FUZZ_EXAMPLES", "1000")),
    print_blob=True,
    suppress_health_check=SLOW,
)
settings.load_profile("by hand" if "FUZZ_EXAMPLES" in os.environ else "always")


def outcome(error: type[Exception], call: Callable[[], Any]) -> tuple[Any, str]:
    """What a call returns, and the message of an error of this kind; any other error passes through."""
    try:
        return call(), ""
    except error as found:
        return None, str(found)


def examples(share: float) -> settings:
    """For what is slower or faster than the others: a share of their number of examples."""
    return settings(max_examples=max(1, round(settings().max_examples * share)))
