"""Which lists an order is in: a query looks through one that has all it asks for."""

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.envelope import Recorded
from domain.events import DomainEvent, EventOfOrder
from domain.fulfilment import events as f
from domain.fulfilment.events import Step
from domain.ids import CustomerId
from domain.order.state import OrderStatus
from domain.payment.status import PaymentStatus
from domain.returns.status import ReturnStatus
from domain.shipment.status import FulfillmentStatus
from projections.order.lists import Work, lists_of, matches, narrowest, sort_bound, sort_key
from projections.ports import OrderQuery
from tests.projections.life import (
    FULFILMENT,
    ORDER,
    RETURNS,
    SHIPMENTS,
    document,
    hour,
)
from tests.projections.test_order_document import ORDER_ID
from tests.projections.test_whole_life import LOGS, step_by_step

CONFIRMED = ("order", ORDER[1:2])
QUERIES = st.builds(
    OrderQuery,
    customer_id=st.sampled_from([None, CustomerId("c-1"), CustomerId("c-2")]),
    status=st.none() | st.sampled_from([str(one) for one in OrderStatus]),
    external_reference=st.sampled_from([None, "536365"]),
    limit=st.just(10),
    after=st.none(),
    payment_status=st.none() | st.sampled_from([str(one) for one in PaymentStatus]),
    fulfillment_status=st.none() | st.sampled_from([str(one) for one in FulfillmentStatus]),
    return_status=st.none() | st.sampled_from([str(one) for one in ReturnStatus]),
    work=st.none() | st.sampled_from([str(one) for one in Work]),
)


@given(LOGS, QUERIES)
@settings(max_examples=100, deadline=None)
def test_a_query_means_the_statuses_of_the_document_and_looks_where_all_of_them_are(
    log: list[Recorded[DomainEvent]], query: OrderQuery
) -> None:
    for one in step_by_step(log):
        lists, body = lists_of(one), one.body
        asked = {
            "status": query.status,
            "payment_status": query.payment_status,
            "fulfillment_status": query.fulfillment_status,
            "return_status": query.return_status,
            "external_reference": query.external_reference,
        }
        meant = all(value in (None, body[name]) for name, value in asked.items())
        meant = meant and query.customer_id in (None, "c-1")
        meant = meant and (query.work is None or f"work:{query.work}" in lists)
        assert matches(lists, query) == meant
        if meant:
            assert narrowest(query) in lists


def of_work(*histories: tuple[str, Sequence[EventOfOrder]]) -> set[str]:
    names = lists_of(document(*histories))
    return {name.removeprefix("work:") for name in names if name.startswith("work:")}


@pytest.mark.parametrize(
    ("histories", "work"),
    [
        ((), set()),
        ((CONFIRMED,), {"to_pick"}),
        ((("order", ORDER[1:3]),), {"on_hold"}),
        ((CONFIRMED, ("shipments", SHIPMENTS[:1])), {"to_pick"}),
        ((CONFIRMED, ("shipments", SHIPMENTS[:8])), {"to_pick", "exceptions"}),
        ((CONFIRMED, ("shipments", SHIPMENTS[:9])), {"to_pick"}),
        ((CONFIRMED, ("shipments", SHIPMENTS[:10])), {"to_pick"}),
        ((("fulfilment", FULFILMENT[:9]),), set()),
        ((("fulfilment", FULFILMENT[:10]),), {"overdue"}),
        ((("fulfilment", FULFILMENT[:13]),), {"overdue", "exceptions"}),
        ((("fulfilment", FULFILMENT[:16]),), set()),
        ((("returns", RETURNS[:1]),), set()),
        ((("returns", RETURNS[:2]),), {"to_receive"}),
        ((("returns", RETURNS[:3]),), {"to_receive"}),
        ((("returns", RETURNS),), set()),
    ],
)
def test_work_waits_in_its_list_until_it_is_done(
    histories: Sequence[tuple[str, Sequence[EventOfOrder]]], work: set[str]
) -> None:
    assert of_work(*histories) == work


def test_a_step_that_is_asked_about_again_is_not_overdue_any_more() -> None:
    again = f.FulfilmentStepStarted(ORDER_ID, Step.SHIP, "", 1, hour(99))
    assert of_work(("fulfilment", (*FULFILMENT[:10], again))) == set()


def test_a_time_bounds_the_keys_of_the_orders_placed_since() -> None:
    placed = document()
    assert sort_bound(hour(1)) < sort_key(placed) < sort_bound(hour(1.001))
    assert sort_key(placed) > sort_bound(hour(0.999))
