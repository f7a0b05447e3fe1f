"""What an order's returns amount to: the return axis, the stage of each, and pieces by line."""

from types import MappingProxyType

import msgspec
import pytest

from domain.returns.events import ReturnEvent
from domain.returns.state import RETURNS, ReturnStage, evolve
from domain.returns.status import (
    ReturnStatus,
    return_requested_pieces,
    return_status,
    returned_pieces,
)
from tests.domain.returns.given import (
    R2,
    approved,
    asked,
    called_off,
    received,
    refunded,
    requested,
)

S, G = ReturnStatus, ReturnStage


@pytest.mark.parametrize(
    ("events", "status", "stage", "asked_back", "back"),
    [
        ((requested(),), S.REQUESTED, G.REQUESTED, 2, 0),
        ((requested(), approved()), S.IN_PROGRESS, G.APPROVED, 2, 0),
        ((requested(), approved(), received()), S.IN_PROGRESS, G.PARTIALLY_RECEIVED, 2, 1),
        ((requested(), approved(), received(quantity=2)), S.RETURNED, G.RECEIVED, 2, 2),
        (
            (requested(), approved(), received(quantity=2), refunded()),
            *(S.RETURNED, G.REFUNDED, 2, 2),
        ),
        ((requested(), approved(), received(), called_off()), S.RETURNED, G.RECEIVED, 1, 1),
        ((requested(), called_off()), S.NONE, G.CANCELLED, 0, 0),
    ],
)
def test_the_return_axis_tells_how_far_returns_have_come(
    events: tuple[ReturnEvent, ...],
    status: ReturnStatus,
    stage: ReturnStage,
    asked_back: int,
    back: int,
) -> None:
    returns = asked(*events)
    assert returns is not None
    assert (return_status(returns), returns.returns[0].stage) == (status, stage)
    assert return_requested_pieces(returns).get(1, 0) == asked_back
    assert returned_pieces(returns).get(1, 0) == back


def test_an_order_without_returns_has_none() -> None:
    assert return_status(None) is ReturnStatus.NONE
    assert (return_requested_pieces(None), returned_pieces(None)) == ({}, {})


@pytest.mark.parametrize(
    ("others", "status"),
    [
        ((requested(R2),), S.IN_PROGRESS),
        ((requested(R2), called_off(R2)), S.RETURNED),
        ((requested(R2), approved(R2), received(R2, quantity=2)), S.RETURNED),
    ],
)
def test_the_return_axis_is_of_all_returns_together(
    others: tuple[ReturnEvent, ...], status: ReturnStatus
) -> None:
    returns = asked(requested(), approved(), received(quantity=2), *others)
    assert return_status(returns) is status


def test_returns_survive_a_snapshot() -> None:
    def plain(value: object) -> object:
        assert isinstance(value, MappingProxyType)
        return dict(value)

    returns = asked(requested(), approved(), received(), refunded())
    encoded = msgspec.json.encode(returns, enc_hook=plain)
    assert msgspec.json.decode(encoded, type=RETURNS.state) == returns


def test_an_event_of_a_return_that_nobody_asked_for_crashes() -> None:
    for before in (None, asked(requested(R2))):
        with pytest.raises(AssertionError):
            evolve(before, approved())
