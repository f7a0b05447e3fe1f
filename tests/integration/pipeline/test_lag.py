"""Lag on real parts: a hop that stands still shows it, whoever is hung, dead or away."""

import asyncio
import time
from collections.abc import Iterator, Sequence

import psycopg
import pytest
import redis
from pydantic import SecretStr

from infrastructure import composition
from infrastructure.kafka import topics
from infrastructure.local.ports import free_port
from infrastructure.observability.lag import KAFKA_TO_REDIS, LOG_TO_KAFKA, HopLag, LagMeter
from infrastructure.settings import Settings
from tests.integration.pipeline.conftest import WAIT_S, Pipeline

AS_SERVICE = "?options=-c%20role%3Dordertrail_service"
"""The services' role may only read: what is asked as the owner would prove nothing."""


def settings_of(pipeline: Pipeline) -> Settings:
    url = pipeline.store.postgres_url.get_secret_value() + AS_SERVICE
    settings = Settings()
    settings.store = pipeline.store.model_copy(update={"postgres_url": SecretStr(url)})
    settings.kafka = pipeline.kafka
    settings.views = pipeline.views
    return settings


@pytest.fixture
def meter(pipeline: Pipeline) -> Iterator[LagMeter]:
    meter = composition.lag_meter(settings_of(pipeline))
    yield meter
    meter.close()


async def place(pipeline: Pipeline, count: int, *, begin: int = 0) -> int:
    answers = await asyncio.gather(*(pipeline.place(begin + n) for n in range(count)))
    return max(one.position for one in answers)


def lag(meter: LagMeter) -> tuple[HopLag, HopLag]:
    first, second = meter.measure()
    assert (first.hop, second.hop) == (LOG_TO_KAFKA, KAFKA_TO_REDIS)
    return first, second


def events(hops: Sequence[HopLag]) -> list[int | None]:
    return [one.events for one in hops]


def age(hop: HopLag) -> float:
    assert hop.seconds is not None
    return hop.seconds


def await_published(meter: LagMeter, pipeline: Pipeline) -> None:
    until = time.monotonic() + WAIT_S
    while lag(meter)[0].events != 0:
        assert time.monotonic() < until, pipeline.faults
        time.sleep(0.05)


def test_an_empty_log_has_no_lag(meter: LagMeter) -> None:
    assert meter.measure() == [
        HopLag(LOG_TO_KAFKA, 0, 0.0, None),
        HopLag(KAFKA_TO_REDIS, 0, 0.0, None),
    ]


async def test_without_workers_both_hops_grow(pipeline: Pipeline, meter: LagMeter) -> None:
    await place(pipeline, 3)
    before = lag(meter)
    assert events(before) == [3, 3]
    await asyncio.sleep(0.3)
    without_new_events = lag(meter)
    assert events(without_new_events) == [3, 3]
    for hop, earlier in zip(without_new_events, before, strict=True):
        assert age(hop) >= age(earlier) + 0.3
    await place(pipeline, 2, begin=3)
    after = lag(meter)
    assert events(after) == [5, 5]
    for hop, earlier in zip(after, without_new_events, strict=True):
        assert age(hop) > age(earlier)


async def test_with_the_relay_alone_the_second_hop_grows(
    pipeline: Pipeline, meter: LagMeter
) -> None:
    await place(pipeline, 3)
    with pipeline.relay():
        await asyncio.to_thread(await_published, meter, pipeline)
        before = lag(meter)
        await asyncio.sleep(0.3)
        await place(pipeline, 2, begin=3)
        await asyncio.to_thread(await_published, meter, pipeline)
    first, second = lag(meter)
    assert (first.events, first.seconds, first.problem) == (0, 0.0, None)
    assert (before[1].events, second.events) == (3, 5)
    assert age(second) >= age(before[1]) + 0.3


async def test_lag_begins_with_the_first_event_after_what_was_processed(
    pipeline: Pipeline, meter: LagMeter
) -> None:
    with pipeline.relay(), pipeline.projector():
        await asyncio.to_thread(pipeline.await_complete, await place(pipeline, 30))
        await asyncio.to_thread(await_published, meter, pipeline)
        assert [(one.events, one.seconds) for one in lag(meter)] == [(0, 0.0), (0, 0.0)]
    await asyncio.sleep(0.5)
    begun = time.monotonic()
    await place(pipeline, 1, begin=30)
    hops = lag(meter)
    assert events(hops) == [1, 1]
    assert all(age(hop) <= time.monotonic() - begun for hop in hops)


async def test_of_an_event_from_the_future_no_age_is_told(
    pipeline: Pipeline, meter: LagMeter
) -> None:
    await place(pipeline, 2)
    with psycopg.connect(pipeline.store.postgres_url.get_secret_value()) as connection:
        connection.execute("UPDATE events SET recorded_at = recorded_at + interval '1 hour'")
    for hop in lag(meter):
        assert (hop.events, hop.seconds) == (2, None)
        assert hop.problem is not None
        assert "ahead of the database's clock" in hop.problem


async def test_a_wiped_redis_has_everything_before_it(pipeline: Pipeline, meter: LagMeter) -> None:
    with pipeline.relay(), pipeline.projector():
        await asyncio.to_thread(pipeline.await_complete, await place(pipeline, 10))
        await asyncio.to_thread(await_published, meter, pipeline)
    pipeline.redis.flushall()
    assert events(lag(meter)) == [0, 10]


async def test_a_topic_that_is_gone_has_everything_before_it(
    pipeline: Pipeline, meter: LagMeter
) -> None:
    await place(pipeline, 10)
    with pipeline.relay():
        await asyncio.to_thread(await_published, meter, pipeline)
    topic = pipeline.kafka.order_topic
    admin = topics.admin(pipeline.kafka.kafka_bootstrap)
    admin.delete_topics([topic])[topic].result()
    until = time.monotonic() + WAIT_S  # the broker may name it for a moment yet
    while lag(meter)[0].events != 10 and time.monotonic() < until:
        await asyncio.sleep(0.1)
        meter._ask_kafka_at = 0.0
    assert lag(meter)[0].events == 10


async def test_with_kafka_away_the_first_hop_goes_on_growing(
    pipeline: Pipeline, meter: LagMeter
) -> None:
    with pipeline.relay():
        await place(pipeline, 3)
        await asyncio.to_thread(await_published, meter, pipeline)
    settings = settings_of(pipeline)
    away = {"kafka_bootstrap": f"127.0.0.1:{free_port()}"}
    settings.kafka = pipeline.kafka.model_copy(update=away)
    never_saw_it = composition.lag_meter(settings)
    assert lag(never_saw_it)[0] == HopLag(LOG_TO_KAFKA, 0, 0.0, None)
    await place(pipeline, 2, begin=3)
    grown = lag(never_saw_it)[0]
    assert (grown.events, grown.problem) == (2, None)
    never_saw_it.close()


async def test_with_redis_away_the_second_hop_goes_on_from_what_was_known(
    pipeline: Pipeline, meter: LagMeter
) -> None:
    with pipeline.relay(), pipeline.projector():
        await asyncio.to_thread(pipeline.await_complete, await place(pipeline, 10))
    assert lag(meter)[1].events == 0
    meter.close()
    nowhere = free_port()
    meter._client = redis.Redis(port=nowhere)
    await place(pipeline, 2, begin=10)
    second = lag(meter)[1]
    assert (second.events, second.problem) == (2, "redis: ConnectionError")

    settings = settings_of(pipeline)
    settings.views = pipeline.views.model_copy(
        update={"redis_url": SecretStr(f"redis://127.0.0.1:{nowhere}/0")}
    )
    never_saw_it = composition.lag_meter(settings)
    first, second = lag(never_saw_it)
    assert first.problem is None
    assert second == HopLag(KAFKA_TO_REDIS, None, None, "redis: ConnectionError")
    never_saw_it.close()


async def test_views_of_another_log_are_not_taken_for_up_to_date(
    pipeline: Pipeline, meter: LagMeter
) -> None:
    with pipeline.relay(), pipeline.projector():
        await asyncio.to_thread(pipeline.await_complete, await place(pipeline, 10))
    with psycopg.connect(pipeline.store.postgres_url.get_secret_value()) as connection:
        connection.execute("DELETE FROM events WHERE notification_id > 5")
    for hop in lag(meter):
        assert hop.events is None
        assert hop.problem is not None


async def test_without_the_log_nothing_is_known(pipeline: Pipeline) -> None:
    settings = settings_of(pipeline)
    url = SecretStr(f"postgresql://nobody@127.0.0.1:{free_port()}/none")
    settings.store = pipeline.store.model_copy(update={"postgres_url": url})
    meter = composition.lag_meter(settings)
    problem = "postgres: OperationalError"
    assert meter.measure() == [
        HopLag(LOG_TO_KAFKA, None, None, problem),
        HopLag(KAFKA_TO_REDIS, None, None, problem),
    ]
    meter.close()
