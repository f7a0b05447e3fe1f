"""A poisoned event parks its order, and only that; it never stops a partition."""

import asyncio
import contextlib
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import orjson
import psycopg
import pytest
import redis.asyncio
import typer
from confluent_kafka import Producer
from eventsourcing.persistence import StoredEvent

from api.cli.dead_letters import retry
from commands.envelopes import address_events
from commands.ports import Answer, Append, Request, Stream, StreamUnreadableError, Write
from domain.envelope import Actor, Role
from domain.events import DomainEvent
from domain.ids import OrderId, payment_stream
from domain.money import Currency
from domain.payment.events import PaymentAuthorizationRequested, PaymentAuthorized
from infrastructure.event_store import sealing
from infrastructure.event_store.recorder import EventLogRecorder, open_datastore
from infrastructure.event_store.sealing import MasterKeyWrongError
from infrastructure.redis.dead_letters import DeadLetters
from infrastructure.redis.refold import Refolded
from infrastructure.redis.views import RedisOrderViews
from projections.order import payment
from projections.ports import OrderParkedError, OrderQuery
from tests.integration.pipeline.conftest import WAIT_S, Pipeline


@contextlib.contextmanager
def poisoned(
    pipeline: Pipeline, order_id: OrderId, *, healed: str = "order.cancelled.v2", version: int = 2
) -> Iterator[None]:
    """Make the order's second event, or another, one that no version knows; heal it in the end."""
    with psycopg.connect(pipeline.store.postgres_url.get_secret_value(), autocommit=True) as sql:
        change = "UPDATE events SET topic = %s WHERE order_id = %s AND originator_version = %s"
        sql.execute(change, ["order.eaten.v1", order_id, version])
        yield
        sql.execute(change, [healed, order_id, version])


def dead_letters(pipeline: Pipeline) -> DeadLetters:
    return DeadLetters(pipeline.redis, pipeline.kafka.order_partitions)


async def test_a_poisoned_event_parks_its_order_and_stops_no_other(pipeline: Pipeline) -> None:
    bad = await pipeline.place(0)
    await pipeline.cancel(bad.order_id)
    with poisoned(pipeline, bad.order_id), pipeline.relay(), pipeline.projector():
        others = [await pipeline.place(n) for n in range(1, 30)]
        await asyncio.to_thread(pipeline.await_complete, others[-1].position)

        [letter] = dead_letters(pipeline).all()
        assert letter.order_id == bad.order_id
        assert (letter.note.position, letter.note.event_type) == (2, "order.eaten.v1")
        assert all(pipeline.stored(one.order_id) is not None for one in others)
        with pytest.raises(StreamUnreadableError):
            await pipeline.cancel(bad.order_id)
        retried = dead_letters(pipeline).retry(pipeline.reader, [bad.order_id])
        assert retried == {bad.order_id: Refolded.PARKED}

    dead_letters(pipeline).retry(pipeline.reader, [bad.order_id])
    assert list(dead_letters(pipeline).all()) == []
    assert pipeline.assert_views_equal_folds() == 30


async def test_a_parked_order_is_not_shown_as_it_once_was(pipeline: Pipeline) -> None:
    with pipeline.relay(), pipeline.projector():
        bad = await pipeline.place(0)
        await asyncio.to_thread(pipeline.await_complete, bad.position)
    await pipeline.cancel(bad.order_id)
    url = pipeline.views.redis_url.get_secret_value()
    with poisoned(pipeline, bad.order_id), pipeline.relay(), pipeline.projector():
        last = await pipeline.place(1)
        await asyncio.to_thread(pipeline.await_complete, last.position)
        async with redis.asyncio.from_url(url, protocol=3) as client:
            views = RedisOrderViews(
                client,
                pipeline.reader,
                partitions=pipeline.kafka.order_partitions,
                folds_at_once=1,
                folds_waiting=1,
            )
            with pytest.raises(OrderParkedError):
                await views.find(bad.order_id, owner=None, min_position=0, wait_s=0)
            page = await views.list(OrderQuery(None, None, None, 10, None))
            marks = [orjson.loads(body).get("is_out_of_date") for body in page.bodies]
            assert marks == [None, True]


async def test_the_next_event_of_a_healed_order_brings_it_back(pipeline: Pipeline) -> None:
    bad = await pipeline.place(0)
    await pipeline.cancel(bad.order_id, pieces=1)
    with pipeline.relay(), pipeline.projector():
        with poisoned(pipeline, bad.order_id, healed="order.lines_cancelled.v2"):
            await asyncio.to_thread(pipeline.await_complete, 2)
            assert len(list(dead_letters(pipeline).all())) == 1
        last = await pipeline.cancel(bad.order_id)
        await asyncio.to_thread(pipeline.await_complete, last.position)

    assert list(dead_letters(pipeline).all()) == []
    assert pipeline.assert_views_equal_folds() == 1


async def authorize(pipeline: Pipeline, order_id: OrderId) -> Answer:
    """Have a payment authorized: two events of the order in another stream than its own."""
    request = Request(Actor("payment", Role.PROCESS), "command", "correlation", "test")
    at: Stream[Any] = Stream(payment_stream(order_id), None, 0, 0, bytes(32))
    events: list[DomainEvent] = [
        PaymentAuthorizationRequested(order_id, 1, 510, Currency("GBP"), "sandbox"),
        PaymentAuthorized(order_id, 1, 510, "reference"),
    ]
    addressed = address_events(events, request, pipeline.ports, occurred_at=datetime.now(UTC))
    append = Append([Write(at, addressed, order_id)], request, Answer({}))
    return await pipeline.ports.store.append(append)


async def test_the_next_event_of_another_stream_does_not_bring_back_a_parked_order(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = payment.change

    def unable(body: Any, event: Any, recorded: Any) -> None:
        if isinstance(event, PaymentAuthorized):
            raise KeyError(event)
        real(body, event, recorded)

    with pipeline.relay(), pipeline.projector():
        with monkeypatch.context() as patching:
            patching.setattr(payment, "change", unable)
            bad = await pipeline.place(0)
            await asyncio.to_thread(pipeline.await_complete, bad.position)
            paid = await authorize(pipeline, bad.order_id)
            await asyncio.to_thread(pipeline.await_complete, paid.position)
            parked, letters = pipeline.stored(bad.order_id), list(dead_letters(pipeline).all())
            last = await pipeline.cancel(bad.order_id, pieces=1)
            await asyncio.to_thread(pipeline.await_complete, last.position)

            assert parked is not None
            assert parked.header.parked
            assert [letter.note.position for letter in letters] == [paid.position]
            assert list(dead_letters(pipeline).all()) == letters
            assert pipeline.stored(bad.order_id) == parked
        last = await pipeline.cancel(bad.order_id)
        await asyncio.to_thread(pipeline.await_complete, last.position)

    assert list(dead_letters(pipeline).all()) == []
    assert pipeline.assert_views_equal_folds() == 1


async def test_a_discarded_note_is_gone_and_its_order_is_still_as_it_was(
    pipeline: Pipeline,
) -> None:
    bad = await pipeline.place(0)
    await pipeline.cancel(bad.order_id)
    await pipeline.place(1)
    with poisoned(pipeline, bad.order_id), pipeline.relay(), pipeline.projector():
        await asyncio.to_thread(pipeline.await_complete, 3)
        assert dead_letters(pipeline).find(bad.order_id) is not None
        assert dead_letters(pipeline).discard([bad.order_id]) == 1
        assert dead_letters(pipeline).find(bad.order_id) is None
        retried = dead_letters(pipeline).retry(pipeline.reader, [bad.order_id])
        assert retried == {bad.order_id: Refolded.PARKED}


async def test_a_message_that_is_not_ours_is_passed_over(pipeline: Pipeline) -> None:
    with pipeline.relay(), pipeline.projector():
        placed = await pipeline.place(0)
        await asyncio.to_thread(pipeline.await_complete, placed.position)
        producer = Producer({"bootstrap.servers": pipeline.kafka.kafka_bootstrap})
        for partition in range(pipeline.kafka.order_partitions):
            topic = pipeline.kafka.order_topic
            producer.produce(topic, b"junk", b"junk", partition=partition)
            producer.produce(topic, None, None, partition=partition)
            producer.produce(
                topic,
                b"{}",
                b"not-a-uuid",
                partition=partition,
                headers=[("ce_type", b"order.placed.v2"), ("ce_logposition", b"x")],
            )
        producer.flush(5)
        last = await pipeline.place(1)
        await asyncio.to_thread(pipeline.await_complete, last.position)
    assert pipeline.assert_views_equal_folds() == 2


UNREADABLE = {
    "no JSON": b"\x00\xff\x00",
    "none of an event": b'{"event_id":5}',
    "no UTF-8 in a text": b'{"correlation_id":"\xff"}',
    "nothing": b"",
    "nested": b'{"more":' + b"[" * 20_000 + b"]" * 20_000 + b"}",
}


@pytest.mark.parametrize("state", UNREADABLE.values(), ids=UNREADABLE)
async def test_an_event_whose_bytes_can_not_be_read_parks_its_order_and_stops_no_other(
    pipeline: Pipeline, state: bytes
) -> None:
    bad = await pipeline.place(0)
    last = (await pipeline.cancel(bad.order_id)).position
    with psycopg.connect(pipeline.store.postgres_url.get_secret_value(), autocommit=True) as sql:
        sql.execute("UPDATE events SET state = %s WHERE notification_id = %s", [state, last])
    with pipeline.relay(), pipeline.projector():
        others = [await pipeline.place(n) for n in range(1, 10)]
        await asyncio.to_thread(pipeline.await_complete, others[-1].position)
    [letter] = dead_letters(pipeline).all()
    assert (letter.order_id, letter.note.position) == (bad.order_id, last)
    assert all(pipeline.stored(one.order_id) is not None for one in others)


async def test_a_damaged_key_parks_its_customers_orders_and_stops_no_other(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = await pipeline.place(0)
    others = [await pipeline.place(1)]
    damage_key(pipeline, "c-0")
    with pipeline.relay(), pipeline.projector():
        await asyncio.to_thread(pipeline.await_complete, others[-1].position)
    [letter] = dead_letters(pipeline).all()
    assert (letter.order_id, letter.note.reason) == (bad.order_id, "KeyDamagedError")
    assert all(pipeline.stored(one.order_id) is not None for one in others)
    monkeypatch.setattr(sealing, "ASKED_AGAIN_S", -1.0)
    with pytest.raises(StreamUnreadableError):
        await pipeline.cancel(bad.order_id)
    await pipeline.cancel(others[0].order_id)


async def test_a_customer_that_no_key_can_be_asked_for_parks_their_order_only(
    pipeline: Pipeline,
) -> None:
    bad, other = await pipeline.place(0), await pipeline.place(1)
    sealed = '"sealed":{"customer_id":"c-0'
    with psycopg.connect(pipeline.store.postgres_url.get_secret_value()) as sql:
        sql.execute(
            "UPDATE events SET state = convert_to("
            " replace(convert_from(state, 'UTF8'), %s, %s), 'UTF8') WHERE notification_id = %s",
            [sealed, sealed + "\\u0000", bad.position],
        )
    with pipeline.relay(), pipeline.projector():
        await asyncio.to_thread(pipeline.await_complete, other.position)
    [letter] = dead_letters(pipeline).all()
    assert (letter.order_id, letter.note.reason) == (bad.order_id, "KeyMissingError")


async def test_who_tries_some_again_is_told_of_the_others(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pipeline.give_to(monkeypatch)
    one, two = await pipeline.place(0), await pipeline.place(1)
    last = [await pipeline.cancel(order.order_id) for order in (one, two)][-1]
    bad = poisoned(pipeline, one.order_id), poisoned(pipeline, two.order_id)
    with bad[0], bad[1], pipeline.relay(), pipeline.projector():
        await asyncio.to_thread(pipeline.await_complete, last.position)
    with pytest.raises(typer.Exit):
        await asyncio.to_thread(retry, most=1)
    told = capsys.readouterr().out
    assert "1 orders are whole again, 0 are not\n1 more are parked" in told
    await asyncio.to_thread(retry, most=1)
    assert list(dead_letters(pipeline).all()) == []


async def test_with_a_wrong_master_key_nothing_is_parked(pipeline: Pipeline) -> None:
    """Nothing is wrong with any order, and each one would be looked at by people."""
    for number in range(3):
        await pipeline.place(number)
        damage_key(pipeline, f"c-{number}")
    with pipeline.relay(), pipeline.projector():
        until = time.monotonic() + WAIT_S
        while sum(isinstance(one, MasterKeyWrongError) for one in pipeline.faults) < 3:
            assert time.monotonic() < until, pipeline.faults
            await asyncio.sleep(0.02)
    assert list(dead_letters(pipeline).all()) == []


def damage_key(pipeline: Pipeline, customer: str) -> None:
    with psycopg.connect(pipeline.store.postgres_url.get_secret_value()) as sql:
        sql.execute(
            "UPDATE customer_keys SET wrapped_key = set_byte(wrapped_key, 20,"
            " get_byte(wrapped_key, 20) # 1) WHERE customer_id = %s",
            [customer],
        )


async def test_an_event_of_no_order_stops_no_order(pipeline: Pipeline) -> None:
    first = await pipeline.place(0)
    url = pipeline.store.postgres_url.get_secret_value()
    with closing(open_datastore(url, pool_size=1, connect_timeout_s=5)) as datastore:
        EventLogRecorder(datastore).insert_events([StoredEvent("thing-1", 1, "thing.v1", b"{}")])
    with pipeline.relay(), pipeline.projector():
        last = await pipeline.place(1)
        assert last.position == first.position + 2
        await asyncio.to_thread(pipeline.await_complete, last.position)
    assert pipeline.stored(last.order_id) is not None


async def test_an_event_in_another_orders_stream_parks_that_order_only(pipeline: Pipeline) -> None:
    """A second beginning, with the bytes of another order: it can't be where it is."""
    bad, other = await pipeline.place(0), await pipeline.place(1)
    url = pipeline.store.postgres_url.get_secret_value()
    with psycopg.connect(url, autocommit=True) as sql:
        sql.execute(
            "INSERT INTO events SELECT 'order-' || %s, 2, topic, state, 3, now(), %s"
            " FROM events WHERE order_id = %s",
            [str(bad.order_id), bad.order_id, other.order_id],
        )
    with pipeline.relay(), pipeline.projector():
        others = [await pipeline.place(n) for n in range(2, 12)]
        await asyncio.to_thread(pipeline.await_complete, others[-1].position)
    assert [letter.order_id for letter in dead_letters(pipeline).all()] == [bad.order_id]
    assert all(pipeline.stored(one.order_id) is not None for one in (other, *others))
