"""The event store on a real PostgreSQL: all or nothing, once, and in one order."""

import asyncio
import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import UUID

import psycopg
import pytest

from commands.order.cancel import CancelOrder, cancel_order
from commands.order.place import PlaceOrder, place_order
from commands.ports import Answer, Ports, Request
from domain.envelope import Actor, Role
from domain.errors import DomainError
from domain.ids import CustomerId, OrderNumber, Sku, order_stream
from domain.money import Currency
from domain.order.decisions import LineToCancel
from domain.order.events import OrderLine, PaymentMethod
from domain.order.state import ORDER
from domain.personal import Address, PersonalData
from infrastructure.composition import RandomNames, SystemClock
from infrastructure.event_store.mapper import event_hash
from infrastructure.event_store.order_reader import OrderReader, UnreadableEventError
from infrastructure.event_store.recorder import open_datastore
from infrastructure.event_store.sealing import DataKeys
from infrastructure.event_store.store import PostgresEventStore, open_event_store

MASTER_KEY = os.urandom(32)
EMAIL = "ada@example.com"


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[PostgresEventStore]:
    async with open_event_store(database_url, MASTER_KEY, pool_size=4, pool_timeout_s=5) as opened:
        yield opened


@pytest.fixture
def ports(store: PostgresEventStore) -> Ports:
    return Ports(store, SystemClock(), RandomNames())


def request(key: str | None = None, *, body: bytes = b"body", subject: str = "shop") -> Request:
    return Request(
        actor=Actor(subject, Role.SERVICE),
        command_id="command",
        correlation_id="correlation",
        route="POST /v1/orders",
        idempotency_key=key,
        fingerprint=body,
    )


def order(*, reference: str | None = None, customer: str = "c-1", quantity: int = 2) -> PlaceOrder:
    return PlaceOrder(
        customer_id=CustomerId(customer),
        external_reference=reference,
        personal=PersonalData("Ada Byron", EMAIL, shipping_address=Address("GB")),
        currency=Currency("GBP"),
        lines=[OrderLine(1, Sku("85123A"), "White heart", quantity, 255)],
        shipping_minor=499,
        tax_minor=0,
        discount_minor=0,
        payment=PaymentMethod.TOKEN,
    )


def reader(database_url: str) -> OrderReader:
    open_it = partial(open_datastore, database_url, pool_size=1, connect_timeout_s=5)
    return OrderReader(open_it, DataKeys(MASTER_KEY))


def query(database_url: str, text: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(database_url) as connection:
        return connection.execute(text).fetchall()


async def test_an_order_is_read_back_as_it_was_placed(ports: Ports, database_url: str) -> None:
    answer = await place_order(order(reference="536365"), request("k1"), ports)

    assert (answer.version, answer.position, answer.status) == (1, 1, "pending")
    [recorded] = reader(database_url).events(answer.order_id)
    assert recorded.event.personal.email == EMAIL  # type: ignore[union-attr]
    assert recorded.type == "order.placed.v2"
    assert recorded.envelope.actor == Actor("shop", Role.SERVICE)


async def test_positions_have_no_gaps_and_rise_with_time(ports: Ports, database_url: str) -> None:
    await asyncio.gather(
        *(place_order(order(customer=f"c-{n}"), request(f"k{n}"), ports) for n in range(300))
    )

    rows = query(database_url, "SELECT notification_id, recorded_at FROM events ORDER BY 1")
    assert [row[0] for row in rows] == list(range(1, 301))
    assert [row[1] for row in rows] == sorted(row[1] for row in rows)


async def test_two_processes_append_without_gaps_or_losses(database_url: str) -> None:
    async def place_many(name: str) -> list[Answer]:
        async with open_event_store(
            database_url, MASTER_KEY, pool_size=4, pool_timeout_s=5
        ) as opened:
            ports = Ports(opened, SystemClock(), RandomNames())
            return await asyncio.gather(
                *(
                    # Both know nobody: they make the same customers' keys at the same time.
                    place_order(order(customer=f"c-{n}"), request(f"{name}{n}"), ports)
                    for n in range(100)
                )
            )

    first, second = await asyncio.gather(place_many("a"), place_many("b"))

    positions = sorted(answer.position for answer in first + second)
    assert positions == list(range(1, 201))
    read = reader(database_url)
    for answer in first + second:
        [recorded] = read.events(answer.order_id)
        assert recorded.event.personal.email == EMAIL  # type: ignore[union-attr]


async def test_the_same_key_and_body_give_the_first_answer_again(ports: Ports) -> None:
    answers = await asyncio.gather(*(place_order(order(), request("k"), ports) for _ in range(20)))
    again = await place_order(order(), request("k"), ports)

    assert len({answer.order_id for answer in [*answers, again]}) == 1
    assert [answer.replayed for answer in answers].count(False) == 1
    assert again.replayed
    assert again.position == 1


async def test_the_same_key_with_another_body_is_refused(ports: Ports) -> None:
    await place_order(order(), request("k", body=b"one"), ports)

    with pytest.raises(DomainError) as refused:
        await place_order(order(), request("k", body=b"two"), ports)
    assert refused.value.code == "idempotency_key_reused"


async def test_a_key_belongs_to_its_caller(ports: Ports) -> None:
    one = await place_order(order(), request("k", subject="shop"), ports)
    other = await place_order(order(), request("k", subject="market"), ports)

    assert one.order_id != other.order_id


async def test_an_external_reference_is_unique_per_client(ports: Ports) -> None:
    first = await place_order(order(reference="536365"), request("k1"), ports)
    await place_order(order(reference="536365"), request("k2", subject="market"), ports)

    with pytest.raises(DomainError) as refused:
        await place_order(order(reference="536365"), request("k3"), ports)
    assert refused.value.code == "external_reference_taken"
    assert refused.value.extra == {"order_id": str(first.order_id)}


async def test_a_refused_order_leaves_nothing_behind(ports: Ports, database_url: str) -> None:
    await place_order(order(reference="536365"), request("k1"), ports)
    with pytest.raises(DomainError):
        await place_order(order(reference="536365", customer="new"), request("k2"), ports)

    assert query(database_url, "SELECT count(*) FROM events") == [(1,)]
    assert query(database_url, "SELECT key FROM answers") == [("k1",)]
    assert query(database_url, "SELECT customer_id FROM customer_keys") == [("c-1",)]


async def test_a_taken_order_number_is_drawn_again(store: PostgresEventStore) -> None:
    class Draws(RandomNames):
        numbers = iter(["AAAA-AAAA", "AAAA-AAAA", "BBBB-BBBB"])

        def draw_order_number(self) -> OrderNumber:
            return OrderNumber(next(self.numbers))

    ports = Ports(store, SystemClock(), Draws())
    await place_order(order(), request("k1"), ports)
    second = await place_order(order(), request("k2"), ports)

    assert second.order_number == "BBBB-BBBB"


async def test_of_cancellations_that_race_exactly_one_wins(ports: Ports, database_url: str) -> None:
    placed = await place_order(order(), request("k"), ports)
    cancel = CancelOrder(placed.order_id, reason="changed my mind")

    outcomes = await asyncio.gather(
        *(cancel_order(cancel, request(), ports) for _ in range(20)), return_exceptions=True
    )

    won = [one for one in outcomes if isinstance(one, Answer)]
    lost = [one for one in outcomes if isinstance(one, DomainError)]
    assert (len(won), len(lost)) == (1, 19)
    assert {one.code for one in lost} == {"illegal_transition"}
    assert query(database_url, "SELECT count(*) FROM events") == [(2,)]


async def test_a_repeated_cancellation_gives_the_first_answer(ports: Ports) -> None:
    placed = await place_order(order(), request("k"), ports)
    cancel = CancelOrder(placed.order_id, reason="changed my mind")

    first = await cancel_order(cancel, request("c"), ports)
    again = await cancel_order(cancel, request("c"), ports)

    assert first.position == again.position == 2
    assert again.replayed


async def test_personal_data_is_nowhere_in_the_tables(ports: Ports, database_url: str) -> None:
    await place_order(order(), request("k"), ports)

    for table in ("events", "answers", "unique_names", "customer_keys"):
        for [row] in query(database_url, f"SELECT encode(t::text::bytea, 'escape') FROM {table} t"):
            assert EMAIL not in row
            assert EMAIL.encode().hex() not in row
    [[state]] = query(database_url, "SELECT state FROM events")
    assert EMAIL.encode() not in state


async def test_what_is_kept_of_a_request_confirms_no_guess_at_its_content(
    ports: Ports, database_url: str
) -> None:
    """Neither the hash of a body, nor samples of the keys in the planner's statistics."""
    await asyncio.gather(
        *(place_order(order(customer=f"c-{n}"), request(f"k{n}"), ports) for n in range(50))
    )
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("ANALYZE customer_keys")
        stats = "SELECT attname FROM pg_stats WHERE tablename = 'customer_keys'"
        sampled = {row[0] for row in connection.execute(stats)}
    assert sampled
    assert "wrapped_key" not in sampled
    stored = query(database_url, "SELECT fingerprint FROM answers")
    assert request().fingerprint not in {bytes(row[0]) for row in stored}


async def test_each_event_holds_the_hash_of_the_one_before(
    ports: Ports, store: PostgresEventStore, database_url: str
) -> None:
    placed = await place_order(order(), request("k"), ports)
    await cancel_order(CancelOrder(placed.order_id, reason="x"), request(), ports)

    rows = query(
        database_url,
        "SELECT originator_id, originator_version, topic, state FROM events ORDER BY 2",
    )
    first = event_hash(rows[0][0], rows[0][1], rows[0][2], bytes(rows[0][3]))
    assert first.hex().encode() in bytes(rows[1][3])
    loaded = await store.load(order_stream(placed.order_id), ORDER)
    assert loaded.last_hash == event_hash(rows[1][0], rows[1][1], rows[1][2], bytes(rows[1][3]))


async def test_an_order_with_events_of_an_old_version_goes_on(
    ports: Ports, database_url: str
) -> None:
    placed = await place_order(order(quantity=2), request("k"), ports)
    one = [LineToCancel(Sku("85123A"), 1)]
    await cancel_order(CancelOrder(placed.order_id, reason="x", lines=one), request(), ports)
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "UPDATE events SET topic = 'order.lines_cancelled.v1',"
            " state = replace(convert_from(state, 'UTF8'), ',\"reason_code\":\"other\"', '')::bytea"
            " WHERE originator_version = 2"
        )
    [(state,)] = query(database_url, "SELECT state FROM events WHERE originator_version = 2")
    assert b"reason_code" not in state

    last = await cancel_order(CancelOrder(placed.order_id, reason="y", lines=one), request(), ports)
    assert (last.version, last.status) == (4, "cancelled")
    read = reader(database_url).events(placed.order_id)
    assert [recorded.type.rpartition(".")[2] for recorded in read] == ["v2", "v1", "v2", "v2"]
    document = reader(database_url).fold(placed.order_id)
    assert document is not None
    assert document.body["lines"][0]["cancelled"] == 2


async def test_a_box_opens_only_for_its_own_event(ports: Ports, database_url: str) -> None:
    placed = await place_order(order(), request("k"), ports)
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "UPDATE events SET state = regexp_replace(convert_from(state, 'UTF8'),"
            ' \'"event_id":"[^"]+"\', %s)::bytea',
            [f'"event_id":"{UUID(int=7)}"'],
        )

    with pytest.raises(UnreadableEventError, match="InvalidTag"):
        reader(database_url).events(placed.order_id)


async def test_business_time_may_lie_before_recording_but_not_after(ports: Ports) -> None:
    past = PlaceOrder(**{**_fields(order()), "placed_at": datetime(2010, 12, 1, tzinfo=UTC)})
    future = PlaceOrder(**{**_fields(order()), "placed_at": datetime(2999, 1, 1, tzinfo=UTC)})

    await place_order(past, request("k1"), ports)
    with pytest.raises(DomainError) as refused:
        await place_order(future, request("k2"), ports)
    assert refused.value.code == "placed_in_the_future"


def _fields(command: PlaceOrder) -> dict[str, Any]:
    return {name: getattr(command, name) for name in command.__slots__}
