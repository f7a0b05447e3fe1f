"""Whoever asks for measurements gets them soon, and never old ones for new."""

import asyncio
import math
import threading
from collections.abc import Sequence

import pytest
from prometheus_client import CollectorRegistry

from infrastructure.observability import lag_gauges
from infrastructure.observability.lag import HOPS, HopLag
from infrastructure.observability.lag_gauges import LagGauges, ServiceGauges
from infrastructure.observability.service_lag import QueueLag, ServiceLag, Services


class Stage:
    """A meter that answers what a test says, once it may."""

    def __init__(self) -> None:
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.answer: Sequence[HopLag] = [HopLag(hop, 7, 1.5, problem=None) for hop in HOPS]
        self.asked = 0
        self.registry = CollectorRegistry()
        self.gauges = LagGauges(self.measure, self.registry)

    def measure(self) -> Sequence[HopLag]:
        self.asked += 1
        self.may_answer.wait(30)
        return self.answer

    def shown(self, hop: str = "log→kafka") -> list[float | None]:
        names = ("events", "seconds", "known")
        labels = {"hop": hop}
        return [self.registry.get_sample_value(f"ordertrail_lag_{n}", labels) for n in names]


@pytest.fixture
def stage() -> Stage:
    return Stage()


def is_unknown(shown: Sequence[float | None]) -> bool:
    *numbers, known = shown
    return known == 0 and all(n is not None and math.isnan(n) for n in numbers)


async def test_before_anybody_asked_nothing_is_known(stage: Stage) -> None:
    assert is_unknown(stage.shown())


async def test_one_measurement_serves_all_who_ask_at_once(stage: Stage) -> None:
    await asyncio.gather(*(stage.gauges.refresh() for _ in range(10)))
    assert stage.shown("log→kafka") == stage.shown("kafka→redis") == [7, 1.5, 1]
    assert stage.asked == 1


async def test_what_a_part_did_not_confirm_is_shown_as_not_known(stage: Stage) -> None:
    stage.answer = [HopLag("log→kafka", 9, 60.0, "redis: ConnectionError")]
    await stage.gauges.refresh()
    assert stage.shown() == [9, 60.0, 0]


async def test_a_measurement_that_hangs_is_not_waited_for_and_not_started_twice(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lag_gauges, "KEEP_S", 0.0)
    await stage.gauges.refresh()
    assert stage.shown() == [7, 1.5, 1]
    monkeypatch.setattr(lag_gauges, "WAIT_S", 0.02)
    stage.may_answer.clear()
    for _ in range(3):
        await stage.gauges.refresh()
        assert is_unknown(stage.shown())
    assert stage.asked == 2

    stage.may_answer.set()
    monkeypatch.setattr(lag_gauges, "WAIT_S", 5.0)
    await stage.gauges.refresh()
    assert stage.shown() == [7, 1.5, 1]


async def test_a_fault_of_ours_is_raised_and_the_next_one_who_asks_is_served(stage: Stage) -> None:
    good, stage.answer = stage.answer, []
    stage.gauges._measure = lambda: 1 // 0  # type: ignore[assignment, return-value]
    with pytest.raises(ZeroDivisionError):
        await stage.gauges.refresh()
    stage.gauges._measure = lambda: good
    stage.gauges._measured_at = -math.inf
    await stage.gauges.refresh()
    assert stage.shown() == [7, 1.5, 1]


async def test_services_and_queues_have_gauges_of_their_own() -> None:
    answer = Services([ServiceLag("payment", 3)], [QueueLag("payment.calls", 4, 31.5, 2)])
    registry = CollectorRegistry()
    gauges = ServiceGauges(lambda: answer, registry)

    def shown() -> list[float | None]:
        names = ("due", "due_seconds", "failing")
        queue = {"queue": "payment.calls"}
        messages = "ordertrail_service_lag_messages"
        return [
            registry.get_sample_value(messages, {"service": "payment"}),
            *(registry.get_sample_value(f"ordertrail_tasks_{name}", queue) for name in names),
        ]

    assert all(number is not None and math.isnan(number) for number in shown())
    await gauges.refresh()
    assert shown() == [3, 4, 31.5, 2]
