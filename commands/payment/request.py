"""From what the saga asks of an order's money to requests that are stored before anybody is asked.

Rule: nothing is asked of a provider that isn't in the log first, with the amount and the name that
make its idempotency key. So whatever is killed, what was asked for is known.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from commands.attempts import until_unmoved
from commands.envelopes import address_events
from commands.order.answers import order_answer
from commands.order.file import OrderFile, load_file
from commands.ports import Append, Ports, Request, Write
from domain.envelope import Actor, Envelope, Role
from domain.fulfilment.events import FulfilmentStepStarted, Step
from domain.fulfilment.facts import REST, SURPLUS
from domain.fulfilment.standing import (
    is_by_hand,
    is_off,
    is_skipped,
    rest_minor,
    surplus_minor,
)
from domain.order.state import Order
from domain.payment import decisions
from domain.payment.events import PaymentEvent
from domain.payment.shares import capture_minor, value_minor
from domain.payment.state import PAYMENT, Outcome, Payment
from domain.shipment.state import Shipments, ShipmentStatus

PAYMENTS = Actor("payment", Role.PROCESS)
STEPS = (Step.AUTHORIZE, Step.CAPTURE, Step.VOID, Step.REFUND)
GONE = (ShipmentStatus.DISPATCHED, ShipmentStatus.DELIVERED)


async def request_step(
    event: FulfilmentStepStarted,
    envelope: Envelope,
    provider: str,
    ports: Ports,
    *,
    file: OrderFile | None = None,
) -> Payment | None:
    """Store what a step asks for, unless it was asked for before; give the payment after that.

    A step that the saga has gone on from since, or that people have skipped, asks for nothing: it
    comes again from a Kafka that was wiped, or late from a service that was down.

    A `file` that was just loaded is decided on first; where it has moved on, it is loaded anew.

    Raises:
        DomainError: it can't be asked for now (`illegal_transition`), or never.
        StoreUnavailableError: nothing is known to be stored; asking again is safe.
    """
    loaded = [] if file is None else [file]

    async def attempt() -> Payment | None:
        file = loaded.pop() if loaded else await load_file(event.order_id, ports)
        order = file.order.state
        if order is None:
            raise AssertionError(f"{event.order_id} has a saga and no order")
        events = _decide(event, order, file, provider) if _is_open(event, file) else ()
        if not events:
            return file.payment.state
        append = _append(event, events, file, envelope, ports)
        await ports.store.append(replace(append, customer_id=order.customer_id))
        return PAYMENT.after(file.payment.state, events)

    return await until_unmoved(attempt)


def _is_open(event: FulfilmentStepStarted, file: OrderFile) -> bool:
    saga = file.fulfilment.state
    record = None if saga is None else saga.of(event.step, event.subject)
    return record is not None and record.attempt == event.attempt and record.is_unanswered


def _decide(
    event: FulfilmentStepStarted, order: Order, file: OrderFile, provider: str
) -> Sequence[PaymentEvent]:
    payment = file.payment.state
    match event.step:
        case Step.AUTHORIZE if is_off(order):
            return ()  # it was called off meanwhile, and the saga closes the payment
        case Step.AUTHORIZE:
            return decisions.request_authorization(
                payment,
                order_id=order.order_id,
                attempt=event.attempt,
                amount_minor=order.owed_minor,
                currency=order.currency,
                provider=provider,
            )
        case Step.VOID:
            return decisions.request_void(payment, order_id=order.order_id)
        case Step.CAPTURE if payment is not None:
            return decisions.request_capture(
                payment,
                capture_id=event.subject,
                amount_minor=_capture_minor(event.subject, order, payment, file),
            )
        case Step.REFUND if payment is not None:
            return decisions.request_refund(
                payment,
                refund_id=event.subject,
                amount_minor=_refund_minor(event.subject, order, payment, file),
                currency=order.currency,
                reason=_why(event.subject),
                promised=_promised(event.subject, file),
            )
        case _:
            return ()


def _capture_minor(subject: str, order: Order, payment: Payment, file: OrderFile) -> int:
    before = payment.captures.get(subject)
    if before is not None:
        return before.amount_minor  # the same again, or its key would stand for two amounts
    if subject == REST:
        return rest_minor(order, file.facts.payment)
    share = capture_minor(
        owed_minor=order.owed_minor,
        authorized_minor=payment.authorized_minor,
        wanted_value_minor=value_minor(order.lines, _wanted(order)),
        shipped_value_minor=value_minor(
            order.lines, _charged_for(subject, file.shipments.state, payment)
        ),
        claimed_minor=_claimed_minor(file, payment),
    )
    # Of what the provider has let go of nothing is left, and that is refused, not taken as 0.
    return share if payment.voided_minor is not None else min(share, payment.capturable_minor)


def _refund_minor(subject: str, order: Order, payment: Payment, file: OrderFile) -> int:
    """Give what is owed now, and can be given back; also where it failed, and was more before."""
    before = payment.refunds.get(subject)
    if before is not None and (before.outcome is not Outcome.FAILED or is_by_hand(subject)):
        return before.amount_minor  # the same again, or its key would stand for two amounts
    if _is_surplus(subject):
        surplus = surplus_minor(order, file.facts)
        if before is not None:  # what came on top has been asked for by later names, or will be
            surplus = min(surplus, before.amount_minor)
        # What people are giving back already is left out. Where that is all of it, it is waited
        # for: asked for in full this is refused, and a refund of nothing would be followed by more.
        return min(surplus, payment.unpromised_minor(_promised(subject, file))) or surplus
    owed = {
        receipt.subject: receipt.refund_minor
        for one in file.facts.returns
        for receipt in one.receipts
    }
    # What the bank took back meanwhile is not given back once more.
    return min(owed[subject], payment.refundable_minor)


def _promised(subject: str, file: OrderFile) -> Mapping[str, int]:
    """Give the refunds that come before this one: those for returns, where it is none of them."""
    return file.promised_refunds if is_by_hand(subject) or _is_surplus(subject) else {}


def _why(refund: str) -> str:
    if is_by_hand(refund):
        return "asked for again"
    return "the order was changed" if _is_surplus(refund) else "a return"


def _is_surplus(subject: str) -> bool:
    return subject.startswith(f"{SURPLUS}/")


def _wanted(order: Order) -> Mapping[int, int]:
    return {line.line_number: order.remaining(line) for line in order.lines}


def _charged_for(
    shipment_id: str, shipments: Shipments | None, payment: Payment
) -> Mapping[int, int]:
    """Add up the pieces of this parcel and of those that are gone and were asked for before it.

    Parcels leave in any order, whichever was packed first. One that came back to its sender is not
    gone: what was taken for it counts for what goes in its place.
    """
    pieces: dict[int, int] = {}
    for shipment in () if shipments is None else shipments.shipments:
        name = str(shipment.shipment_id)
        if name == shipment_id or (shipment.status in GONE and name in payment.captures):
            for line in shipment.lines:
                pieces[line.line_number] = pieces.get(line.line_number, 0) + line.quantity
    return pieces


def _claimed_minor(file: OrderFile, payment: Payment) -> int:
    """Add up what was asked for with parcels, but for what nobody will ask for again.

    That is of a parcel that came back before its money could be taken; what people skipped is
    settled in another way.
    """
    saga, shipments = file.fulfilment.state, file.shipments.state
    back = {
        str(one.shipment_id)
        for one in (() if shipments is None else shipments.shipments)
        if one.status is ShipmentStatus.RETURNED_TO_SENDER
    }
    return sum(
        capture.amount_minor
        for name, capture in payment.captures.items()
        if capture.outcome is not Outcome.FAILED
        or name not in back
        or (saga is not None and is_skipped(saga, Step.CAPTURE, name))
    )


def _append(
    event: FulfilmentStepStarted,
    events: Sequence[PaymentEvent],
    file: OrderFile,
    envelope: Envelope,
    ports: Ports,
) -> Append:
    parts = [str(event.order_id), event.step, event.subject, str(event.attempt)]
    request = Request(
        actor=PAYMENTS,
        command_id="/".join(part for part in parts if part),
        correlation_id=envelope.correlation_id,
        route="payment",
        traceparent=envelope.traceparent,
    )
    addressed = address_events(
        events,
        request,
        ports,
        occurred_at=ports.clock.now(),
        caused_by=str(envelope.event_id),
    )
    return Append(
        writes=[Write(file.payment, addressed, event.order_id)],
        read=[file.order, file.shipments, file.returns, file.fulfilment],
        request=request,
        answer=order_answer(file.order),
    )
