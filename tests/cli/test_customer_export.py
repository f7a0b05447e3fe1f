"""A customer's export: an order that can't be read is named, and holds back no other."""

import json
from collections.abc import Sequence
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import pytest
import typer
from typer.testing import CliRunner

from api.cli import customer_export
from api.cli.customer_export import document
from domain.envelope import Recorded
from domain.errors import UnavailableError
from domain.events import DomainEvent
from domain.ids import CustomerId, OrderId, StreamId
from infrastructure.event_store.customers import Customer
from infrastructure.event_store.mapper import LogEntry
from infrastructure.event_store.order_reader import OrderReader, UnreadableEventError
from tests.projections.test_order_document import ORDER_ID, RECORDED

EVE = Customer(CustomerId("c-1"), None)
DAMAGED, GAP, AWAY = (OrderId(UUID(int=number)) for number in (7, 8, 9))
ENTRY = LogEntry(
    5, StreamId("order-7"), 2, "order.eaten.v1", b"{", datetime(2026, 11, 25, tzinfo=UTC), DAMAGED
)


class Reader:
    """Reads one order; of the others one has an event of no known type, and one lacks one."""

    def events(self, order_id: OrderId) -> Sequence[Recorded[DomainEvent]]:
        if order_id == DAMAGED:
            raise UnreadableEventError(ENTRY, KeyError("a secret"))
        if order_id == AWAY:
            raise UnavailableError("postgres", "gone")
        return [RECORDED[0], *RECORDED[2:]] if order_id == GAP else RECORDED


def exported(orders: Sequence[OrderId]) -> tuple[dict[str, Any], dict[OrderId, str]]:
    missing: dict[OrderId, str] = {}
    pieces = document(EVE, orders, cast("OrderReader", Reader()), missing)
    return json.loads(b"".join(pieces)), missing


def test_an_order_that_can_not_be_read_is_named_and_the_others_are_given() -> None:
    given, missing = exported([DAMAGED, ORDER_ID, GAP, ORDER_ID])
    why = "order.eaten.v1 at position 5: KeyError"
    assert missing == {DAMAGED: why, GAP: "GapError"}
    assert [one["document"]["order_id"] for one in given["orders"]] == [str(ORDER_ID)] * 2
    assert given["missing"] == [
        {"order_id": str(DAMAGED), "why": why},
        {"order_id": str(GAP), "why": "GapError"},
    ]


def test_an_export_of_all_says_that_nothing_is_missing() -> None:
    given, _ = exported([ORDER_ID])
    assert given["missing"] == []


def test_without_the_event_store_there_is_no_export() -> None:
    with pytest.raises(UnavailableError):
        exported([ORDER_ID, AWAY])


def test_the_command_writes_what_there_is_and_says_that_it_is_not_all(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    customers = SimpleNamespace(find=lambda _: EVE, orders=lambda _: [ORDER_ID, DAMAGED])
    url = SimpleNamespace(get_secret_value=lambda: "")
    monkeypatch.setattr(customer_export, "load_environment", lambda: None)
    monkeypatch.setattr(customer_export, "connected", lambda _: nullcontext())
    monkeypatch.setattr("infrastructure.event_store.customers.Customers", lambda _: customers)
    monkeypatch.setattr(
        "infrastructure.settings.StoreSettings", lambda: SimpleNamespace(postgres_url=url)
    )
    monkeypatch.setattr(
        "infrastructure.composition.order_reader", lambda _store, **_keywords: Reader()
    )
    app = typer.Typer()
    customer_export.register(app)
    file = tmp_path / "eve.json"
    done = CliRunner().invoke(app, ["c-1", "--output", str(file)])
    assert done.exit_code == 1
    assert "1 orders exported" in done.stderr
    assert f"{DAMAGED}: order.eaten.v1 at position 5: KeyError" in done.stderr
    assert len(json.loads(file.read_bytes())["orders"]) == 1
