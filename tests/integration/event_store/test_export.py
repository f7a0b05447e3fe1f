"""Exports from a real log: exactly what was asked for, in its order, some rows at a time."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import psycopg
import pytest
from psycopg.rows import DictRow, dict_row

from commands.order.cancel import CancelOrder, cancel_order
from commands.order.place import place_order
from commands.ports import Ports
from domain.ids import CustomerId
from infrastructure.event_store import export
from infrastructure.event_store.customers import Customers
from infrastructure.event_store.export import Selection, read_selected
from tests.integration.event_store.test_event_store import order, ports, request, store

__all__ = ["ports", "store"]  # fixtures that this module uses too

Positions = Callable[[Selection], list[int]]


@contextmanager
def connected(database_url: str) -> Iterator[psycopg.Connection[DictRow]]:
    with psycopg.connect(database_url, autocommit=True, row_factory=dict_row) as connection:
        yield connection


@pytest.fixture
def positions(database_url: str) -> Positions:
    """Give what reads the positions of a selection."""

    def read(selection: Selection) -> list[int]:
        with connected(database_url) as connection:
            chunks = list(read_selected(connection, selection))
        assert all(len(chunk.entries) <= export.ROWS_AT_ONCE for chunk in chunks)
        return [entry.position for chunk in chunks for entry in chunk.entries]

    return read


async def test_each_filter_lets_through_what_it_says(
    ports: Ports,
    database_url: str,
    positions: Positions,
) -> None:
    first = await place_order(order(customer="c-1"), request("a"), ports)
    second = await place_order(order(customer="c-10"), request("b", subject="c-1"), ports)
    await cancel_order(CancelOrder(first.order_id, reason='"subject":"other"'), request(), ports)
    assert positions(Selection()) == [1, 2, 3]
    assert positions(Selection(orders=[first.order_id])) == [1, 3]
    assert positions(Selection(orders=[])) == []
    assert positions(Selection(actor="shop")) == [1, 3]
    assert positions(Selection(actor="other")) == []
    assert positions(Selection(actor="sho")) == []
    assert positions(Selection(actor="c-1", orders=[first.order_id])) == []
    with connected(database_url) as connection:
        customers = Customers(connection)
        assert customers.orders(CustomerId("c-1")) == [first.order_id]
        assert customers.orders(CustomerId("c-10")) == [second.order_id]
        assert customers.count_events([first.order_id]) == 2
        assert customers.orders(CustomerId("c")) == []


async def test_times_cut_the_log_at_its_recorded_times(
    ports: Ports,
    database_url: str,
    positions: Positions,
) -> None:
    for number in range(9):
        await place_order(order(), request(f"k{number}"), ports)
    with connected(database_url) as connection:
        rows = connection.execute("SELECT recorded_at FROM events ORDER BY notification_id")
        times: list[datetime] = [row["recorded_at"] for row in rows]
    for index, time in enumerate(times):
        since, before = positions(Selection(since=time)), positions(Selection(before=time))
        assert since == [n + 1 for n, other in enumerate(times) if other >= time]
        assert before == [n + 1 for n, other in enumerate(times) if other < time]
        assert positions(Selection(since=time, before=times[-1])) == [
            n + 1 for n, other in enumerate(times) if time <= other < times[-1]
        ], index


async def test_a_long_log_comes_in_chunks_and_as_it_was_at_the_beginning(
    ports: Ports,
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(export, "ROWS_AT_ONCE", 4)
    for number in range(9):
        await place_order(order(), request(f"k{number}"), ports)
    sizes: list[Any] = []
    with connected(database_url) as connection:
        for chunk in read_selected(connection, Selection()):
            sizes.append(len(chunk.entries))
            assert (chunk.first, chunk.last) == (1, 9)
            await place_order(order(), request(f"later{len(sizes)}"), ports)
    assert sizes == [4, 4, 1]


def test_an_empty_log_exports_nothing(positions: Positions) -> None:
    assert positions(Selection()) == []
    now = datetime.fromisoformat("2026-11-25T00:00:00+00:00")
    assert positions(Selection(since=now, before=now)) == []
