"""Two relays: one publishes. What that rests on is one database session with an advisory lock.

A relay that hangs keeps its session, and so the lock, until the one that stands by ends a session
that has asked nothing for ten seconds. Meanwhile nothing is published by anybody: orders are
accepted, and single reads come from the log.
"""

import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg

from infrastructure.local.edge import http_status
from infrastructure.local.leash import leashed
from infrastructure.local.ports import free_port
from infrastructure.local.service import PROJECT
from tests.consistency import assert_consistent
from tests.live_platform import CLI, LivePlatform
from tests.shop import Shop

LOCK_HOLDER = """
    SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted
    AND ((classid::bigint << 32) | objid::bigint) = hashtextextended('ordertrail.relay', 0)
"""
NOTHING_FOR_S = 2.0
WITHIN_S = 30.0


def test_a_relay_that_hangs_loses_its_place_and_skips_nothing_when_it_wakes(
    platform: LivePlatform, shop: Shop
) -> None:
    first = platform.process("relay")["pid"]
    held_by = _lock_holder(platform)
    with _second_relay(platform) as second:
        assert _lock_holder(platform) == held_by  # it stands by
        logged = len(platform.logs()["relay.log"])
        with platform.frozen("relay"):
            placed = [shop.place() for _ in range(10)]
            until = time.monotonic() + NOTHING_FOR_S
            while time.monotonic() < until:
                answer = shop.client.get(f"/v1/orders/{placed[-1]['order_id']}")
                assert answer.json()["position"] == placed[-1]["position"]
                listed = shop.client.get("/v1/orders", params={"limit": 1}).json()
                assert listed["as_of_position"] < placed[0]["position"]
            assert _lock_holder(platform) == held_by

            # The frozen one loses its session: the other publishes what is left, and all since.
            _await(lambda: _lock_holder(platform) not in (None, held_by))
            placed.append(shop.place())
            assert shop.read(placed[-1]["order_id"], placed[-1]["position"]).status_code == 200
            holder = _lock_holder(platform)
        # Awake again, the first finds its session gone, and stands by.
        _await(lambda: b"work_begins_again" in platform.logs()["relay.log"][logged:])
        shop.cancel(placed[0]["order_id"])
        assert_consistent(platform.settings)
        assert _lock_holder(platform) == holder
        second.send_signal(signal.SIGTERM)
        assert second.wait(WITHIN_S) == 0
    # And with the second gone, the first publishes again.
    placed.append(shop.place())
    assert shop.read(placed[-1]["order_id"], placed[-1]["position"]).status_code == 200
    assert platform.process("relay")["pid"] == first
    assert_consistent(platform.settings)


def test_a_second_relay_takes_over_from_one_that_is_killed(
    platform: LivePlatform, shop: Shop
) -> None:
    with _second_relay(platform) as second:
        platform.kill("relay")
        placed = shop.place()
        assert shop.read(placed["order_id"], placed["position"]).status_code == 200
        second.kill()
    placed = shop.place()
    assert shop.read(placed["order_id"], placed["position"]).status_code == 200
    assert_consistent(platform.settings)


@contextmanager
def _second_relay(platform: LivePlatform) -> Iterator["subprocess.Popen[bytes]"]:
    port = free_port()
    serve = [*CLI, "serve", "relay", "--port", str(port)]
    with (platform.home.path / "logs" / "second-relay.log").open("ab") as log:
        process = subprocess.Popen(
            leashed(serve, signal.SIGKILL),
            env={**platform.environment, **platform.settings},
            cwd=PROJECT,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        _await(lambda: http_status(port, "/readyz", 1.0) == 200)
        yield process
    finally:
        process.kill()
        process.wait()


def _lock_holder(platform: LivePlatform) -> int | None:
    with psycopg.connect(platform.settings["ORDERTRAIL_POSTGRES_OWNER_URL"]) as connection:
        row = connection.execute(LOCK_HOLDER).fetchone()
    return None if row is None else int(row[0])


def _await(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + WITHIN_S
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.05)
