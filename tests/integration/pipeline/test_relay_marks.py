"""What the relay has stored of its progress, beside what Kafka has."""

import asyncio
import threading
import time
from contextlib import closing

import psycopg
import pytest
from confluent_kafka import Consumer, TopicPartition
from psycopg.conninfo import make_conninfo

from infrastructure.kafka import topics
from infrastructure.kafka.messages import read_message
from infrastructure.kafka.publisher import DeliveryError, Publisher
from infrastructure.kafka.topics import Incarnation
from infrastructure.processes import relay
from infrastructure.processes.relay import Relay
from infrastructure.processes.worker import Health

from .conftest import WAIT_S, Pipeline

QUIET_S = 1.0


async def test_a_relay_that_is_stopped_leaves_nothing_to_be_published_again(
    pipeline: Pipeline,
) -> None:
    with pipeline.relay() as health:
        await asyncio.to_thread(await_good, health)
        await asyncio.gather(*(pipeline.place(number) for number in range(40)))

    assert stored_position(pipeline) == newest_published(pipeline)


def test_a_relays_session_is_as_its_url_says_and_compiles_nothing(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[object] = []

    def note(session: "psycopg.Connection[dict[str, object]]", *_: object) -> bool:
        asked = "SELECT current_setting('jit') AS jit, current_user AS who"
        found.append(session.execute(asked).fetchone())
        return False

    monkeypatch.setattr(relay, "_become_active", note)
    url = make_conninfo(
        pipeline.store.postgres_url.get_secret_value(), options="-c role=ordertrail_service"
    )
    Relay(url, pipeline.kafka).work(threading.Event(), Health())
    assert found == [{"jit": "off", "who": "ordertrail_service"}]


async def test_what_kafka_has_not_acknowledged_is_not_marked(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Marked before it is acknowledged, it would be skipped by a relay that is killed there."""

    def refuse(_self: Publisher, _timeout_s: float) -> bool:
        raise DeliveryError("Kafka did not take it")

    last = (await pipeline.place(0)).position
    with monkeypatch.context() as refusing, pipeline.relay():
        refusing.setattr(Publisher, "wait", refuse)
        await asyncio.to_thread(await_refusal, pipeline)
        assert stored_position(pipeline) == 0
    with pipeline.relay(), pipeline.projector():
        await asyncio.to_thread(pipeline.await_complete, last)
    assert pipeline.assert_views_equal_folds() == 1


async def test_a_topic_that_has_lost_messages_is_made_anew_and_published_from_the_beginning(
    pipeline: Pipeline,
) -> None:
    """As after a power cut: what comes next would stand where something else stood before."""
    with pipeline.relay(), pipeline.projector():
        orders = [await pipeline.place(number) for number in range(20)]
        await asyncio.to_thread(pipeline.await_complete, orders[-1].position)
    before = incarnation(pipeline)
    with psycopg.connect(pipeline.store.postgres_url.get_secret_value()) as connection:
        had = "SELECT array_agg(one + 1 ORDER BY place) FROM unnest(ends) WITH ORDINALITY"
        connection.execute(f"UPDATE relay_positions SET ends = ({had} AS e (one, place))".encode())
    last = await pipeline.place(20)
    with pipeline.relay(), pipeline.projector():
        await asyncio.to_thread(pipeline.await_complete, last.position)
    after = incarnation(pipeline)
    assert (before.topic, before.partitions) == (after.topic, after.partitions)
    assert before != after
    assert published_positions(pipeline) == {*range(1, last.position + 1)}
    assert pipeline.assert_views_equal_folds() == 21


async def test_where_kafka_has_all_that_it_had_nothing_is_published_again(
    pipeline: Pipeline,
) -> None:
    await pipeline.place(0)
    with pipeline.relay():
        await asyncio.to_thread(await_stored, pipeline, 1)
    before = incarnation(pipeline)
    last = await pipeline.place(1)
    with pipeline.relay():
        await asyncio.to_thread(await_stored, pipeline, last.position)
    assert incarnation(pipeline) == before


async def test_a_mark_beyond_the_log_skips_nothing(pipeline: Pipeline) -> None:
    await pipeline.place(0)
    with pipeline.relay():
        await asyncio.to_thread(await_stored, pipeline, 1)
    with psycopg.connect(pipeline.store.postgres_url.get_secret_value()) as connection:
        connection.execute("UPDATE relay_positions SET position = 4")
    with pipeline.relay() as health, pipeline.projector():
        await asyncio.to_thread(await_good, health)
        last = [await pipeline.place(number) for number in range(1, 6)][-1]
        await asyncio.to_thread(pipeline.await_complete, last.position)
    assert published_positions(pipeline) == {*range(1, last.position + 1)}
    assert pipeline.assert_views_equal_folds() == 6


def incarnation(pipeline: Pipeline) -> Incarnation:
    admin = topics.admin(pipeline.kafka.kafka_bootstrap)
    found = topics.find_topic(admin, pipeline.kafka.order_topic)
    assert found is not None
    return found


def await_refusal(pipeline: Pipeline) -> None:
    until = time.monotonic() + WAIT_S
    while not any(isinstance(one, DeliveryError) for one in pipeline.faults):
        assert time.monotonic() < until, pipeline.faults
        time.sleep(0.02)


def await_good(health: Health) -> None:
    until = time.monotonic() + WAIT_S
    while health.problem is not None:
        assert time.monotonic() < until, health.problem
        time.sleep(0.02)


def await_stored(pipeline: Pipeline, position: int) -> None:
    until = time.monotonic() + WAIT_S
    while stored_position(pipeline) < position:
        assert time.monotonic() < until, pipeline.faults
        time.sleep(0.02)


def stored_position(pipeline: Pipeline) -> int:
    with psycopg.connect(pipeline.store.postgres_url.get_secret_value()) as connection:
        row = connection.execute(
            "SELECT coalesce(max(position), 0) FROM relay_positions"
        ).fetchone()
    assert row is not None
    return int(row[0])


def newest_published(pipeline: Pipeline) -> int:
    return max(published_positions(pipeline), default=0)


def published_positions(pipeline: Pipeline) -> set[int]:
    """Read the topic to its end, and give the positions of the events in it."""
    topic, positions = pipeline.kafka.order_topic, set[int]()
    settings = {"bootstrap.servers": pipeline.kafka.kafka_bootstrap, "group.id": "reads-all"}
    with closing(Consumer(settings)) as consumer:
        partitions = range(pipeline.kafka.order_partitions)
        consumer.assign([TopicPartition(topic, number, 0) for number in partitions])
        while (message := consumer.poll(QUIET_S)) is not None:
            delivered = read_message(message)
            if delivered.entry is not None:
                positions.add(delivered.position)
    return positions
