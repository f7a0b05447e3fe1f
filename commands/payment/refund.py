"""Give captured money back because somebody in the shop says so."""

from dataclasses import dataclass

from commands.attempts import until_unmoved
from commands.envelopes import address_events
from commands.order.file import load_file
from commands.ports import Answer, Append, Ports, Request, Write
from domain.errors import DomainError
from domain.fulfilment.facts import BY_HAND
from domain.ids import OrderId
from domain.money import Currency
from domain.payment import decisions


@dataclass(frozen=True, slots=True)
class AskRefund:
    """Attributes: if_position: the log position of the view it was decided on; None: any."""

    order_id: OrderId
    amount_minor: int
    currency: str
    reason: str
    if_position: int | None = None


async def ask_refund(command: AskRefund, request: Request, ports: Ports) -> Answer:
    """Store what is asked for; the payment service sees to it.

    Raises:
        DomainError: `payment_not_found`; `stale_view`; the rules of
            `decisions.request_refund`; `idempotency_key_reused`; `too_much_contention`.
        StoreUnavailableError: nothing is known to be stored; asking again is safe.
    """
    refund_id = f"{BY_HAND}/{ports.names.new_event_id()}"

    async def attempt() -> Answer:
        file = await load_file(command.order_id, ports)
        earlier = await ports.store.find_answer(request)
        if earlier is not None:
            return earlier
        if file.order.state is None or file.payment.state is None:
            raise DomainError("payment_not_found", "there is no such payment")
        file.require_view(command.if_position)
        events = decisions.request_refund(
            file.payment.state,
            refund_id=refund_id,
            amount_minor=command.amount_minor,
            currency=Currency(command.currency),
            reason=command.reason,
            promised=file.promised_refunds,
        )
        addressed = address_events(events, request, ports, occurred_at=ports.clock.now())
        body: dict[str, str | int] = {
            "order_id": str(command.order_id),
            "refund_id": refund_id,
            "version": file.payment.version + len(events),
        }
        return await ports.store.append(
            Append(
                writes=[Write(file.payment, addressed, command.order_id)],
                read=[file.returns],
                request=request,
                answer=Answer(body),
                customer_id=file.order.state.customer_id,
            )
        )

    return await until_unmoved(attempt)
