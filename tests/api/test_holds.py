"""What a hold of people's is worth while an order's money fails."""

import pytest

from domain.fulfilment.events import (
    FulfilmentEvent,
    FulfilmentStarted,
    FulfilmentStepFailed,
    FulfilmentStepSkipped,
    FulfilmentStepStarted,
    FulfilmentStuck,
    Step,
)
from domain.ids import OrderId, fulfilment_stream
from tests.api.api import Api, assert_problem
from tests.api.test_life import WHY, dispatch, happened, order, pack

__all__ = ["order"]


def test_who_releases_a_hold_of_their_own_lets_no_parcel_leave_while_a_capture_has_failed(
    api: Api, order: OrderId
) -> None:
    first, second = pack(api, order, A=1), pack(api, order, A=1)
    assert dispatch(api, first).status_code == 201
    hold(api, order)
    capture_fails(api, order, first)

    release(api, order)
    assert_problem(dispatch(api, second), 409, "illegal_transition")
    release(api, order)  # and this one is for the capture
    assert dispatch(api, second).status_code == 201


def test_a_capture_that_people_left_out_holds_nothing(api: Api, order: OrderId) -> None:
    first, second = pack(api, order, A=1), pack(api, order, A=1)
    assert dispatch(api, first).status_code == 201
    hold(api, order)
    capture_fails(
        api,
        order,
        first,
        FulfilmentStuck(order, Step.CAPTURE, first, "failed"),
        FulfilmentStepSkipped(order, Step.CAPTURE, first, "cash"),
    )
    release(api, order)
    assert dispatch(api, second).status_code == 201


@pytest.mark.parametrize("reason", ["a payment for a parcel failed", "authorization_let_go"])
def test_nobody_holds_an_order_in_our_words_which_stay_when_its_customer_is_forgotten(
    api: Api, order: OrderId, reason: str
) -> None:
    refused = api.post(f"/v1/orders/{order}/holds", {"reason": reason})
    problem = assert_problem(refused, 422, "invalid_request")
    assert problem["errors"][0]["pointer"] == "/reason"
    assert api.post(f"/v1/orders/{order}/holds", {"reason": f"{reason}, says Ada"}).is_success


def hold(api: Api, order: OrderId) -> None:
    assert api.post(f"/v1/orders/{order}/holds", WHY).status_code == 201


def release(api: Api, order: OrderId) -> None:
    assert api.post(f"/v1/orders/{order}/hold-releases", WHY).status_code == 201


def capture_fails(api: Api, order: OrderId, parcel: str, *later: FulfilmentEvent) -> None:
    now = api.store.log[-1].recorded_at
    happened(
        api,
        order,
        fulfilment_stream(order),
        FulfilmentStarted(order, charged=True),
        FulfilmentStepStarted(order, Step.CAPTURE, parcel, 1, now),
        FulfilmentStepFailed(order, Step.CAPTURE, parcel, 1, "failed", now),
        *later,
    )
