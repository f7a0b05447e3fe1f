"""The order's document: folded from its events, the same however they arrive."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from domain.envelope import Actor, Envelope, Recorded, Role
from domain.events import DomainEvent
from domain.ids import ClientId, CustomerId, OrderId, OrderNumber, Sku, StreamId
from domain.money import Currency
from domain.order.events import (
    CancelledLine,
    CancelReason,
    OrderCancelled,
    OrderEvent,
    OrderLine,
    OrderLinesCancelled,
    OrderPersonalDataForgotten,
    OrderPlaced,
    PaymentMethod,
)
from domain.personal import FORGOTTEN, Address, PersonalData
from infrastructure.redis import script_arguments, shard_keys, stored_document
from projections.order.body import timestamp
from projections.order.document import GapError, OrderDocument, fold, project
from projections.order.lists import list_name, lists_of, sort_key

ORDER_ID = OrderId(UUID(int=1))
PLACED_AT = datetime(2010, 12, 1, 8, 26, tzinfo=UTC)


def placed(
    *,
    customer: str = "c-1",
    reference: str | None = None,
    payment: PaymentMethod = PaymentMethod.TOKEN,
) -> OrderPlaced:
    return OrderPlaced(
        order_id=ORDER_ID,
        order_number=OrderNumber("7K3M-92QX"),
        client_id=ClientId("shop"),
        external_reference=reference,
        customer_id=CustomerId(customer),
        personal=PersonalData(name="Ada", payment_token="tok_visa"),
        currency=Currency("GBP"),
        lines=(OrderLine(1, Sku("A"), "a", 3, 100), OrderLine(2, Sku("B"), "b", 1, 50)),
        shipping_minor=20,
        tax_minor=10,
        discount_minor=5,
        total_minor=375,
        payment=payment,
        fulfilled_here=False,
    )


HISTORY: tuple[OrderEvent, ...] = (
    placed(),
    OrderLinesCancelled(
        ORDER_ID, (CancelledLine(1, Sku("A"), 2),), "damaged", CancelReason.INVENTORY
    ),
    OrderCancelled(ORDER_ID, "changed my mind", CancelReason.CUSTOMER),
)


def recorded(version: int, event: OrderEvent) -> Recorded[DomainEvent]:
    return Recorded(
        position=version * 10,
        stream=StreamId(f"order-{ORDER_ID}"),
        version=version,
        type="t",
        order_id=ORDER_ID,
        recorded_at=datetime(2026, 1, 1, tzinfo=UTC),
        envelope=Envelope(
            UUID(int=version),
            PLACED_AT + timedelta(hours=version),
            Actor("s", Role.SERVICE),
            "",
            "",
            "",
        ),
        event=event,
    )


RECORDED = [recorded(version, event) for version, event in enumerate(HISTORY, 1)]


def folded(events: list[Recorded[DomainEvent]]) -> OrderDocument:
    document = fold(events)
    assert document is not None
    return document


def test_a_placed_order_shows_its_money_and_its_four_statuses() -> None:
    body = folded(RECORDED[:1]).body
    assert body["money"] == {
        "subtotal_minor": 350,
        "shipping_minor": 20,
        "tax_minor": 10,
        "discount_minor": 5,
        "total_minor": 375,
        "cancelled_minor": 0,
    }
    axes = ("status", "payment_status", "fulfillment_status", "return_status")
    assert [body[axis] for axis in axes] == ["pending", "none", "unfulfilled", "none"]
    assert (body["version"], body["position"]) == (1, 10)


def test_an_order_that_was_settled_elsewhere_is_paid() -> None:
    event = placed(payment=PaymentMethod.SETTLED_ELSEWHERE)
    assert folded([recorded(1, event)]).body["payment_status"] == "paid"


def test_no_document_holds_the_payment_token() -> None:
    assert b"tok_visa" not in stored_document.encode(folded(RECORDED))[0]


def test_cancelled_pieces_are_counted_once() -> None:
    some, everything = folded(RECORDED[:2]).body, folded(RECORDED).body
    assert [line["cancelled"] for line in some["lines"]] == [2, 0]
    assert some["money"]["cancelled_minor"] == 200
    assert [line["cancelled"] for line in everything["lines"]] == [3, 1]
    assert everything["money"]["cancelled_minor"] == 350
    assert everything["status"] == "cancelled"


@pytest.mark.parametrize("personal", [PersonalData("Ada", "a@b", "+44", Address("GB")), FORGOTTEN])
def test_a_forgotten_order_is_the_same_bytes_whether_or_not_the_key_was_still_known(
    personal: PersonalData,
) -> None:
    event = replace(placed(), personal=personal)
    document = folded([recorded(1, event), recorded(2, OrderPersonalDataForgotten(ORDER_ID))])
    expected = {"id": "c-1", "name": "[forgotten]", "email": None, "phone": None}
    assert document.body["customer"] == expected
    assert document.body["shipping_address"] is None
    assert document.body["status"] == "pending"
    for actions in document.body["actions"].values():
        assert "change_address" not in actions
    others = [
        recorded(1, replace(event, personal=FORGOTTEN)),
        recorded(2, OrderPersonalDataForgotten(ORDER_ID)),
    ]
    assert stored_document.encode(document) == stored_document.encode(folded(others))


def test_the_timeline_tells_the_story() -> None:
    assert [step["text"] for step in folded(RECORDED).body["timeline"]] == [
        "Order placed",
        "2 pieces cancelled: damaged",
        "Order cancelled: changed my mind",
    ]


@given(st.lists(st.integers(0, 2), max_size=20))
def test_repeats_change_nothing_and_gaps_are_noticed(order: list[int]) -> None:
    document: OrderDocument | None = None
    for index in order:
        before = document
        known = 0 if document is None else len(document.body["timeline"])
        try:
            document = project(document, RECORDED[index])
        except GapError:
            assert index > known
            continue
        if index < known:
            assert document is before
    if document is not None:
        known = len(document.body["timeline"])
        assert stored_document.encode(document) == stored_document.encode(folded(RECORDED[:known]))


@pytest.mark.parametrize("split", [1, 2])
def test_a_document_that_was_stored_and_read_goes_on_as_the_same_bytes(split: int) -> None:
    stored = stored_document.decode(stored_document.encode(folded(RECORDED[:split]))[0])
    document: OrderDocument | None = stored_document.to_document(stored)
    for one in RECORDED[split:]:
        document = project(document, one)
    assert document is not None
    assert stored_document.encode(document) == stored_document.encode(folded(RECORDED))


def test_a_document_stays_as_it_was_when_more_is_folded_over_it() -> None:
    for known in range(1, len(RECORDED)):
        before = folded(RECORDED[:known])
        value, _ = stored_document.encode(before)
        assert project(before, RECORDED[known]) is not before
        assert stored_document.encode(before)[0] == value


def test_no_events_are_no_document() -> None:
    assert fold([]) is None


def test_an_order_stands_in_the_lists_that_queries_ask_for() -> None:
    document = folded([recorded(1, placed(reference="536365"))])
    assert lists_of(document) == [
        "all",
        "customer:c-1",
        "customer:c-1/status:pending",
        "fulfillment:unfulfilled",
        "payment:none",
        "reference:536365",
        "status:pending",
    ]


def test_list_entries_that_stay_are_not_written_again_unless_asked_for() -> None:
    stored = stored_document.decode(stored_document.encode(folded(RECORDED[:1]))[0])

    def joins_and_leaves(events: int, *, relist: bool = False) -> Sequence[str | bytes]:
        return script_arguments.encode_change(1, stored, folded(RECORDED[:events]), relist=relist)[
            6:
        ]

    assert joins_and_leaves(2) == ["0", "0"]
    assert joins_and_leaves(2, relist=True)[0] == "6"
    assert joins_and_leaves(3) == [
        *("2", "customer:c-1/status:cancelled", "status:cancelled"),
        *("2", "customer:c-1/status:pending", "status:pending"),
    ]


@given(st.datetimes(timezones=st.just(UTC)))
@example(datetime(2026, 1, 31, 12, tzinfo=UTC))
def test_a_timestamp_always_has_microseconds(time: datetime) -> None:
    assert timestamp(time) == time.isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


@pytest.mark.parametrize("customer", ["c-1/status:pending", "a:b", "%2F", "ü", "x y"])
def test_no_customer_id_spells_another_list(customer: str) -> None:
    others = {
        list_name(),
        list_name(status="pending"),
        list_name(customer="c-1"),
        list_name(customer="c-1", status="pending"),
        list_name(reference=customer),
    }
    assert list_name(customer=customer) not in others


def test_lists_sort_by_business_time_and_then_by_id() -> None:
    one = folded(RECORDED[:1])
    assert sort_key(one) == f"{(PLACED_AT + timedelta(hours=1)).timestamp():.0f}".zfill(11) + (
        f"000000.{ORDER_ID}"
    )


@given(st.uuids(), st.integers(1, 64))
def test_an_order_always_falls_into_the_same_partition(order: UUID, partitions: int) -> None:
    partition = shard_keys.partition_of(OrderId(order), partitions)
    assert 0 <= partition < partitions
    assert partition == shard_keys.partition_of(OrderId(UUID(str(order))), partitions)
