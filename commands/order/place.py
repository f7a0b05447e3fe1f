"""Place an order. Its number, and the shop's own reference, are unique with the event."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from commands.envelopes import address_events
from commands.order.answers import order_answer
from commands.ports import Answer, Append, NameTakenError, Ports, Request, Stream, Write
from domain.errors import DomainError
from domain.ids import ClientId, CustomerId, order_stream
from domain.money import Currency
from domain.order import decisions
from domain.order.events import OrderLine, PaymentMethod
from domain.order.state import Order
from domain.personal import PersonalData

DRAWS = 5
"""Order numbers drawn before giving up; two collide about once in 10^12 / orders draws."""
EXTERNAL_REFERENCE = "external_reference"
ORDER_NUMBER = "order_number"


@dataclass(frozen=True, slots=True)
class PlaceOrder:
    """A new order.

    Attributes:
        placed_at: business time, for orders taken elsewhere; now by default.
        fulfilled_here: stock, money and parcels are ours to see to; not so for imports.
    """

    customer_id: CustomerId
    external_reference: str | None
    personal: PersonalData
    currency: Currency
    lines: Sequence[OrderLine]
    shipping_minor: int
    tax_minor: int
    discount_minor: int
    payment: PaymentMethod
    placed_at: datetime | None = None
    fulfilled_here: bool = False


async def place_order(command: PlaceOrder, request: Request, ports: Ports) -> Answer:
    """Decide and store a new order.

    Raises:
        DomainError: a rule of `decisions.place`; `external_reference_taken`, with the order
            that has it; `placed_in_the_future`; `idempotency_key_reused`;
            `customer_forgotten`.
        StoreUnavailableError: nothing is known to be stored; asking again with the same
            idempotency key is safe.
    """
    for _ in range(DRAWS):
        try:
            append = _decide(command, request, ports)
        except DomainError:
            # The rules may have been tightened since this request was first answered.
            earlier = await ports.store.find_answer(request)
            if earlier is None:
                raise
            return earlier
        try:
            return await ports.store.append(append)
        except NameTakenError as taken:
            if taken.scope != ORDER_NUMBER:
                raise DomainError(
                    "external_reference_taken",
                    "another order of this client has this external_reference",
                    field="/external_reference",
                    extra={"order_id": str(taken.order_id)},
                ) from taken
    raise AssertionError(f"{DRAWS} order numbers in a row were taken")


def _decide(command: PlaceOrder, request: Request, ports: Ports) -> Append:
    now = ports.clock.now()
    if command.placed_at is not None and command.placed_at > now:
        raise DomainError("placed_in_the_future", "placed_at is after now", field="/placed_at")
    client_id = ClientId(request.actor.subject)
    order_id = ports.names.new_order_id()
    order_number = ports.names.draw_order_number()
    events = decisions.place(
        order_id=order_id,
        order_number=order_number,
        client_id=client_id,
        external_reference=command.external_reference,
        customer_id=command.customer_id,
        personal=command.personal,
        currency=command.currency,
        lines=command.lines,
        shipping_minor=command.shipping_minor,
        tax_minor=command.tax_minor,
        discount_minor=command.discount_minor,
        payment=command.payment,
        fulfilled_here=command.fulfilled_here,
    )
    stream: Stream[Order] = Stream.unwritten(order_stream(order_id))
    return Append(
        writes=[
            Write(
                stream,
                address_events(events, request, ports, occurred_at=command.placed_at or now),
                order_id,
            )
        ],
        request=request,
        answer=order_answer(stream, events),
        customer_id=command.customer_id,
        unique=_names(order_number, client_id, command.external_reference),
        holder=order_id,
    )


def _names(
    order_number: str, client_id: ClientId, external_reference: str | None
) -> Mapping[str, str]:
    names = {ORDER_NUMBER: order_number}
    if external_reference is not None:
        # A client may hold any characters, so its length keeps ("a", "b:c") and ("a:b", "c") apart.
        names[EXTERNAL_REFERENCE] = f"{len(client_id)}:{client_id}:{external_reference}"
    return names
