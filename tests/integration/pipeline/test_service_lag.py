"""A service that does nothing looks behind, on real parts: by its messages and by its tasks."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from confluent_kafka import Consumer, TopicPartition

from commands.inventory.allocate import INVENTORY
from commands.payment.request import PAYMENTS
from infrastructure import composition
from infrastructure.kafka.groups import group_name
from infrastructure.kafka.topics import Incarnation
from infrastructure.observability import service_lag
from infrastructure.observability.service_lag import QUEUES, SERVICES, QueueLag, ServiceMeter
from infrastructure.postgres.tasks import Tasks
from infrastructure.services import fulfilment, payment_calls
from infrastructure.settings import Settings
from tests.integration.pipeline.conftest import WAIT_S, Pipeline
from tests.integration.pipeline.test_lag import settings_of
from tests.integration.pipeline.test_relay_marks import incarnation

CALLS = payment_calls.CALLS


@pytest.fixture
def settings(pipeline: Pipeline) -> Settings:
    return settings_of(pipeline)


@pytest.fixture
def meter(settings: Settings) -> ServiceMeter:
    return composition.service_meter(settings)


@pytest.fixture
async def tasks(settings: Settings) -> AsyncIterator[Tasks]:
    async with composition.open_tasks(settings.store) as opened:
        yield opened


def messages(meter: ServiceMeter) -> dict[str, int | None]:
    return {one.service: one.messages for one in meter.measure().lags}


def calls(meter: ServiceMeter) -> QueueLag:
    [found] = [one for one in meter.measure().queues if one.queue == CALLS]
    return found


def test_every_service_and_queue_is_watched() -> None:
    names = (fulfilment.NAME, INVENTORY.subject, PAYMENTS.subject)
    assert names == SERVICES
    assert {fulfilment.TIMERS, CALLS, *(f"{name}.reactions" for name in names)} == set(QUEUES)


async def test_what_a_group_has_not_committed_is_its_lag(
    pipeline: Pipeline, meter: ServiceMeter
) -> None:
    with pipeline.relay(), pipeline.projector():
        last = max([(await pipeline.place(number)).position for number in range(3)])
        await asyncio.to_thread(pipeline.await_complete, last)
    before = messages(meter)
    count = before["payment"]
    assert count is not None
    assert count >= 3  # checkpoints are messages too
    assert before == dict.fromkeys(SERVICES, count)

    # Taken of the topic that was there before, under the same name: nothing of what is there now.
    commit_all(pipeline, "payment", replace(incarnation(pipeline), topic_id=str(uuid4())))
    assert messages(meter) == before

    commit_all(pipeline, "payment", incarnation(pipeline))
    assert messages(meter) == {**before, "payment": 0}


def commit_all(pipeline: Pipeline, service: str, of: Incarnation) -> None:
    group = group_name(service, of)
    settings = {"bootstrap.servers": pipeline.kafka.kafka_bootstrap, "group.id": group}
    with closing(Consumer(settings)) as consumer:
        topic = pipeline.kafka.order_topic
        places = [TopicPartition(topic, one) for one in range(pipeline.kafka.order_partitions)]
        ends = [consumer.get_watermark_offsets(place)[1] for place in places]
        offsets = [TopicPartition(topic, one, end) for one, end in enumerate(ends)]
        consumer.commit(offsets=offsets, asynchronous=False)


async def test_tasks_that_nobody_is_at_are_due_and_get_older(
    pipeline: Pipeline, meter: ServiceMeter, tasks: Tasks
) -> None:
    assert calls(meter) == QueueLag(CALLS, 0, 0.0, 0)
    order = (await pipeline.place(0)).order_id
    now = datetime.now(UTC)
    due = [now - timedelta(seconds=60), now - timedelta(seconds=1), now + timedelta(hours=1)]
    await tasks.put(CALLS, [(str(n), order, at) for n, at in enumerate(due)])
    found = calls(meter)
    assert (found.due, found.failing) == (2, 0)
    assert found.seconds is not None
    assert 60 <= found.seconds < 60 + WAIT_S


async def test_what_fails_again_and_again_is_counted_while_it_waits_for_its_next_try(
    pipeline: Pipeline, meter: ServiceMeter, tasks: Tasks
) -> None:
    order = (await pipeline.place(0)).order_id
    await tasks.put(CALLS, [("one", order, datetime.now(UTC) - timedelta(hours=1))])
    for tries in range(1, service_lag.FAILING_TRIES + 1):
        assert calls(meter).failing == 0
        [task] = await tasks.take(CALLS, lease_s=60, limit=1)
        last = tries == service_lag.FAILING_TRIES
        await tasks.put_off(task, seconds=60 if last else -60, problem="it says no")
    assert calls(meter) == QueueLag(CALLS, 0, 0.0, 1)


def test_what_does_not_answer_is_not_known_and_the_rest_is(settings: Settings) -> None:
    settings.kafka = settings.kafka.model_copy(update={"kafka_bootstrap": "127.0.0.1:9"})
    measured = composition.service_meter(settings).measure()
    assert [one.messages for one in measured.lags] == [None] * len(SERVICES)
    assert all(one.problem for one in measured.lags)
    assert [one.due for one in measured.queues] == [0] * len(QUEUES)
