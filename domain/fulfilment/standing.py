"""How an order, its saga and the facts stand to one another: what is still out, owed or missing.

Each function looks at where things are now, never at how they came to be there.
"""

from collections.abc import Mapping
from itertools import count

from domain.fulfilment.events import Step
from domain.fulfilment.facts import (
    BY_HAND,
    SURPLUS,
    AllocationFacts,
    Facts,
    ParcelStatus,
    PaymentFacts,
)
from domain.fulfilment.state import Condition, Fulfilment
from domain.order.state import Order, OrderStatus


def unshipped(order: Order, facts: Facts) -> Mapping[int, int]:
    """Count the wanted pieces that are in no parcel that has left, by line number."""
    gone = facts.gone()
    missing = {
        line.line_number: order.remaining(line) - gone.get(line.line_number, 0)
        for line in order.lines
    }
    return {number: quantity for number, quantity in missing.items() if quantity > 0}


def undelivered(facts: Facts, saga: Fulfilment) -> list[str]:
    """List the parcels whose delivery is waited for, or that went back before it ever was.

    The latter so that their delivery is begun once, fails, and tells people.
    """
    return [
        parcel.shipment_id
        for parcel in facts.parcels
        if (
            parcel.status is ParcelStatus.DISPATCHED
            and not is_skipped(saga, Step.DELIVER, parcel.shipment_id)
        )
        or (
            parcel.status is ParcelStatus.RETURNED
            and saga.of(Step.DELIVER, parcel.shipment_id) is None
        )
    ]


def to_leave(order: Order, facts: Facts) -> Mapping[int, int]:
    """Count the pieces of each line that may yet leave the shelves for the order.

    Pieces that came back to the sender lie on no shelf, so what is wanted instead of them is held
    on: what is canceled then is what came back. A parcel of which inventory has yet to hear has
    left no shelf by its books.
    """
    missing, unheard = unshipped(order, facts), _unheard(facts)
    return {
        line.line_number: missing.get(line.line_number, 0) + unheard.get(line.line_number, 0)
        for line in order.lines
    }


def holds_too_much(order: Order, facts: Facts) -> bool:
    """Whether more is held of some line than may yet leave for the order."""
    most = to_leave(order, facts)
    return any(held > most.get(number, 0) for number, held in facts.allocation.held.items())


def to_receive(order: Order, facts: Facts) -> Mapping[int, int]:
    """Count the pieces that came back to the sender and won't be sent again, by line number.

    Stock doesn't have them until people receive them. They only ever become more: those that were
    received already are among them.
    """
    held, shipped = facts.allocation.held, facts.allocation.shipped
    if is_off(order):
        return {number: quantity for number, quantity in shipped.items() if quantity > 0}
    if order.status is OrderStatus.COMPLETED:  # a lost parcel may turn up after the end
        gone = facts.gone()
        lost = {number: quantity - gone.get(number, 0) for number, quantity in shipped.items()}
        return {number: quantity for number, quantity in lost.items() if quantity > 0}
    most = to_leave(order, facts)
    back: dict[int, int] = {}
    for line in order.lines:
        number = line.line_number
        ours = shipped.get(number, 0) + min(held.get(number, 0), most[number])
        back[number] = ours - order.remaining(line)
    return {number: quantity for number, quantity in back.items() if quantity > 0}


def stock_is_out(saga: Fulfilment, allocation: AllocationFacts) -> bool:
    """Whether stock is held for the order, or may be: it was asked for, and nobody answered."""
    answered = allocation.reserved or bool(allocation.short)
    return allocation.holds_any or (saga.of(Step.RESERVE) is not None and not answered)


def money_is_out(saga: Fulfilment, payment: PaymentFacts) -> bool:
    """Whether money is held for the order, or may be: it was asked for, and nobody answered."""
    authorize = saga.of(Step.AUTHORIZE)
    asked = 0 if authorize is None else authorize.attempt
    unanswered = asked > payment.attempt and not payment.voided
    return payment.held_minor > 0 or payment.pending or unanswered


def needs_no_money(order: Order, saga: Fulfilment, payment: PaymentFacts) -> bool:
    """Whether the stock may be committed: the money is secured, or none is ours to take."""
    return not saga.charged or order.owed_minor == 0 or payment.authorized


def surplus_minor(order: Order, facts: Facts) -> int:
    """How much was taken beyond what is owed, and neither given back nor promised for returns."""
    payment = facts.payment
    left = payment.kept_minor - promised_minor(facts)
    return max(0, min(taken_minor(payment) - order.owed_minor, left))


def promised(facts: Facts) -> Mapping[str, int]:
    """Give what is to go back for receipts of returns, by refund, as far as it is not back.

    What the bank has sent back is to go back again; what people have left out is not.
    """
    payment = facts.payment
    return {
        receipt.subject: payment.refunding.get(receipt.subject, receipt.refund_minor)
        for each in facts.returns
        for receipt in each.receipts
        if receipt.subject not in payment.refunds
        and (receipt.subject in payment.refunding or not receipt.is_left_out)
    }


def promised_minor(facts: Facts) -> int:
    """How much is to be given back for returns that have come."""
    return sum(promised(facts).values())


def surplus_refund(payment: PaymentFacts) -> str:
    """Name the next refund of what was taken beyond what is owed: the first that is not made.

    One that was made may have been sent back since, when later ones were made.
    """
    names = (f"{SURPLUS}/{number}" for number in count(1))
    return next(name for name in names if name not in payment.refunds)


def capture_fails(saga: Fulfilment) -> bool:
    """Whether some parcel's money could not be taken so far, and people have not left that out."""
    return any(
        record.step is Step.CAPTURE and (record.attempt > 1 or record.reason != "")
        for record in saga.live()
    )


def going_minor(facts: Facts) -> int:
    """How much is on its way back, but for returns."""
    receipts = {receipt.subject for each in facts.returns for receipt in each.receipts}
    refunding = facts.payment.refunding.items()
    return sum(amount for name, amount in refunding if name not in receipts)


def is_by_hand(refund: str) -> bool:
    """Whether people asked for a refund, and not the saga."""
    return refund.startswith(f"{BY_HAND}/")


def rest_minor(order: Order, payment: PaymentFacts) -> int:
    """How much is owed that no parcel's capture took, as far as it is held."""
    return max(0, min(order.owed_minor - taken_minor(payment), payment.held_minor))


def is_off(order: Order) -> bool:
    """Whether the order ends, or has ended, without anything being sent."""
    return order.status in (
        OrderStatus.REJECTED,
        OrderStatus.EXPIRED,
        OrderStatus.CANCEL_PENDING,
        OrderStatus.CANCELLED,
    )


def is_skipped(saga: Fulfilment, step: Step, subject: str = "") -> bool:
    record = saga.of(step, subject)
    return record is not None and record.condition is Condition.SKIPPED


def taken_minor(payment: PaymentFacts) -> int:
    """How much was taken of what is owed: refunds for returns, and people's, don't change that."""
    back = sum(amount for name, amount in payment.refunds.items() if _is_surplus(name))
    return payment.captured_minor - back


def _unheard(facts: Facts) -> Mapping[int, int]:
    """Count the pieces of parcels of which inventory has yet to hear that they left."""
    sums: dict[int, int] = {}
    for parcel in facts.parcels:
        if parcel.was_dispatched and parcel.shipment_id not in facts.allocation.shipments:
            for number, quantity in parcel.pieces.items():
                sums[number] = sums.get(number, 0) + quantity
    return sums


def _is_surplus(refund: str) -> bool:
    return refund.startswith(f"{SURPLUS}/")
