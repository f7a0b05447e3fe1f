"""A stuck hop looks stuck: on /metrics and in `status`, also while its worker or server hangs."""

import json
import math
import time
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.live_platform import LivePlatform
from tests.shop import Shop

WITHIN_S, SOON_S = 15.0, 4.0
HOPS = ("log→kafka", "kafka→redis")


def gauges(shop: Shop, hop: str) -> Mapping[str, float]:
    """Read a hop's gauges at the edge, by the end of their names."""
    text = shop.client.get("/metrics").text
    return {
        sample.name.removeprefix("ordertrail_lag_"): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name.startswith("ordertrail_lag_") and sample.labels["hop"] == hop
    }


def shown_by_status(platform: LivePlatform, hop: str) -> Mapping[str, Any]:
    rows = json.loads(platform.run("status", "--json").stdout)["lag"]
    row: Mapping[str, Any] = next(row for row in rows if row["hop"] == hop)
    return row


def wait_for(
    shop: Shop, hop: str, enough: Callable[[Mapping[str, float]], bool]
) -> Mapping[str, float]:
    until = time.monotonic() + WITHIN_S
    while not enough(found := gauges(shop, hop)):
        assert time.monotonic() < until, found
        time.sleep(0.2)
    return found


def caught_up(found: Mapping[str, float]) -> bool:
    return found == {"events": 0, "seconds": 0, "known": 1}


@pytest.mark.parametrize(
    ("stuck", "hop"),
    [("relay", HOPS[0]), ("projector", HOPS[1]), ("kafka", HOPS[0]), ("redis", HOPS[1])],
)
def test_while_a_worker_or_a_server_hangs_the_lag_of_its_hop_grows(
    platform: LivePlatform, shop: Shop, stuck: str, hop: str
) -> None:
    known = 0 if stuck == "redis" else 1
    for each in HOPS:
        wait_for(shop, each, caught_up)
    with platform.frozen(stuck):
        shop.place()
        first = wait_for(shop, hop, lambda found: found["events"] >= 1)
        shop.place()
        second = wait_for(shop, hop, lambda found: found["events"] >= first["events"] + 1)
        third = wait_for(shop, hop, lambda found: found["seconds"] >= second["seconds"] + 1)
        assert third["known"] == known
        row = shown_by_status(platform, hop)
        events, seconds = row["events"], row["seconds"]
        if known:
            assert events is not None
            assert seconds is not None
            assert events >= 2
            assert seconds >= third["seconds"]
        else:
            assert (events, seconds) == (None, None)
    for each in HOPS:
        wait_for(shop, each, caught_up)
    for each in HOPS:
        assert shown_by_status(platform, each) == {"hop": each, "events": 0, "seconds": 0}


def test_while_the_database_hangs_lag_is_not_known_and_measurements_still_come(
    platform: LivePlatform, shop: Shop
) -> None:
    with platform.frozen("postgres"):
        for _ in range(3):
            began = time.monotonic()
            found = gauges(shop, HOPS[0])
            assert time.monotonic() - began < SOON_S
            time.sleep(1)
        assert found["known"] == 0
        assert math.isnan(found["events"])
        assert shown_by_status(platform, HOPS[0])["events"] is None
    for hop in HOPS:
        wait_for(shop, hop, caught_up)
