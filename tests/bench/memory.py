"""The memory of each process after a million orders, beside that after ten thousand.

The orders are placed, and as many are read, as in the row of the whole platform: as fast as the
views keep up.
"""

from collections.abc import Mapping, Sequence

import psutil
import psycopg

from infrastructure.local.plan import SERVICES
from tests.bench.http_rate import bearer, place_requests
from tests.bench.platform import Load
from tests.bench.report import Bar, Row
from tests.bench.rounds import Effort
from tests.bench.stack import Platform, Stack

MANY, FEW = 1_000_000, 10_000
ROOM_RATIO, ROOM_MB = 1.1, 20.0
"""The same means: within a tenth, or within so many megabytes."""
SLICE_S = 5.0


def measure(stack: Stack, effort: Effort) -> Sequence[Row]:
    platform = stack.platform(kafka=True)
    many, few = max(2, int(MANY * effort.scale)), max(1, int(FEW * effort.scale))
    with (
        stack.service("command-api", platform.settings) as command,
        stack.service("query-api", platform.settings) as query,
        stack.service("relay", platform.settings),
        stack.service("projector", platform.settings),
    ):
        load = Load(
            platform,
            command.port,
            query.port,
            place_requests(bearer(stack.token("service", "my-shop"))),
            bearer(stack.token("support", "ada")),
        )
        _place(load, platform, few)
        before = _resident_mb()
        _place(load, platform, many)
        after = _resident_mb()
    beside = f"after {few:,} orders"
    return [
        Row(
            f"memory: {name}",
            "MB",
            {f"after {many:,} orders": [after[name]], beside: [before[name]]},
            [Bar(beside, round(max(ROOM_RATIO, 1 + ROOM_MB / before[name]), 2), at_most=True)],
        )
        for name in before
    ]


def _place(load: Load, platform: Platform, orders: int) -> None:
    with psycopg.connect(platform.owner_url, autocommit=True) as connection:
        while True:
            row = connection.execute("SELECT coalesce(max(notification_id), 0) FROM events")
            found = row.fetchone()
            assert found is not None
            if found[0] >= orders:
                return
            load(SLICE_S)


def _resident_mb() -> Mapping[str, float]:
    """Read the resident memory of our services, in megabytes, by name."""
    found: dict[str, float] = {}
    for process in psutil.Process().children():
        command = process.cmdline()
        for name in SERVICES:
            if "serve" in command and name in command:
                found[name] = process.memory_info().rss / 1e6
    return found
