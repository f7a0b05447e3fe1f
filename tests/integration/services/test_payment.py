"""The payment service on a real database and the sandbox's ledger: each odd way that money goes."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg.rows import dict_row

from commands.order.cancel import CancelOrder, cancel_order
from commands.order.change import Target
from commands.payment.refund import AskRefund, ask_refund
from commands.payment.webhook import record_provider_event
from commands.returns.returning import (
    RequestReturn,
    approve_return,
    receive_return,
    request_return,
)
from domain.envelope import Role
from domain.ids import OrderId, ReturnId, Sku
from domain.payment.state import Outcome, Payment
from domain.returns.decisions import LineToReceive
from domain.returns.events import ReturnReason
from domain.shipment.pieces import LineRequest
from infrastructure import composition
from infrastructure.payments.sandbox import SandboxGateway, open_sandbox
from infrastructure.services import payment_calls
from infrastructure.services.payment_calls import CALLS
from infrastructure.settings import Settings
from tests.agreement import assert_agreement, read_books
from tests.integration.services.orders import place, stock
from tests.integration.services.town import Town, asks, open_town

A = Sku("A")
PRICE = 255


class CutOffError(Exception):
    """What a process dies of, as far as a test goes."""


class Watched:
    """The sandbox's gateway, and what was asked of it.

    Attributes:
        asked: names of the calls, in their order.
        cut: calls after which the process dies, once each: done there, and not stored here.
        gate: a call to authorize with `tok_slow` waits for it.
    """

    name = "sandbox"

    def __init__(self, sandbox: SandboxGateway) -> None:
        sandbox._slow_s = 0
        self.sandbox = sandbox
        self.asked: list[str] = []
        self.cut: set[str] = set()
        self.gate = asyncio.Event()

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        async def ask(**what: Any) -> Any:
            self.asked.append(name)
            if what.get("token") == "tok_slow":
                await self.gate.wait()
            answer = await getattr(self.sandbox, name)(**what)
            if name in self.cut:
                self.cut.remove(name)
                raise CutOffError(name)
            return answer

        return ask


@pytest.fixture
async def gateway(
    settings: Settings, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Watched]:
    del settings  # only what it puts into the environment
    async with open_sandbox(database_url, "whsec") as sandbox:
        watched = Watched(sandbox)

        @asynccontextmanager
        async def wired(_: Settings) -> AsyncIterator[Watched]:
            yield watched

        monkeypatch.setattr(composition, "payment_gateway", wired)
        yield watched


async def agree(town: Town, database_url: str) -> dict[str, int]:
    books = await read_books(database_url, town.ports)
    assert_agreement(books)
    return dict(books.statuses())


async def ledger(database_url: str, columns: str) -> list[dict[str, Any]]:
    async with await psycopg.AsyncConnection.connect(
        database_url, row_factory=dict_row
    ) as connection:
        query = f"SELECT {columns} FROM sandbox.authorizations ORDER BY created_at"
        return await (await connection.execute(query)).fetchall()


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

        async def waits() -> bool:
            state = (await town.file(order)).payment.state
            return state is not None and state.attempts[1].outcome is Outcome.ACTION_REQUIRED

        await town.until(waits)
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


async def test_an_authorization_that_comes_after_the_cancellation_is_let_go_of(
    settings: Settings, gateway: Watched, database_url: str
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
        gateway.gate.set()
        town.patient = True
        await town.rest()
        assert await agree(town, database_url) == {"cancelled": 1}
        assert await ledger(database_url, "status, captured_minor, released_minor") == [
            {"status": "released", "captured_minor": 0, "released_minor": PRICE}
        ]


async def test_a_crash_between_the_provider_and_the_log_moves_no_money_twice(
    settings: Settings, gateway: Watched, database_url: str
) -> None:
    """One order is paid, and given back in part, by hand and as a return; another is called off."""
    orders: list[OrderId] = []

    async def buy(town: Town) -> None:
        await stock(town.ports, A=9)
        orders.extend([await place(town.ports, A=3), await place(town.ports, A=1)])

    async def send(town: Town) -> None:
        await town.deliver(orders[0], await town.send(orders[0], [LineRequest(A, 3)]))

    async def give_back(town: Town) -> None:
        await ask_refund(AskRefund(orders[0], 100, "GBP", "sorry"), asks(), town.ports)

    async def call_off(town: Town) -> None:
        await cancel_order(CancelOrder(orders[1], reason="no"), asks(), town.ports)

    for call, do in (
        ("authorize", buy),
        ("capture", send),
        ("refund", give_back),
        ("refund", bring_back(orders)),
        ("void", call_off),
    ):
        gateway.cut.add(call)
        with pytest.raises(CutOffError):
            await live(settings, do)
        await live(settings)
    async with open_town(settings) as town:
        assert await agree(town, database_url) == {"completed": 1, "cancelled": 1}
    columns = "captured_minor, refunded_minor, released_minor"
    assert await ledger(database_url, columns) == [
        {"captured_minor": 3 * PRICE, "refunded_minor": 100 + PRICE, "released_minor": 0},
        {"captured_minor": 0, "refunded_minor": 0, "released_minor": PRICE},
    ]


async def live(settings: Settings, do: Callable[[Town], Awaitable[None]] | None = None) -> None:
    """Do it in a town of its own, and wait for what comes of it."""
    async with open_town(settings) as town:
        if do is not None:
            await do(town)
        await town.rest()


def bring_back(orders: list[OrderId]) -> Callable[[Town], Awaitable[None]]:
    async def one_piece(town: Town) -> None:
        await receive(town, orders[0], 1)

    return one_piece


async def receive(town: Town, order_id: OrderId, pieces: int) -> None:
    """Take back so many pieces in a return of their own."""
    target = Target(order_id)
    command = RequestReturn([LineRequest(A, pieces)], ReturnReason.UNWANTED, "no")
    answer = await request_return(target, command, asks(), town.ports)
    return_id = ReturnId(UUID(str(answer.body["return_id"])))
    await approve_return(target, return_id, asks(), town.ports)
    lines = [LineToReceive(A, pieces, restock=pieces)]
    await receive_return(target, return_id, lines, asks(), town.ports)
