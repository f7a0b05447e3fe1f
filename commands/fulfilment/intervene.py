"""What people on call decide about a stuck step: try it again, or go on without it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from commands.attempts import until_unmoved
from commands.fulfilment.advance import store_reaction
from commands.order.file import load_file
from commands.ports import Ports, Request
from domain.errors import DomainError
from domain.fulfilment import on_call
from domain.fulfilment.events import FulfilmentEvent, Step
from domain.fulfilment.facts import PaymentFacts
from domain.fulfilment.state import Fulfilment
from domain.fulfilment.timing import Timing
from domain.ids import OrderId


@dataclass(frozen=True, slots=True)
class StuckStep:
    """Attributes: subject: which parcel, return or refund; '' where there is only one."""

    order_id: OrderId
    step: Step
    subject: str = ""


async def retry_step(stuck: StuckStep, request: Request, ports: Ports, timing: Timing) -> None:
    """Have it tried again. Raises DomainError as `on_call.retry`; `order_not_found`."""

    def decide(saga: Fulfilment, _: PaymentFacts) -> Sequence[FulfilmentEvent]:
        now = ports.clock.now()
        return on_call.retry(saga, stuck.step, stuck.subject, now=now, timing=timing)

    await _intervene(stuck, decide, request, ports)


async def skip_step(stuck: StuckStep, reason: str, request: Request, ports: Ports) -> None:
    """Have it left out. Raises DomainError as `on_call.skip`; `order_not_found`."""

    def decide(saga: Fulfilment, payment: PaymentFacts) -> Sequence[FulfilmentEvent]:
        return on_call.skip(saga, stuck.step, stuck.subject, reason=reason, payment=payment)

    await _intervene(stuck, decide, request, ports)


async def _intervene(
    stuck: StuckStep,
    decide: Callable[[Fulfilment, PaymentFacts], Sequence[FulfilmentEvent]],
    request: Request,
    ports: Ports,
) -> None:
    async def attempt() -> None:
        file = await load_file(stuck.order_id, ports)
        if file.order.state is None or file.fulfilment.state is None:
            raise DomainError("order_not_found", "no saga leads such an order")
        decided = [(file.fulfilment, decide(file.fulfilment.state, file.facts.payment))]
        await store_reaction(file, decided, request, ports)

    await until_unmoved(attempt)
