"""Makes the calls of the payment provider that are due, many at a time.

Rule: a slow call takes up one place and holds up no other. Whoever makes a call has its task under
a lease that is longer than the call may take; so a call that a crash cut off comes due again, and
none is made twice at once.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from math import ldexp

import structlog
from prometheus_client import Counter

from commands.payment.calls import Asked, NotYetError, make_call
from commands.payment.gateway import GatewayUnknownError, PaymentGateway
from commands.ports import StreamUnreadableError
from domain.envelope import Recorded
from domain.errors import DomainError, UnavailableError
from domain.events import DomainEvent
from domain.ids import OrderId, payment_stream
from domain.order.events import OrderPlaced
from domain.payment.events import PaymentCaptureRequested, PaymentEvent
from domain.payment.open_calls import Authorize, Call, Capture, open_calls
from domain.payment.state import PAYMENT, Outcome, Payment
from infrastructure.event_store.order_reader import OrderReader, UnreadableEventError
from infrastructure.postgres import tasks as tasks_table
from infrastructure.postgres.tasks import Task
from infrastructure.services.faults import note
from infrastructure.services.run import Parts
from projections.order.past import Events

CALLS = "payment.calls"
AT_ONCE = 32
"""Calls that are under way at one time."""
CALL_WITHIN_S = 30.0
"""A call with what is stored after it, but for its task."""
READ_WITHIN_S = 5.0
"""What calls need to know of their orders."""
POOL_WITHIN_S = 5.0
LEASE_S = READ_WITHIN_S + CALL_WITHIN_S + 2 * (POOL_WITHIN_S + tasks_table.WITHIN_S)
"""The reading, the call, and the two statements that take its task and end it: then whoever had it
is dead, and somebody else asks what came of it."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 2.0, 300.0

_log = structlog.get_logger(__name__)
_calls = Counter("ordertrail_payment_calls", "Calls of the provider, by what came", ["outcome"])


class Calls:
    """The calls of one process. They end with `group`, and the first that fails ends it.

    Attributes:
        news: set where a call is to be made, or there is room again for one.
    """

    def __init__(
        self,
        parts: Parts,
        gateway: PaymentGateway,
        reader: OrderReader,
        group: asyncio.TaskGroup,
    ) -> None:
        self._ports = parts.ports
        self._tasks = parts.tasks
        self._gateway = gateway
        self._reader = reader
        self._group = group
        self._under_way: set[str] = set()
        self.news = asyncio.Event()

    async def ask_for(self, payments: Mapping[OrderId, Payment | None]) -> None:
        """Have the calls made that are open with some payments."""
        now = datetime.now(UTC)
        calls = [
            (_key(order_id, call), order_id, now)
            for order_id, payment in payments.items()
            for call in open_calls(payment)
        ]
        await self._tasks.put(CALLS, calls)
        # What waits for a customer is asked about in long pauses; once it is called off, at once.
        called_off = [
            (_key(order_id, Authorize(payment.open_attempt)), order_id, now)
            for order_id, payment in payments.items()
            if payment is not None and payment.open_attempt is not None and _waits_in_vain(payment)
        ]
        await self._tasks.sooner(CALLS, called_off)
        if calls:
            self.news.set()

    async def begin(self) -> int:
        """Begin the calls that are due, as far as there is room; give how many were begun."""
        room = AT_ONCE - len(self._under_way)
        due = await self._tasks.take(CALLS, lease_s=LEASE_S, limit=room) if room else ()
        # One whose lease has run out while it is under way here is left to run out once more.
        begun = [task for task in due if task.key not in self._under_way]
        orders = await self._read({task.order_id for task in begun}) if begun else {}
        if orders is None:
            for task in begun:
                problem = f"its order could not be read in {READ_WITHIN_S:.0f} s"
                await self._tasks.put_off(task, seconds=pause_s(task.tries), problem=problem)
            return 0
        for task in begun:
            self._under_way.add(task.key)
            making = self._make(task, orders[task.order_id])
            call = self._group.create_task(making, name=f"{CALLS}/{task.key}")
            call.add_done_callback(partial(self._end, task.key))
        return len(begun)

    async def _go_on(self, order_id: OrderId, calls: Sequence[Call]) -> None:
        """Have the calls made that this one's answer opened, such as a void that waited for it."""
        if calls:
            now = datetime.now(UTC)
            await self._tasks.put(CALLS, [(_key(order_id, one), order_id, now) for one in calls])
            self.news.set()

    async def _read(
        self, order_ids: Collection[OrderId]
    ) -> Mapping[OrderId, Events | UnreadableEventError] | None:
        """Read orders; None: that took too long, which is no reason to end calls under way."""
        try:
            async with asyncio.timeout(READ_WITHIN_S):
                return await asyncio.to_thread(self._reader.events_of, list(order_ids))
        except TimeoutError:
            return None

    def _end(self, key: str, _call: asyncio.Task[None]) -> None:
        if len(self._under_way) == AT_ONCE:
            self.news.set()
        self._under_way.remove(key)

    async def _make(self, task: Task, events: Events | UnreadableEventError) -> None:
        try:
            async with asyncio.timeout(CALL_WITHIN_S):
                problem = await self._call(task, events)
        except NotYetError:
            await self._tasks.put_off(task, seconds=pause_s(task.tries), problem=None)
            return
        except TimeoutError:
            problem = _unknown(task, TimeoutError())
        except UnavailableError:
            raise
        except Exception as error:  # noqa: BLE001 - it holds up no other order's call
            what = "payment_call_failed"
            problem = note(error, service="payment", failed=what, first=task.key, last=task.key)
        if problem is None:
            await self._tasks.done(task)
        else:
            await self._tasks.put_off(task, seconds=pause_s(task.tries), problem=problem)

    async def _call(self, task: Task, events: Events | UnreadableEventError) -> str | None:
        """Make a call that is still open; give what went wrong, if it is to be made again.

        Raises NotYetError: nothing did, and it is to be made again.
        """
        if isinstance(events, UnreadableEventError):
            return str(events)
        try:
            ours = [one for one in events if one.stream == payment_stream(task.order_id)]
            payment = PAYMENT.after(
                None, [one.event for one in ours if isinstance(one.event, PaymentEvent)]
            )
            of_task = (one for one in open_calls(payment) if _key(task.order_id, one) == task.key)
            call = next(of_task, None)
            if call is None or payment is None:
                await self._go_on(task.order_id, open_calls(payment))
                return None
            asked = _asked(task, call, payment, placed=events[0].event, ours=ours)
            after = await make_call(asked, payment, self._gateway, self._ports)
        except StreamUnreadableError as error:
            return str(error)
        except GatewayUnknownError as error:
            return _unknown(task, error)
        except DomainError as error:
            _calls.labels("nonsense").inc()
            _log.error("payment_call_refused", call=task.key, code=error.code)
            return f"{error.code}: {error.detail}"
        _calls.labels("answered").inc()
        await self._go_on(task.order_id, [one for one in open_calls(after) if one != call])
        # It may wait for its customer now; then the provider is asked from time to time. And what
        # came of a capture's look may be the outcome of others alone.
        if isinstance(call, Authorize | Capture) and call in open_calls(after):
            raise NotYetError("nothing is known of it yet")
        return None


def _asked(
    task: Task,
    call: Call,
    payment: Payment,
    *,
    placed: DomainEvent,
    ours: Sequence[Recorded[DomainEvent]],
) -> Asked:
    """Collect what a call needs; the payment's oldest event bounds since when it may be known."""
    oldest = ours[0].envelope
    return Asked(
        order_id=task.order_id,
        call=call,
        again=task.tries > 1,
        token=placed.personal.payment_token if isinstance(placed, OrderPlaced) else None,
        asked_at=oldest.occurred_at,
        captures_asked_at=captures_asked_at(payment, ours),
        correlation_id=oldest.correlation_id,
    )


def captures_asked_at(payment: Payment, ours: Sequence[Recorded[DomainEvent]]) -> datetime:
    """When the newest of the captures under way was asked for; without one, a time before them."""
    return max(
        (
            one.envelope.occurred_at
            for one in ours
            if isinstance(one.event, PaymentCaptureRequested)
            and payment.captures[one.event.capture_id].outcome is Outcome.PENDING
        ),
        default=ours[0].envelope.occurred_at,
    )


def _waits_in_vain(payment: Payment) -> bool:
    """Whether only its customer is waited for; not where a call may be under way elsewhere."""
    attempts = payment.attempts.values()
    return payment.closed and any(one.outcome is Outcome.ACTION_REQUIRED for one in attempts)


def pause_s(tries: int) -> float:
    """Give the time until a call is made again that came to nothing so many times."""
    return min(LONGEST_PAUSE_S, ldexp(FIRST_PAUSE_S, min(tries - 1, 20)))


def _unknown(task: Task, error: Exception) -> str:
    _calls.labels("unknown").inc()
    _log.warning("payment_call_unknown", call=task.key, reason=type(error).__name__)
    return f"the outcome is not known: {str(error) or type(error).__name__}"


def _key(order_id: OrderId, call: Call) -> str:
    return f"{order_id}/{call.key}"
