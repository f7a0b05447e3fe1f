"""The orders that a run places: one line each, many customers, every one new."""

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count

import orjson
import uuid_utils.compat

from commands.envelopes import address_events
from commands.order.answers import order_answer
from commands.ports import Append, Ports, Request, Stream, Write
from domain.envelope import Actor, Role
from domain.ids import ClientId, CustomerId, Sku, order_stream
from domain.money import Currency
from domain.order import decisions
from domain.order.events import OrderLine, PaymentMethod
from domain.order.state import Order
from domain.personal import Address, PersonalData

CUSTOMERS = 1_000
ACTOR = Actor("my-shop", Role.SERVICE)
PERSONAL = PersonalData(
    name="Ada Byron",
    email="ada@example.com",
    phone="+441632960000",
    shipping_address=Address(
        name="Ada Byron", line1="1 High St", city="London", postal_code="N1 1AA", country="GB"
    ),
    payment_token="tok_visa",
)
_numbers = count(1)


def place_bodies() -> Iterator[tuple[str, bytes]]:
    """Give idempotency keys and bodies for `POST /v1/orders`, without end, none twice."""
    run = uuid_utils.compat.uuid7().hex
    body = orjson.dumps(
        {
            "external_reference": "@REFERENCE",
            "currency": "GBP",
            "customer": {
                "id": "@CUSTOMER",
                "name": PERSONAL.name,
                "email": PERSONAL.email,
                "phone": PERSONAL.phone,
            },
            "lines": [
                {
                    "sku": "85123A",
                    "name": "White hanging heart",
                    "quantity": 6,
                    "unit_price_minor": 255,
                }
            ],
            "shipping_minor": 499,
            "shipping_address": {
                "name": "Ada Byron",
                "line1": "1 High St",
                "city": "London",
                "postal_code": "N1 1AA",
                "country": "GB",
            },
            "payment_token": "tok_visa",
            "fulfilment": "elsewhere",
        }
    )
    template = body.replace(b"@REFERENCE", b"%b").replace(b"@CUSTOMER", b"c-%05d")
    for number in count():
        key = f"{run}-{number:09d}"
        yield key, template % (key.encode(), number % CUSTOMERS)


def appends(ports: Ports, how_many: int) -> list[Append]:
    """Decide orders as the handler does: one event with personal data, an idempotency key.

    They claim no unique names: that is part of placing an order, which has a row of its own.
    """
    return [_append(ports, next(_numbers)) for _ in range(how_many)]


def _append(ports: Ports, number: int) -> Append:
    order_id = ports.names.new_order_id()
    order_number = ports.names.draw_order_number()
    customer = CustomerId(f"c-{number % CUSTOMERS:05d}")
    events = decisions.place(
        order_id=order_id,
        order_number=order_number,
        client_id=ClientId(ACTOR.subject),
        external_reference=None,
        customer_id=customer,
        personal=PERSONAL,
        currency=Currency("GBP"),
        lines=[OrderLine(1, Sku("85123A"), "White hanging heart", 6, 255)],
        shipping_minor=499,
        tax_minor=0,
        discount_minor=0,
        payment=PaymentMethod.TOKEN,
        fulfilled_here=False,
    )
    request = Request(
        actor=ACTOR,
        command_id=str(ports.names.new_event_id()),
        correlation_id=str(ports.names.new_event_id()),
        route="POST /v1/orders",
        idempotency_key=str(order_id),
        fingerprint=bytes(32),
    )
    stream: Stream[Order] = Stream.unwritten(order_stream(order_id))
    return Append(
        writes=[
            Write(
                stream,
                address_events(events, request, ports, occurred_at=datetime.now(UTC)),
                order_id,
            )
        ],
        request=request,
        answer=order_answer(stream, events),
        customer_id=customer,
    )
