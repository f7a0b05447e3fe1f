"""What customers are shown of what staff do: that they did, and not who, nor their words."""

from typing import Any

import pytest

from domain.envelope import Actor, Role
from domain.fulfilment.events import (
    FulfilmentStarted,
    FulfilmentStepSkipped,
    FulfilmentStepStarted,
    Step,
)
from domain.ids import OrderId, fulfilment_stream, payment_stream
from domain.payment.events import PaymentCaptured, PaymentCaptureRequested
from tests.api.api import Api
from tests.api.test_life import happened, order, pack

__all__ = ["order"]

SUSPECT = "suspected fraudster, ask Bob in risk"
ANNA = "m-anna"
CUSTOMER = "c-1"
WRITTEN = (
    "order.held.v2",
    "order.hold_released.v1",
    "shipment.cancelled.v1",
    "fulfilment.step_skipped.v1",
    "payment.refund_requested.v1",
)


@pytest.fixture
def held(api: Api, order: OrderId) -> OrderId:
    post(api, f"/v1/orders/{order}/holds")
    api.views.catch_up()
    return order


def post(api: Api, path: str, body: Any = None, headers: Any = None) -> None:
    sent = api.post(path, body or {"reason": SUSPECT}, subject=ANNA, headers=headers or {})
    assert sent.is_success, sent.text


def seen(api: Api, path: str) -> Any:
    """Read as the customer, who finds nothing of staff's in it."""
    answer = api.get(path, role="customer", subject=CUSTOMER)
    assert answer.status_code == 200, answer.text
    assert SUSPECT not in answer.text
    assert ANNA not in answer.text
    return answer.json()


def test_a_customer_sees_that_the_order_is_on_hold_and_not_why(api: Api, held: OrderId) -> None:
    now = api.store.log[-1].position
    documents = [
        seen(api, f"/v1/orders/{held}"),
        seen(api, f"/v1/orders/{held}?at_position={now}"),
        *seen(api, "/v1/orders")["items"],
    ]
    assert [(one["on_hold"], one["hold_reason"]) for one in documents] == [(True, None)] * 3
    merchants = api.get(f"/v1/orders/{held}", role="merchant").json()
    assert merchants == documents[0] | {"hold_reason": SUSPECT}


def test_what_changed_does_not_tell_a_customer_why_it_is_on_hold(api: Api, held: OrderId) -> None:
    now = api.store.log[-1].position
    path = f"/v1/orders/{held}?diff_from="
    paths = [one["path"] for one in seen(api, f"{path}{now - 1}")["changes"]]
    assert "/on_hold" in paths
    assert "/hold_reason" not in paths
    [whole] = seen(api, f"{path}0")["changes"]
    assert (whole["to"]["on_hold"], whole["to"]["hold_reason"]) == (True, None)
    assert SUSPECT in api.get(f"{path}{now - 1}", role="support").text


def test_in_the_history_a_customer_sees_the_roles_of_staff_and_not_their_words(
    api: Api, held: OrderId
) -> None:
    post(api, f"/v1/orders/{held}/hold-releases")
    parcel = pack(api, held, A=1)
    post(api, f"/v1/shipments/{parcel}/cancellations")
    happened(
        api,
        held,
        fulfilment_stream(held),
        FulfilmentStarted(held, charged=True),
        FulfilmentStepStarted(held, Step.CAPTURE, parcel, 1, None),
        FulfilmentStepSkipped(held, Step.CAPTURE, parcel, SUSPECT),
        by=Actor(ANNA, Role.OPERATOR),
    )
    happened(
        api,
        held,
        payment_stream(held),
        PaymentCaptureRequested(held, parcel, 1_000),
        PaymentCaptured(held, parcel, 1_000),
    )
    money = {"amount_minor": 100, "currency": "GBP"}
    post(
        api, f"/v1/payments/{held}/refunds", {"reason": SUSPECT, **money}, {"Idempotency-Key": "k"}
    )
    items = {one["type"]: one for one in seen(api, f"/v1/orders/{held}/history")["items"]}
    for event in WRITTEN:
        by = "operator" if event == "fulfilment.step_skipped.v1" else "merchant"
        assert items[event]["actor"] == {"subject": "[hidden]", "role": by}
        assert items[event]["reason"] == items[event]["data"]["reason"] == "[hidden]"
    told = api.get(f"/v1/orders/{held}/history", role="merchant").text
    assert all(told.count(word) >= len(WRITTEN) for word in (ANNA, SUSPECT))


def test_what_customers_wrote_and_what_staff_told_them_stays(api: Api, order: OrderId) -> None:
    line = {"lines": [{"sku": "A", "quantity": 1}]}
    post(api, f"/v1/orders/{order}/cancellations", {"reason": "sold out, sorry", **line})
    mine = {"reason": "too many", **line}
    own = api.cancel(str(order), mine, role="customer", subject=CUSTOMER)
    assert own.status_code == 201, own.text
    history = seen(api, f"/v1/orders/{order}/history")["items"]
    staffs, customers = history[-2:]
    assert (staffs["actor"]["subject"], staffs["reason"]) == ("[hidden]", "sold out, sorry")
    assert customers["actor"] == {"subject": CUSTOMER, "role": "customer"}
    assert customers["reason"] == "too many"
