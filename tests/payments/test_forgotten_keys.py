"""Captures of unknown outcome at a provider that has forgotten their keys: none is taken twice."""

from collections.abc import Mapping
from datetime import timedelta
from typing import cast
from uuid import uuid4

import pytest

from commands.payment.calls import NotYetError, make_call
from commands.payment.gateway import (
    AuthorizationRecord,
    Authorized,
    GatewayUnknownError,
    Moved,
    PaymentGateway,
)
from commands.ports import Ports
from domain.ids import OrderId, payment_stream
from domain.payment.events import PaymentCaptured, PaymentCaptureFailed, PaymentCaptureRequested
from domain.payment.open_calls import Capture
from domain.payment.state import PAYMENT, Outcome, Payment
from infrastructure.services.payment_calls import captures_asked_at
from tests.fakes.event_store import CountedNames, InMemoryEventStore, SystemClock
from tests.payments.calls import asked, authorized, store

CAPTURES = {"p1": 400, "p2": 300}
KEYS_KEPT = timedelta(hours=23)
LONG_AGO = 10 * KEYS_KEPT
MINUTE = timedelta(minutes=1)


class Forgetful:
    """A provider that takes whatever it is asked for, as every key is new to it."""

    keys_kept: timedelta | None = KEYS_KEPT

    def __init__(self, taken_minor: int) -> None:
        self.taken_minor = taken_minor

    async def look_up(self, **_: object) -> AuthorizationRecord:
        return AuthorizationRecord(Authorized("pi_1", 1_000), self.taken_minor)

    async def capture(self, *, amount_minor: int, **_: object) -> Moved:
        self.taken_minor += amount_minor
        return Moved(amount_minor)


class Case:
    """A payment of which some captures are under way."""

    def __init__(self, taken_minor: int) -> None:
        self.order_id = OrderId(uuid4())
        self.store = InMemoryEventStore()
        self.ports = Ports(self.store, SystemClock(), CountedNames())
        self.provider = Forgetful(taken_minor)

    async def begin(self, captures: Mapping[str, int] = CAPTURES) -> Payment:
        await store(self.ports, self.order_id, *authorized(self.order_id, "pi_1"))
        return await self.take(captures)

    async def take(self, captures: Mapping[str, int]) -> Payment:
        requests = (
            PaymentCaptureRequested(self.order_id, name, minor) for name, minor in captures.items()
        )
        return await store(self.ports, self.order_id, *requests)

    async def ask_again(self, payment: Payment, *, ago: timedelta = LONG_AGO) -> Payment:
        call = asked(self.order_id, Capture("p1", 1), again=True, ago=ago)
        await make_call(call, payment, cast("PaymentGateway", self.provider), self.ports)
        return await self.stored()

    async def stored(self) -> Payment:
        payment = (await self.ports.store.load(payment_stream(self.order_id), PAYMENT)).state
        assert payment is not None
        return payment


async def test_where_all_were_taken_all_are_booked_and_none_is_asked_for_again() -> None:
    case = Case(700)
    after = await case.ask_again(await case.begin())
    assert (after.captured_minor, after.capture_pending_minor) == (700, 0)
    assert case.provider.taken_minor == 700


async def test_where_none_was_taken_it_is_asked_for_again_however_late() -> None:
    case = Case(0)
    after = await case.ask_again(await case.begin())
    assert (after.captured_minor, after.capture_pending_minor) == (400, 300)
    assert case.provider.taken_minor == 400


async def test_where_some_were_taken_they_are_booked_and_the_others_asked_for_anew() -> None:
    case = Case(300)
    after = await case.ask_again(await case.begin(), ago=KEYS_KEPT)
    assert (after.captured_minor, after.capture_pending_minor) == (300, 400)
    assert case.provider.taken_minor == 300
    after = await case.ask_again(after)
    assert (after.captured_minor, after.capture_pending_minor) == (700, 0)
    assert case.provider.taken_minor == 700


async def test_of_captures_of_one_amount_it_makes_no_difference_which_ones_were_taken() -> None:
    case = Case(300)
    after = await case.ask_again(await case.begin({"p1": 300, "p2": 300, "p3": 300}))
    assert (after.captured_minor, after.capture_pending_minor) == (300, 600)
    assert case.provider.taken_minor == 300


async def test_while_the_keys_are_known_each_is_asked_for_by_its_own() -> None:
    case = Case(300)
    after = await case.ask_again(await case.begin(), ago=KEYS_KEPT - MINUTE)
    assert after.captures["p1"].outcome is Outcome.DONE
    assert case.provider.taken_minor == 700
    forever = Case(300)
    forever.provider.keys_kept = None
    after = await forever.ask_again(await forever.begin())
    assert after.captures["p1"].outcome is Outcome.DONE


async def test_where_none_of_them_explain_it_none_is_asked_for_by_a_forgotten_key() -> None:
    case = Case(350)
    payment = await case.begin()
    with pytest.raises(GatewayUnknownError, match="any of the captures"):
        await case.ask_again(payment, ago=KEYS_KEPT)
    assert case.provider.taken_minor == 350
    assert (await case.stored()).capture_pending_minor == 700


async def test_of_a_payment_that_has_moved_a_part_tells_nothing() -> None:
    case = Case(300)
    payment = await case.begin()
    await case.take({"p3": 300})
    with pytest.raises(NotYetError):
        await case.ask_again(payment)
    assert (await case.stored()).capture_pending_minor == 1_000


async def test_a_total_that_tells_nothing_any_more_keeps_the_call_open() -> None:
    case = Case(400)
    payment = await case.begin({"p1": 400})
    await case.take({"p2": 300})
    with pytest.raises(NotYetError):
        await case.ask_again(payment)
    assert (await case.stored()).capture_pending_minor == 700
    assert case.provider.taken_minor == 400


async def test_keys_are_as_old_as_the_newest_request_of_a_capture_under_way() -> None:
    case = Case(0)
    await case.begin({"p1": 400})
    failed = PaymentCaptureFailed(case.order_id, "p1", "no", final=False)
    await store(case.ports, case.order_id, failed)
    await case.take({"p1": 400})
    payment = await case.take({"p2": 300})
    times = [recorded.envelope.occurred_at for recorded in case.store.log]
    assert captures_asked_at(payment, case.store.log) == times[5]
    done = PaymentCaptured(case.order_id, "p2", 300)
    payment = await store(case.ports, case.order_id, done)
    assert captures_asked_at(payment, case.store.log) == times[4] > times[2]
