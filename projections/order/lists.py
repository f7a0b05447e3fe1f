"""Which lists an order is in, and where in them: newest first, by business time.

Every list costs a write when an order comes into it or leaves it, so there is one only where a
query could not be served well by filtering a wider one. Rules: `narrowest` names a list that has
every order that `matches`; and a list's name is built from callers' own text, so that text is
percent-encoded (RFC 3986): no customer id can spell another list's name.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from types import MappingProxyType
from urllib.parse import quote

from domain.payment.status import PaymentStatus
from domain.returns.status import ReturnStatus
from domain.shipment.events import TrackingStatus
from domain.shipment.state import ShipmentStatus
from domain.shipment.status import FulfillmentStatus
from projections.order.body import Body
from projections.order.document import OrderDocument
from projections.ports import OrderQuery

ALL = "all"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


class Work(StrEnum):
    """Work that waits for people."""

    TO_PICK = "to_pick"
    """Pieces can be packed, or a parcel can be handed over."""
    ON_HOLD = "on_hold"
    OVERDUE = "overdue"
    """A step's time ran out, and the saga has noted it (`FulfilmentStepTimedOut`).

    That is an event, so that the list says what it says as of its position. A list that compared
    clocks would change without one, and could not be told from a rebuilt one.
    """
    EXCEPTIONS = "exceptions"
    """The saga is stuck, or a carrier has a problem with a parcel."""
    TO_RECEIVE = "to_receive"
    """Pieces of an approved return are to come."""


_COMMON: Mapping[str, str] = MappingProxyType(
    {
        "payment": PaymentStatus.PAID,
        "fulfillment": FulfillmentStatus.DELIVERED,
        "return": ReturnStatus.NONE,
    }
)
"""Where most orders end: a list of these would be nearly all orders, and so is none.

Who asks for them gets all orders, filtered; who is in no other list of the axis is meant.
"""
_PROBLEMS = (TrackingStatus.EXCEPTION, TrackingStatus.EXPIRED)


def lists_of(document: OrderDocument) -> Sequence[str]:
    """Name every list that the document belongs in, sorted."""
    body = document.body
    names = _lists_of(
        body["customer"]["id"],
        body["status"],
        (body["payment_status"], body["fulfillment_status"], body["return_status"]),
        tuple(_work(body)),
    )
    if body["external_reference"] is None:
        return names
    return sorted([*names, list_name(reference=body["external_reference"])])


@lru_cache(maxsize=4_096)  # the same few statuses and customers, again and again
def _lists_of(
    customer_id: str, status: str, derived: tuple[str, str, str], work: tuple[Work, ...]
) -> Sequence[str]:
    names = [
        ALL,
        list_name(status=status),
        list_name(customer=customer_id),
        list_name(customer=customer_id, status=status),
        *(list_name(work=one) for one in work),
    ]
    for (axis, common), value in zip(_COMMON.items(), derived, strict=True):
        if value != common:
            names.append(list_name(**{axis: value}))
    return tuple(sorted(names))


def _work(body: Body) -> Iterator[Work]:
    merchant = body["actions"]["merchant"]
    steps = () if body["fulfilment"] is None else body["fulfilment"]["steps"]
    if "create_shipment" in merchant or "dispatch_shipment" in merchant:
        yield Work.TO_PICK
    if body["on_hold"]:
        yield Work.ON_HOLD
    if any(step["is_overdue"] for step in steps):
        yield Work.OVERDUE
    if any(step["stuck"] for step in steps) or any(map(_has_problem, body["shipments"])):
        yield Work.EXCEPTIONS
    if "receive_return" in merchant:
        yield Work.TO_RECEIVE


def _has_problem(parcel: Body) -> bool:
    return parcel["status"] == ShipmentStatus.DISPATCHED and parcel["tracking_status"] in _PROBLEMS


def narrowest(query: OrderQuery) -> str:
    """Name the list to look through, from a reference, which is the narrowest, to all orders."""
    wanted = _wanted(query)
    for axis in ("reference", "work"):
        if axis in wanted:
            return list_name(**{axis: wanted[axis]})
    if "customer" in wanted:
        narrow = {name: wanted[name] for name in ("customer", "status") if name in wanted}
        return list_name(**narrow)
    for axis in ("return", "status", "fulfillment", "payment"):
        if axis in wanted and wanted[axis] != _COMMON.get(axis):
            return list_name(**{axis: wanted[axis]})
    return ALL


def matches(lists: Collection[str], query: OrderQuery) -> bool:
    """Whether an order that is in these lists is what the query asks for, but for its time."""
    for axis, value in _wanted(query).items():
        if value == _COMMON.get(axis):
            if any(name.startswith(f"{axis}:") for name in lists):
                return False
        elif list_name(**{axis: value}) not in lists:
            return False
    return True


def _wanted(query: OrderQuery) -> Mapping[str, str]:
    asked = {
        "reference": query.external_reference,
        "work": query.work,
        "customer": query.customer_id,
        "status": query.status,
        "return": query.return_status,
        "fulfillment": query.fulfillment_status,
        "payment": query.payment_status,
    }
    return {axis: value for axis, value in asked.items() if value is not None}


def list_name(**values: str) -> str:
    """Name the list of the orders that have these values, such as `customer:c-1/status:pending`."""
    return "/".join(f"{axis}:{_encoded(value)}" for axis, value in values.items()) or ALL


@lru_cache(maxsize=4_096)  # the same few statuses and customers, again and again
def _encoded(text: str) -> str:
    return quote(text, safe="")


def sort_key(document: OrderDocument) -> str:
    """Sort orders by the time they were placed, microseconds since 1970, and then by id."""
    placed = datetime.fromisoformat(document.body["placed_at"])
    return f"{sort_bound(placed)}{document.body['order_id']}"


def sort_bound(time: datetime) -> str:
    """Give what sorts before every order placed at that time or later, and after all others."""
    return f"{(time - EPOCH) // MICROSECOND:017d}."
