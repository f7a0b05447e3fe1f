"""Whether this process can serve, and which of the parts that it talks to are down.

Rule: it is unavailable (503) only where it can serve nothing; a part that it can do without
makes it `degraded`, so that a load balancer keeps it.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence

import structlog

CHECK_TIMEOUT_S = 1.0
CACHE_S = 0.5

Checks = Mapping[str, Callable[[], Awaitable[None]]]
"""By the part's name: a call that raises where the part does not answer."""

_log = structlog.get_logger(__name__)


class Readiness:
    """Runs the checks side by side, at most every `CACHE_S` seconds however many ask."""

    def __init__(self, checks: Checks, *, enough: Sequence[frozenset[str]]) -> None:
        """Take the checks. `enough`: sets of parts, with any of which this process can serve."""
        self._checks = checks
        self._enough = tuple(enough)
        self._lock = asyncio.Lock()
        self._checked_at = -CACHE_S
        self._up: Mapping[str, bool] = {}

    async def report(self) -> tuple[int, Mapping[str, object]]:
        """Give the HTTP status and the document of `/readyz`."""
        async with self._lock:
            if time.monotonic() - self._checked_at >= CACHE_S:
                results = await asyncio.gather(*(self._check(name) for name in self._checks))
                self._up = dict(zip(self._checks, results, strict=True))
                self._checked_at = time.monotonic()
        up = {name for name, is_up in self._up.items() if is_up}
        serves = any(parts <= up for parts in self._enough)
        status = "ready" if len(up) == len(self._up) else "degraded"
        return 200 if serves else 503, {
            "status": status if serves else "unavailable",
            "checks": {name: "ok" if is_up else "down" for name, is_up in self._up.items()},
        }

    async def _check(self, name: str) -> bool:
        try:
            async with asyncio.timeout(CHECK_TIMEOUT_S):
                await self._checks[name]()
        except Exception as error:  # noqa: BLE001  # however it fails, the part is down
            if self._up.get(name, True):
                _log.warning("part_down", part=name, error=type(error).__name__)
            return False
        if not self._up.get(name, True):
            _log.info("part_up_again", part=name)
        return True
