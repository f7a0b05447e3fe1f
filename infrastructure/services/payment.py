"""The payment service: asks the provider for what the saga and people ask of an order's money.

What is asked for is stored in the order's payment stream, then becomes a task for each call that
is open. So a provider that is slow, away or talks nonsense holds up nobody else: its calls are
tried again with growing pauses, and whoever is on call sees them.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import structlog
from prometheus_client import Counter

from commands.attempts import side_by_side
from commands.order.file import OrderFile, load_files
from commands.payment.calls import Asked, NotYetError, make_call
from commands.payment.gateway import GatewayUnknownError, PaymentGateway
from commands.payment.request import PAYMENTS, STEPS, request_step
from domain.envelope import Recorded
from domain.errors import DomainError
from domain.events import DomainEvent
from domain.fulfilment.events import FulfilmentStepStarted
from domain.ids import OrderId, StreamId, payment_stream
from domain.order.events import OrderPlaced
from domain.payment.events import PaymentVoidRequested, RefundRequested
from domain.payment.open_calls import Authorize, Call, open_calls
from domain.payment.state import PAYMENT, Payment
from infrastructure import composition
from infrastructure.event_store.catalog import CATALOG
from infrastructure.event_store.order_reader import OrderReader
from infrastructure.postgres.tasks import Task, Tasks
from infrastructure.services.reactions import Service
from infrastructure.services.run import Parts, Running, run_service

CALLS = "payment.calls"
TYPES = (FulfilmentStepStarted, RefundRequested, PaymentVoidRequested)
AT_ONCE = 32
"""Calls that are under way at one time; a slow one holds up no others but by its place here."""
CALL_WITHIN_S = 30.0
LEASE_S = 40.0
"""A call and some: then whoever had it is dead, and somebody else asks what came of it."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 2.0, 300.0

_log = structlog.get_logger(__name__)
_calls = Counter("ordertrail_payment_calls", "Calls of the provider, by what came", ["outcome"])


def serve(port: int) -> None:
    """Run the service until SIGTERM."""
    run_service(PAYMENTS.subject, wire, port=port)


@asynccontextmanager
async def wire(parts: Parts) -> AsyncIterator[Running]:
    """Wire it: it reacts, and makes the calls that are due."""
    reader = composition.order_reader(parts.settings.store, pool_size=2)
    try:
        async with composition.payment_gateway(parts.settings) as gateway:
            service = _Payments(parts, gateway, reader)
            types = frozenset(CATALOG.name_of(kind) for kind in TYPES)
            yield Running(
                Service(PAYMENTS.subject, types, service.react),
                chores=(service.make_calls,),
                news=service.news,
            )
    finally:
        reader.close()


class _Payments:
    def __init__(self, parts: Parts, gateway: PaymentGateway, reader: OrderReader) -> None:
        self._ports = parts.ports
        self._tasks: Tasks = parts.tasks
        self._gateway = gateway
        self._reader = reader
        self.news = asyncio.Event()

    async def react(self, events: Sequence[Recorded[DomainEvent]]) -> None:
        """Store what is asked for, and have it called for."""
        by_order: dict[OrderId, list[Recorded[DomainEvent]]] = {}
        for recorded in events:
            if recorded.order_id is not None and _is_ours(recorded.event):
                by_order.setdefault(recorded.order_id, []).append(recorded)
        files = await load_files(list(by_order), self._ports)
        pairs = zip(by_order.values(), files, strict=True)
        open_now = await side_by_side(self._react(*pair) for pair in pairs)
        now = datetime.now(UTC)
        calls = [
            (_key(order_id, call), order_id, now)
            for order_id, payment in zip(by_order, open_now, strict=True)
            for call in open_calls(payment)
        ]
        await self._tasks.put(CALLS, calls)
        if calls:
            self.news.set()

    async def make_calls(self) -> int:
        """Make the calls that are due; give how many."""
        due = await self._tasks.take(CALLS, lease_s=LEASE_S, limit=AT_ONCE)
        wanted = [(payment_stream(task.order_id), PAYMENT) for task in due]
        # Two calls of one order share its stream.
        streams = await self._ports.store.load_all(list(dict.fromkeys(wanted)))
        payments: dict[StreamId, Payment | None] = {one.stream: one.state for one in streams}
        await side_by_side(
            self._make(task, payments[payment_stream(task.order_id)]) for task in due
        )
        return len(due)

    async def _react(
        self, events: Sequence[Recorded[DomainEvent]], file: OrderFile
    ) -> Payment | None:
        """Store what is asked for of one order; give its payment after that."""
        payment = file.payment.state
        fresh: OrderFile | None = file
        for recorded in events:
            if isinstance(recorded.event, FulfilmentStepStarted):
                payment = await request_step(
                    recorded.event, recorded.envelope, self._gateway.name, self._ports, file=fresh
                )
                fresh = None
        return payment

    async def _make(self, task: Task, payment: Payment | None) -> None:
        call = next(
            (one for one in open_calls(payment) if _key(task.order_id, one) == task.key), None
        )
        if call is None or payment is None:
            await self._tasks.done(task)
            return
        problem = await self._call(task, call, payment)
        if problem is None:
            await self._tasks.done(task)
        else:
            pause_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** min(task.tries - 1, 20))
            await self._tasks.put_off(task, seconds=pause_s, problem=problem)

    async def _call(self, task: Task, call: Call, payment: Payment) -> str | None:
        """Make one call; give why it is to be made again."""
        try:
            asked = await asyncio.to_thread(self._asked, task, call)
            async with asyncio.timeout(CALL_WITHIN_S):
                after = await make_call(asked, payment, self._gateway, self._ports)
        except NotYetError as error:
            return str(error)
        except (GatewayUnknownError, TimeoutError) as error:
            _calls.labels("unknown").inc()
            _log.warning("payment_call_unknown", call=task.key, reason=type(error).__name__)
            return f"the outcome is not known: {error or type(error).__name__}"
        except DomainError as error:
            _calls.labels("nonsense").inc()
            _log.error("payment_call_refused", call=task.key, code=error.code)
            return f"{error.code}: {error.detail}"
        _calls.labels("answered").inc()
        # It may wait for its customer now; then the provider is asked from time to time.
        if isinstance(call, Authorize) and call in open_calls(after):
            return "the customer has not confirmed it with their bank yet"
        return None

    def _asked(self, task: Task, call: Call) -> Asked:
        """Collect what a call needs from the order's events, with its token opened."""
        events = self._reader.events(task.order_id)
        placed = events[0].event
        token = placed.personal.payment_token if isinstance(placed, OrderPlaced) else None
        # The oldest event of the stream bounds from when on the provider may know of it.
        ours = [one for one in events if one.stream == payment_stream(task.order_id)]
        envelope = ours[0].envelope
        return Asked(
            order_id=task.order_id,
            call=call,
            again=task.tries > 1,
            token=token,
            asked_at=envelope.occurred_at,
            correlation_id=envelope.correlation_id,
        )


def _is_ours(event: DomainEvent) -> bool:
    return not isinstance(event, FulfilmentStepStarted) or event.step in STEPS


def _key(order_id: OrderId, call: Call) -> str:
    return f"{order_id}/{call.key}"
