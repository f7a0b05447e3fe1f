"""Faults of what a service does for one order: where they are caught, and when it is tried again.

Rule: what fails for one order holds up nobody but itself. It becomes a task with its problem, tried
with growing pauses; whoever is on call sees it. Where a part is away, nobody can be served: that is
passed on, and ends what is being done, to begin again.
"""

from collections.abc import Awaitable
from math import ldexp

import structlog
from prometheus_client import Counter

from domain.errors import UnavailableError

FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 600.0

_log = structlog.get_logger(__name__)
_failed = Counter("ordertrail_service_failures", "What came to nothing for an order", ["service"])


async def problem_of(
    work: Awaitable[None], *, service: str, failed: str, first: object, last: object
) -> str | None:
    """Do it; give why it came to nothing, None: it did not. Raises UnavailableError.

    Args:
        work: what is done.
        service: whose work it is.
        failed: how the log calls it where it fails.
        first: names the first of what it is done for.
        last: names the last one.
    """
    try:
        await work
    except UnavailableError:
        raise
    except Exception as error:  # noqa: BLE001 - an order's fault is its own
        return note(error, service=service, failed=failed, first=first, last=last)
    return None


def note(error: Exception, *, service: str, failed: str, first: object, last: object) -> str:
    """Count and log a fault that was just caught; give it as a task's problem."""
    _failed.labels(service).inc()
    _log.exception(failed, first=first, last=last)
    return f"{type(error).__name__}: {error}"


def pause_s(tries: int) -> float:
    """Give the time until something is tried again that came to nothing so many times."""
    return min(LONGEST_PAUSE_S, ldexp(FIRST_PAUSE_S, min(tries, 20)))
