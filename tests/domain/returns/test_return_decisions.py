"""The rules of returns: a piece comes back once, and only after it was delivered."""

from collections.abc import Callable
from functools import partial

import pytest

from domain.ids import Sku
from domain.order.state import Order
from domain.returns import decisions, guards
from domain.returns.decisions import LineToReceive
from domain.returns.events import (
    ReceivedLine,
    ReturnEvent,
    ReturnReason,
    ReturnReceived,
)
from domain.returns.state import Returns
from domain.shipment.pieces import LineRequest
from domain.shipment.state import Shipments
from tests.domain.orders import ORDER_ID, line, refused
from tests.domain.returns.given import (
    DELIVERED,
    R1,
    R2,
    approved,
    asked,
    called_off,
    received,
    requested,
)
from tests.domain.shipment.parcels import (
    confirmed,
    on_its_way,
    wanted,
)


def request(
    *lines: LineRequest,
    shipments: Shipments | None = DELIVERED,
    returns: Returns | None = None,
    order: Order | None = None,
) -> tuple[ReturnEvent, ...]:
    return decisions.request(
        order or confirmed(),
        shipments,
        returns,
        return_id=R2,
        lines=lines,
        reason_code=ReturnReason.SIZE,
        reason="too small",
    )


def receive(
    returns: Returns | None,
    *lines: LineToReceive,
    refund_minor: int = 100,
    left_minor: int = 10_000,
) -> tuple[ReturnEvent, ...]:
    return decisions.receive(
        confirmed(),
        returns,
        return_id=R1,
        lines=lines,
        worth_minor=refund_minor,
        left_minor=left_minor,
    )


def come(quantity: int = 1, restock: int = 0) -> LineToReceive:
    return LineToReceive(Sku("A"), quantity, restock=restock)


def test_delivered_pieces_are_asked_back() -> None:
    assert request(wanted(quantity=2)) == (requested(R2),)


@pytest.mark.parametrize(
    ("before", "left"),
    [
        ((), 3),
        ((requested(),), 1),
        ((requested(), approved(), received()), 1),
        ((requested(), called_off()), 3),
        ((requested(), approved(), received(), called_off()), 2),
    ],
)
def test_no_more_comes_back_than_was_delivered_and_is_in_no_return(
    before: tuple[ReturnEvent, ...], left: int
) -> None:
    returns = asked(*before)
    assert request(wanted(quantity=left), returns=returns)
    error = refused(lambda: request(wanted(quantity=left + 1), returns=returns))
    assert (error.code, error.field, error.extra) == (
        "quantity_above_remaining",
        "/lines/0/quantity",
        {"remaining": left},
    )


@pytest.mark.parametrize(
    ("shipments", "returns"),
    [(None, None), (on_its_way(), None), (DELIVERED, asked(requested(quantity=3)))],
)
def test_nothing_is_asked_back_where_nothing_is_left_to_return(
    shipments: Shipments | None, returns: Returns | None
) -> None:
    error = refused(lambda: request(wanted(), shipments=shipments, returns=returns))
    assert (error.code, error.extra) == ("illegal_transition", {"order_status": "confirmed"})
    assert not guards.may_request(shipments, returns)


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        ([], "no_lines"),
        ([wanted(quantity=0)], "quantity_out_of_range"),
        ([wanted("Z")], "unknown_line"),
        ([wanted("A")], "ambiguous_sku"),
    ],
)
def test_a_return_names_pieces_of_the_order(lines: list[LineRequest], code: str) -> None:
    order = confirmed(lines=[line(1, "A"), line(2, "A")])
    assert refused(lambda: request(*lines, order=order)).code == code


def test_an_order_has_a_bounded_number_of_returns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decisions, "MOST_RETURNS", 1)
    returns = asked(requested(), called_off())
    assert refused(lambda: request(wanted(), returns=returns)).code == "too_many_returns"


def test_a_requested_return_is_approved_once() -> None:
    assert decisions.approve(asked(requested()), return_id=R1) == (approved(),)
    for later in ((approved(),), (called_off(),)):
        error = refused(partial(decisions.approve, asked(requested(), *later), return_id=R1))
        assert error.code == "illegal_transition"


@pytest.mark.parametrize(
    ("later", "stage"),
    [
        ((), "requested"),
        ((called_off(),), "cancelled"),
        ((approved(), called_off()), "cancelled"),
        ((approved(), received(quantity=2)), "received"),
        ((approved(), received(), called_off()), "received"),
    ],
)
def test_pieces_are_received_only_while_an_approved_return_waits_for_some(
    later: tuple[ReturnEvent, ...], stage: str
) -> None:
    error = refused(lambda: receive(asked(requested(), *later), come()))
    assert (error.code, error.extra) == ("illegal_transition", {"return_status": stage})


def test_a_return_is_received_in_parts_each_with_its_refund() -> None:
    first = receive(asked(requested(), approved()), come(1, restock=1), refund_minor=40)
    assert first == (ReturnReceived(ORDER_ID, R1, 1, (ReceivedLine(1, Sku("A"), 1, 1),), 40, 0),)
    second = receive(asked(requested(), approved(), *first), come(1), refund_minor=60)
    assert second == (ReturnReceived(ORDER_ID, R1, 2, (ReceivedLine(1, Sku("A"), 1, 0),), 60, 0),)


@pytest.mark.parametrize(
    ("left_minor", "owed_minor", "withheld_minor"),
    [(101, 100, 0), (100, 100, 0), (30, 30, 70), (0, 0, 100)],
)
def test_a_receipt_gives_back_at_most_what_is_left_and_says_what_is_missing(
    left_minor: int, owed_minor: int, withheld_minor: int
) -> None:
    waiting = asked(requested(), approved())
    [event] = receive(waiting, come(), refund_minor=100, left_minor=left_minor)
    assert isinstance(event, ReturnReceived)
    assert (event.refund_minor, event.withheld_minor) == (owed_minor, withheld_minor)


def test_no_more_is_received_than_was_asked_for() -> None:
    waiting = asked(requested(), approved(), received())
    assert refused(lambda: receive(waiting, come(2))).extra == {"remaining": 1}
    assert refused(lambda: receive(waiting, come(), come())).field == "/lines/1/quantity"


def test_pieces_of_a_line_that_nobody_sends_back_are_not_received() -> None:
    order = confirmed(lines=[line(1, "A"), line(2, "B")])
    error = refused(
        lambda: decisions.receive(
            order,
            asked(requested(), approved()),
            return_id=R1,
            lines=[LineToReceive(Sku("B"), 1)],
            worth_minor=0,
            left_minor=0,
        )
    )
    assert error.extra == {"remaining": 0}


@pytest.mark.parametrize("restock", [-1, 2])
def test_as_many_are_restocked_as_have_come_and_no_more(restock: int) -> None:
    error = refused(lambda: receive(asked(requested(), approved()), come(1, restock=restock)))
    assert (error.code, error.field) == ("restock_out_of_range", "/lines/0/restock")


def test_a_line_that_is_named_twice_is_received_and_restocked_as_one() -> None:
    [event] = receive(asked(requested(), approved()), come(1, restock=1), come(1))
    assert isinstance(event, ReturnReceived)
    assert event.lines == (ReceivedLine(1, Sku("A"), 2, 1),)


def test_a_refund_is_never_negative() -> None:
    waiting = asked(requested(), approved())
    assert refused(lambda: receive(waiting, come(), refund_minor=-1)).code == "amount_negative"


@pytest.mark.parametrize("before", [(), (approved(),), (approved(), received())])
def test_what_has_not_come_is_called_off(before: tuple[ReturnEvent, ...]) -> None:
    returns = asked(requested(), *before)
    assert decisions.cancel(returns, return_id=R1, reason="kept") == (called_off(),)


@pytest.mark.parametrize("before", [(called_off(),), (approved(), received(quantity=2))])
def test_nothing_is_called_off_where_nothing_is_to_come(before: tuple[ReturnEvent, ...]) -> None:
    returns = asked(requested(), *before)
    error = refused(lambda: decisions.cancel(returns, return_id=R1, reason="kept"))
    assert error.code == "illegal_transition"


@pytest.mark.parametrize("returns", [None, asked(requested(R2))])
def test_a_return_of_another_order_is_not_known(returns: Returns | None) -> None:
    decide: list[Callable[[], object]] = [
        lambda: decisions.approve(returns, return_id=R1),
        lambda: receive(returns, come()),
        lambda: decisions.cancel(returns, return_id=R1, reason="x"),
    ]
    for decision in decide:
        assert refused(decision).code == "unknown_return"
