"""The payment service on a real database and the sandbox's ledger: each odd way that money goes."""

import asyncio
from typing import Any

import psycopg
import pytest

from commands.inventory.stock import ListItem, list_item
from commands.order.cancel import CancelOrder, cancel_order
from commands.order.change import Target
from commands.order.hold import hold_order, release_hold
from commands.payment.gateway import AuthorizationRecord, GatewayUnknownError
from commands.payment.webhook import record_provider_event
from domain.envelope import Role
from domain.errors import DomainError
from domain.fulfilment.events import Step
from domain.fulfilment.state import Condition
from domain.ids import OrderId, Sku
from domain.order.decisions import LineToCancel
from domain.order.events import HoldReason
from domain.payment.state import Outcome, Payment
from domain.payment.status import PaymentStatus, payment_status
from domain.shipment.pieces import LineRequest
from infrastructure.services import payment_calls
from infrastructure.services.payment_calls import CALLS
from infrastructure.settings import Settings
from tests.integration.services.conftest import FAST
from tests.integration.services.orders import GBP, place, stock
from tests.integration.services.provider import Watched, agree, ledger
from tests.integration.services.town import Town, asks, open_town

A = Sku("A")
PRICE = 255


async def payment(town: Town, order_id: OrderId) -> Payment:
    state = (await town.file(order_id)).payment.state
    assert state is not None
    return state


async def status(town: Town, order_id: OrderId) -> str:
    order = (await town.file(order_id)).order.state
    assert order is not None
    return str(order.status)


async def test_a_card_is_charged_while_another_one_s_bank_takes_its_time(
    settings: Settings, gateway: Watched, database_url: str
) -> None:
    async with open_town(settings) as town:
        town.patient = False
        await stock(town.ports, A=5)
        slow = await place(town.ports, "tok_slow", A=1)

        async def slow_is_open() -> bool:
            return gateway.asked == ["authorize"]

        await town.until(slow_is_open)
        quick = await place(town.ports, A=1)

        async def quick_is_over() -> bool:
            return await status(town, quick) == "confirmed"

        await town.until(quick_is_over)
        assert await status(town, slow) == "pending"
        # Its lease has run out many times meanwhile: this process still calls it only once.
        assert gateway.asked == ["authorize", "authorize"]
        gateway.gate.set()
        town.patient = True
        await town.rest()
        assert await agree(town, database_url) == {"confirmed": 2}


async def test_no_more_calls_are_begun_than_there_are_places(
    settings: Settings, gateway: Watched, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(payment_calls, "AT_ONCE", 2)
    async with open_town(settings) as town:
        town.patient = False
        await stock(town.ports, A=5)
        orders = [await place(town.ports, "tok_slow", A=1) for _ in range(3)]

        async def all_are_asked_for() -> bool:
            tasks = [await town.parts.tasks.of_order(one) for one in orders]
            return sum(task.queue == CALLS for some in tasks for task in some) == len(orders)

        await town.until(all_are_asked_for)
        await town.round()
        assert gateway.asked == ["authorize"] * 2
        gateway.gate.set()
        town.patient = True
        await town.rest()
        assert await agree(town, database_url) == {"confirmed": 3}


async def test_parcels_of_one_order_that_leave_together_are_each_charged_by_one_call(
    settings: Settings, gateway: Watched, database_url: str
) -> None:
    parcels = 12
    async with open_town(settings) as town:
        await stock(town.ports, A=parcels)
        order = await place(town.ports, A=parcels)
        await town.rest()
        for _ in range(parcels):
            await town.send(order, [LineRequest(A, 1)])
        await town.rest()
        assert (await payment(town, order)).captured_minor == parcels * PRICE
        await agree(town, database_url)
    assert gateway.asked.count("capture") == parcels


async def test_a_parcel_is_charged_as_it_leaves_whichever_was_packed_first(
    settings: Settings, gateway: Watched, database_url: str
) -> None:
    async with open_town(settings) as town:
        await stock(town.ports, A=9)
        order = await place(town.ports, A=4)
        await town.rest()
        small, large = [await town.pack(order, [LineRequest(A, pieces)]) for pieces in (1, 3)]
        for parcel, taken in ((large, 3), (small, 4)):
            await town.dispatch(order, parcel)
            await town.rest()
            assert (await payment(town, order)).captured_minor == taken * PRICE
        await agree(town, database_url)
    assert gateway.asked.count("capture") == 2


@pytest.mark.parametrize("ends", ["cancelled", "expired"])
async def test_whom_nobody_waits_for_any_more_can_not_confirm_with_their_bank(
    settings: Settings,
    gateway: Watched,
    database_url: str,
    ends: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    del settings  # only what it put into the environment
    if ends == "expired":
        monkeypatch.setenv("ORDERTRAIL_SAGA_TIMING", FAST.replace("30", "2"))
    async with open_town(Settings()) as town:
        await stock(town.ports, A=5)
        order = await place(town.ports, "tok_authenticationRequired", A=1)
        await until_the_bank_asks(town, order)
        if ends == "cancelled":
            await cancel_order(CancelOrder(order, reason="no"), asks(), town.ports)

        async def is_over() -> bool:
            return await status(town, order) == ends

        await town.until(is_over)
        await agree(town, database_url)
    assert "void" in gateway.asked
    assert await ledger(database_url, "status, released_minor") == [
        {"status": "released", "released_minor": 0}
    ]


async def test_a_void_that_waited_for_an_answer_is_asked_for_once_that_has_come(
    settings: Settings, gateway: Watched, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a replay would find it, and change the document of an order that is over."""
    look_up, answers = gateway.sandbox.look_up, asyncio.Event()

    async def answer_late(**what: Any) -> AuthorizationRecord | None:
        await answers.wait()
        return await look_up(**what)

    async with open_town(settings) as town:
        town.patient = False
        await stock(town.ports, A=5)
        order = await place(town.ports, "tok_authenticationRequired", A=1)
        await until_the_bank_asks(town, order)
        monkeypatch.setattr(gateway.sandbox, "look_up", answer_late)
        await cancel_order(CancelOrder(order, reason="no"), asks(), town.ports)
        for _ in range(10):
            await town.round()
        assert (await payment(town, order)).closed
        answers.set()
        town.patient = True
        await town.rest()
        assert await agree(town, database_url) == {"cancelled": 1}
        assert (await payment(town, order)).voided_minor == 0


async def test_an_order_that_is_called_off_before_it_is_paid_asks_nobody_and_is_not_paid(
    settings: Settings, gateway: Watched, database_url: str
) -> None:
    async with open_town(settings) as town:
        await stock(town.ports, A=5)
        order = await place(town.ports, A=1)
        for worker in [
            *town.workers[:2],
            *town.workers[:2],
        ]:  # the saga has asked for the money, and payment is late
            await town._round(worker)
        saga = (await town.file(order)).fulfilment.state
        assert saga is not None
        assert saga.of(Step.AUTHORIZE) is not None
        await cancel_order(CancelOrder(order, reason="no"), asks(), town.ports)
        await town.rest()
        assert await agree(town, database_url) == {"cancelled": 1}
        assert payment_status(await payment(town, order)) is PaymentStatus.VOIDED
        assert not (await payment(town, order)).attempts
    assert gateway.asked == []


@pytest.mark.parametrize("by", ["look_up", "webhook"])
@pytest.mark.parametrize(("approve", "ends"), [(True, "confirmed"), (False, "expired")])
async def test_what_the_customer_tells_their_bank_is_heard(
    settings: Settings,
    gateway: Watched,
    database_url: str,
    by: str,
    *,
    approve: bool,
    ends: str,
) -> None:
    async with open_town(settings) as town:
        await stock(town.ports, A=5)
        order = await place(town.ports, "tok_authenticationRequired", A=1)
        await until_the_bank_asks(town, order)
        reference = (await payment(town, order)).attempts[1].reference
        assert reference is not None
        await gateway.sandbox.act(reference, approve=approve)
        if by == "webhook":
            before = list(gateway.asked)
            message = gateway.sandbox.webhook("attempt", reference)
            event = await gateway.sandbox.parse_webhook(*message)
            assert event is not None
            for _ in range(2):  # providers repeat themselves
                await record_provider_event(event, "sandbox", town.ports)
            assert (await payment(town, order)).open_attempt is None
            assert gateway.asked == before
        await town.rest()
        assert await agree(town, database_url) == {ends: 1}


@pytest.mark.parametrize("held_before", [False, True])
async def test_what_can_not_be_paid_any_more_is_held_and_stuck_at_once(
    settings: Settings, gateway: Watched, *, held_before: bool
) -> None:
    """An authorization runs out after a week or so, and then the provider lets go of it."""
    async with open_town(settings) as town:
        await stock(town.ports, A=5)
        order = await place(town.ports, A=2)
        await town.rest()
        if held_before:
            await hold_order(Target(order), "check", asks(), town.ports)
        await let_go(town, gateway, order)
        if held_before:
            await release_hold(Target(order), "checked", asks(), town.ports)
        state = (await town.file(order)).order.state
        assert state is not None
        assert state.held_for is HoldReason.AUTHORIZATION_LET_GO
        with pytest.raises(DomainError, match="on hold"):
            await town.send(order, [LineRequest(A, 1)])

        await release_hold(Target(order), "they pay cash", asks(), town.ports)
        await town.send(order, [LineRequest(A, 1)])
        await town.rest()
        file = await town.file(order)
        assert file.order.state is not None
        assert file.order.state.held_for is HoldReason.CAPTURE_FAILED
        assert file.fulfilment.state is not None
        stuck = [one for one in file.fulfilment.state.steps if one.condition is Condition.STUCK]
        assert [(one.step, one.reason) for one in stuck] == [(Step.CAPTURE, "refused")]
        assert await town.parts.tasks.failing(tries=1, limit=9) == []


async def test_gifts_are_sent_and_settled_though_the_money_of_the_rest_was_let_go_of(
    settings: Settings, gateway: Watched, database_url: str
) -> None:
    async with open_town(settings) as town:
        await stock(town.ports, A=5)
        gift = Sku("GIFT")
        await list_item(ListItem(gift, "Gift", 0, GBP, on_hand=5), asks(), town.ports)
        order = await place(town.ports, GIFT=1, A=1)
        await town.rest()
        await let_go(town, gateway, order)
        await release_hold(Target(order), "a gift", asks(), town.ports)
        parcel = await town.send(order, [LineRequest(gift, 1)])
        await town.rest()
        assert (await payment(town, order)).captures[str(parcel)].outcome is Outcome.DONE
        assert await town.parts.tasks.failing(tries=1, limit=9) == []
        await town.deliver(order, parcel)
        off = CancelOrder(order, reason="no", lines=[LineToCancel(A, 1)])
        await cancel_order(off, asks(), town.ports)
        await town.rest()
        assert await agree(town, database_url) == {"completed": 1}


async def let_go(town: Town, gateway: Watched, order: OrderId) -> None:
    """Have the provider let go of an order's money, and say so twice."""
    reference = (await payment(town, order)).attempts[1].reference
    assert reference is not None
    await gateway.sandbox.void(reference=reference, key="ran-out")
    event = await gateway.sandbox.parse_webhook(*gateway.sandbox.webhook("attempt", reference))
    assert event is not None
    for _ in range(2):
        await record_provider_event(event, "sandbox", town.ports)


async def test_a_fault_that_nobody_foresaw_holds_up_no_other_call(
    settings: Settings, gateway: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    authorize = gateway.sandbox.authorize

    async def fails(*, token: str, **what: Any) -> Any:
        if token == "tok_bad":
            raise KeyError("amount")
        return await authorize(token=token, **what)

    monkeypatch.setattr(gateway.sandbox, "authorize", fails)
    async with open_town(settings) as town:
        await stock(town.ports, A=5)
        await place(town.ports, "tok_bad", A=1)
        well = await place(town.ports, A=1)

        async def confirmed() -> bool:
            return await status(town, well) == "confirmed"

        await town.until(confirmed)
        [failing] = await town.parts.tasks.failing(tries=1, limit=9)
        assert (failing.queue, failing.problem) == (CALLS, "KeyError: 'amount'")


async def test_who_does_not_answer_in_time_after_charging_has_charged_once(
    settings: Settings, gateway: Watched, database_url: str
) -> None:
    gateway.sandbox._timeout_s = 0
    async with open_town(settings) as town:
        await stock(town.ports, A=5)
        await place(town.ports, "tok_timeoutAfterCharging", A=1)
        await town.rest()
        assert gateway.asked == ["authorize", "look_up"]
        assert await agree(town, database_url) == {"confirmed": 1}
        assert await ledger(database_url, "attempt, amount_minor") == [
            {"attempt": 1, "amount_minor": PRICE}
        ]


async def test_nonsense_is_asked_about_until_the_reservation_ends_and_is_seen_until_then(
    gateway: Watched, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORDERTRAIL_SAGA_TIMING", '{"reserve_s": 3, "answer_s": 1}')
    async with open_town(Settings()) as town:
        await stock(town.ports, A=5)
        await place(town.ports, "tok_nonsense", A=1)

        async def is_seen() -> bool:
            return bool(await town.parts.tasks.failing(tries=2, limit=9))

        await town.until(is_seen)
        [task] = await town.parts.tasks.failing(tries=2, limit=9)
        assert (task.queue, task.problem) == (CALLS, "the outcome is not known: nonsense")
        await town.rest()
        assert await agree(town, database_url) == {"expired": 1}
        assert gateway.asked[-1] == "look_up"
        assert await ledger(database_url, "attempt") == []


async def test_who_never_answers_is_hung_up_on_seen_and_asked_what_happened(
    settings: Settings, gateway: Watched, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(payment_calls, "CALL_WITHIN_S", 0.5)
    async with open_town(settings) as town:
        await stock(town.ports, A=5)
        await place(town.ports, "tok_slow", A=1)

        async def is_seen() -> bool:
            return bool(await town.parts.tasks.failing(tries=1, limit=9))

        await town.until(is_seen)
        [task] = await town.parts.tasks.failing(tries=1, limit=9)
        assert task.problem == "the outcome is not known: TimeoutError"
        monkeypatch.setattr(payment_calls, "CALL_WITHIN_S", 30.0)
        gateway.gate.set()
        await town.rest()
        assert gateway.asked[:2] == ["authorize", "look_up"]
        assert await agree(town, database_url) == {"confirmed": 1}


def test_pauses_grow_and_have_a_bound() -> None:
    pauses = [payment_calls.pause_s(tries) for tries in range(1, 30)]
    assert pauses == sorted(pauses)
    assert pauses[:3] == [2, 4, 8]
    assert pauses[-1] == payment_calls.LONGEST_PAUSE_S


async def test_the_card_of_who_was_forgotten_is_not_charged(
    settings: Settings, gateway: Watched, database_url: str
) -> None:
    async with open_town(settings) as town:
        await stock(town.ports, A=5)
        await place(town.ports, A=1)
        async with await psycopg.AsyncConnection.connect(database_url) as owner:
            await owner.execute("SELECT forget_customer('c-1')")
        await town.rest()
        assert await agree(town, database_url) == {"rejected": 1}
        assert gateway.asked == []


async def until_the_bank_asks(town: Town, order: OrderId) -> None:
    async def asks_the_customer() -> bool:
        state = (await town.file(order)).payment.state
        return state is not None and state.attempts[1].outcome is Outcome.ACTION_REQUIRED

    await town.until(asks_the_customer)


async def nobody_answers(**_: object) -> None:
    raise GatewayUnknownError("time_out")


async def test_an_authorization_that_comes_after_the_cancellation_is_let_go_of(
    settings: Settings, gateway: Watched, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_town(settings) as town:
        town.patient = False
        await stock(town.ports, A=5)
        order = await place(town.ports, "tok_slow", A=1)

        async def is_open() -> bool:
            return gateway.asked == ["authorize"]

        await town.until(is_open)
        await cancel_order(CancelOrder(order, reason="no"), asks(Role.CUSTOMER), town.ports)

        async def is_closed() -> bool:
            return (await payment(town, order)).closed

        await town.until(is_closed)
        with monkeypatch.context() as failing:
            failing.setattr(gateway.sandbox, "void", nobody_answers)
            gateway.gate.set()

            async def is_held() -> bool:
                return "void" in gateway.asked and bool((await payment(town, order)).strays)

            await town.until(is_held)
            for _ in range(5):
                await town.round()
            # The provider still holds the money: so it is not over, and not said to be.
            assert await status(town, order) == "cancel_pending"
            assert payment_status(await payment(town, order)) is PaymentStatus.AUTHORIZED
        town.patient = True
        await town.rest()
        assert await agree(town, database_url) == {"cancelled": 1}
        assert await ledger(database_url, "status, captured_minor, released_minor") == [
            {"status": "released", "captured_minor": 0, "released_minor": PRICE}
        ]
