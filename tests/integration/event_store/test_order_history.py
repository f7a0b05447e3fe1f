"""The past from a real event store: the bytes that the view had then, by the database's clock."""

import asyncio
import base64
from collections.abc import Awaitable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from typer.testing import CliRunner

from api.cli.main import app
from commands.order.cancel import CancelOrder, cancel_order
from commands.order.place import place_order
from commands.ports import Ports
from domain.errors import DomainError
from domain.ids import OrderId, Sku
from domain.order.decisions import LineToCancel
from infrastructure.event_store.order_history import EventStoreOrderHistory
from infrastructure.redis import stored_document
from projections.ports import OrderParkedError, TooManyFoldsError
from tests.integration.event_store.test_event_store import (
    MASTER_KEY,
    order,
    ports,
    reader,
    request,
    store,
)

__all__ = ["ports", "store"]  # fixtures that this module uses too


@pytest.fixture
def history(database_url: str) -> EventStoreOrderHistory:
    return EventStoreOrderHistory(reader(database_url), at_once=2, waiting=0)


async def lived(ports: Ports, database_url: str) -> tuple[OrderId, list[bytes]]:
    """Let an order live through three events, with others between; give its bytes at each."""
    read = reader(database_url)
    seen: list[bytes] = []

    def see() -> None:
        document = read.fold(placed.order_id)
        assert document is not None
        seen.append(stored_document.body_bytes(document))

    placed = await place_order(order(quantity=3), request("k"), ports)
    see()
    for number in range(2):
        await place_order(order(), request(f"between{number}"), ports)
        lines = [LineToCancel(Sku("85123A"), 1)]
        command = CancelOrder(placed.order_id, reason="damaged", lines=lines)
        await cancel_order(command, request(), ports)
        see()
    return placed.order_id, seen


async def test_an_order_is_shown_as_the_view_was_at_each_time_and_position(
    ports: Ports,
    database_url: str,
    history: EventStoreOrderHistory,
) -> None:
    order_id, seen = await lived(ports, database_url)
    page = await history.history(order_id, show_personal=True, after=0, limit=100)
    assert page is not None
    assert [item.position for item in page.items] == [1, 3, 5]
    for item, body in zip(page.items, seen, strict=True):
        for point in (item.recorded_at, item.position):
            view = await history.as_of(order_id, point, show_personal=True)
            assert view is not None
            assert (view.body, view.position) == (body, item.position)
        just_before = item.recorded_at - timedelta(microseconds=1)
        earlier = await history.as_of(order_id, just_before, show_personal=True)
        assert earlier is None or earlier.position < item.position
    between = await history.as_of(order_id, 4, show_personal=True)
    assert between is not None
    assert between.body == seen[1]


async def test_what_the_database_has_not_come_to_is_refused(
    ports: Ports,
    database_url: str,
    history: EventStoreOrderHistory,
) -> None:
    order_id, _ = await lived(ports, database_url)
    soon = datetime.now(UTC) + timedelta(minutes=5)
    for point in (6, soon):
        with pytest.raises(DomainError, match="has not come") as refused:
            await history.as_of(order_id, point, show_personal=False)
        assert refused.value.code == "not_recorded_yet"
        with pytest.raises(DomainError, match="has not come"):
            await history.difference(order_id, 1, point, show_personal=False)
        with pytest.raises(DomainError, match="has not come"):
            await history.difference(order_id, point, None, show_personal=False)
    assert await history.as_of(order_id, 0, show_personal=True) is None


async def test_who_may_see_no_personal_data_needs_no_key_for_the_past(
    ports: Ports,
    database_url: str,
    history: EventStoreOrderHistory,
) -> None:
    order_id, _ = await lived(ports, database_url)
    shown = await history.as_of(order_id, 1, show_personal=True)
    masked = await history.as_of(order_id, 1, show_personal=False)
    assert shown is not None
    assert masked is not None
    assert b"Ada Byron" in shown.body
    assert b"Ada Byron" not in masked.body
    difference = await history.difference(order_id, 0, 1, show_personal=False)
    assert difference is not None
    assert "Ada Byron" not in repr(difference)


async def test_no_more_than_so_many_read_the_past_at_once(
    ports: Ports,
    database_url: str,
    history: EventStoreOrderHistory,
) -> None:
    order_id, _ = await lived(ports, database_url)
    reads = [history.as_of(order_id, 1, show_personal=False) for _ in range(9)]
    outcomes = await asyncio.gather(*reads, return_exceptions=True)
    refused = [one for one in outcomes if isinstance(one, TooManyFoldsError)]
    assert len(refused) == 7
    assert await history.as_of(order_id, 1, show_personal=False) is not None


DAMAGED = {
    "an event is deleted": ("DELETE FROM events WHERE notification_id = 3", 5, "GapError"),
    "the first event is deleted": ("DELETE FROM events WHERE notification_id = 1", 3, "GapError"),
    "another order's event is among them": (
        "UPDATE events SET order_id = %(order_id)s WHERE notification_id = 2",
        2,
        "MisplacedError",
    ),
}
"""What somebody does in SQL to an order of positions 1, 3, 5, and where its fold fails, and how."""


@pytest.mark.parametrize("damage", DAMAGED)
async def test_of_a_damaged_order_is_told_which_event_fails_and_what_was_before_it(
    ports: Ports, database_url: str, history: EventStoreOrderHistory, damage: str
) -> None:
    order_id, seen = await lived(ports, database_url)
    statement, position, why = DAMAGED[damage]
    with psycopg.connect(database_url) as connection:
        connection.execute(statement, {"order_id": order_id})
    asked: list[Awaitable[object]] = [
        history.history(order_id, show_personal=False, after=0, limit=100),
        history.history(order_id, show_personal=True, after=position, limit=1),
        history.as_of(order_id, None, show_personal=False),
        history.difference(order_id, 0, None, show_personal=False),
    ]
    for one in asked:
        with pytest.raises(OrderParkedError, match=f" at position {position}: {why}"):
            await one
    before = await history.as_of(order_id, position - 1, show_personal=True)
    assert (before and before.body) == (seen[0] if position != 3 else None)


@pytest.mark.parametrize("damage", DAMAGED)
async def test_the_command_shows_of_a_damaged_order_what_can_be_read_and_names_the_rest(
    ports: Ports,
    database_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    damage: str,
) -> None:
    order_id, _ = await lived(ports, database_url)
    statement, position, why = DAMAGED[damage]
    with psycopg.connect(database_url) as connection:
        connection.execute(statement, {"order_id": order_id})
    master = tmp_path / "master.key"
    master.write_text(base64.b64encode(MASTER_KEY).decode())
    monkeypatch.setenv("ORDERTRAIL_POSTGRES_URL", database_url)
    monkeypatch.setenv("ORDERTRAIL_MASTER_KEY_FILE", str(master))
    told = CliRunner().invoke(app, ["history", str(order_id), "--json"])
    assert told.exit_code == 1
    assert len(told.stdout.splitlines()) == (1 if position != 3 else 0)
    assert f"at position {position}: {why}; see " in told.stderr
    assert "`audit verify --full`" in told.stderr
