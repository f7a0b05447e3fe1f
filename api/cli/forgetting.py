"""`forget`: delete a customer's key, tell their orders so, and clear Redis.

Rule: the key goes first, and what follows can be done again until it is done. So killed at any
moment, the same command finishes it.
"""

import asyncio
import getpass
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from api.cli.audit_export import connected
from api.cli.orders import fail
from api.cli.steps import Tell, steps
from api.cli.store import load_environment

if TYPE_CHECKING:
    from domain.ids import CustomerId, OrderId
    from infrastructure.event_store.customers import Customers
    from infrastructure.event_store.forgetting import Told
    from infrastructure.rebuild.parts import Parts

LONGEST_NAME = 128
KEYS_SHOWN = 5
AGAIN = "not all is done yet: run this again to finish it"
BY_HAND = "what has another key than {order-N}:gN:document:ID is none of ours: delete it by hand"


def register(app: typer.Typer) -> None:
    app.command()(forget)


def forget(
    customer: Annotated[str, typer.Argument(help="The customer's id.")],
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do it. It can't be undone.")] = False,
    by: Annotated[
        str | None, typer.Option(help="Who does it, for the history; your login by default.")
    ] = None,
    wait_s: Annotated[
        float, typer.Option("--wait", min=0, help="Seconds to wait for Redis to catch up.")
    ] = 30.0,
) -> None:
    """Forget a customer: nobody can read their name, address, e-mail or phone any more.

    The orders stay, without them. Killed at any moment, it can be run again to finish.
    """
    import psycopg
    import redis

    from domain.errors import DomainError, UnavailableError
    from domain.ids import CustomerId
    from infrastructure.redis.shard import DocumentMovedError

    load_environment()
    customer_id, actor = CustomerId(customer), by or getpass.getuser()
    if len(actor) > LONGEST_NAME or not actor.isprintable():
        raise typer.BadParameter("give a printable name, 128 characters at most", param_hint="--by")
    with _customers() as customers:
        known = customers.find(customer_id)
        if known is None:
            fail(f"there is no customer {customer}")
        if not yes and known.forgotten_at is not None:
            when = known.forgotten_at.isoformat(sep=" ", timespec="seconds")
            typer.echo(f"customer {customer} was forgotten at {when}; --yes finishes what is left")
            return
        if not yes:
            _ask(customers, customer_id)
        forgotten_at = customers.delete_key(customer_id)
        when = forgotten_at.isoformat(sep=" ", timespec="seconds")
        was = "was" if known.forgotten_at is not None else "is now"
        typer.echo(f"customer {customer} {was} forgotten at {when}: the key is deleted")
        try:
            _finish(customers.orders(customer_id), actor, wait_s)
        except (
            DomainError,
            UnavailableError,
            DocumentMovedError,
            psycopg.OperationalError,
            redis.RedisError,
        ) as error:
            fail(f"{error}\n{AGAIN}")


def _ask(customers: "Customers", customer_id: "CustomerId") -> NoReturn:
    orders = customers.orders(customer_id)
    fail(
        f"this would delete the key of customer {customer_id} for good: the personal data in"
        f" {len(orders)} orders ({customers.count_events(orders)} events) could not be read by"
        " anybody, and no new order would be taken for this id.\n"
        "Nothing was done: add --yes to do it."
    )


def _finish(orders: Sequence["OrderId"], by: str, wait_s: float) -> None:
    """Do all that follows from a deleted key; what was done before is found done."""
    from infrastructure import composition
    from infrastructure.redis import forgetting
    from infrastructure.redis.generations import Generations
    from infrastructure.settings import StoreSettings, ViewSettings

    parts = composition.rebuild_parts(StoreSettings(), ViewSettings())
    client, reader = parts.client, parts.reader
    generations = Generations(client, parts.partitions)
    with steps() as tell, _rebuilds_kept_out(parts) as kept_out:
        told = asyncio.run(_tell_orders(orders, by, tell))
        head = reader.head()
        forgetting.await_position(
            generations,
            head,
            within_s=wait_s,
            tell=lambda reached: tell("waiting for Redis", reached, head),
        )
        rewritten = forgetting.rewrite_documents(client, generations, reader, orders)
        rewritten += forgetting.clear_elsewhere(client, generations, orders)
        left = list(forgetting.leftovers(client, orders))
        problems = forgetting.rewrite_files(client)
    if left:
        some = ", ".join(left[:KEYS_SHOWN])
        fail(f"still in Redis are {len(left)} documents, such as {some}\n{AGAIN}\n{BY_HAND}")
    typer.echo(
        f"{len(orders) - len(told.unreadable)} orders say so, {told.now} of them since now;"
        f" Redis shows nothing personal of them ({rewritten} documents were rewritten in place)"
    )
    for problem in problems:
        typer.echo(f"but on Redis's disk: {problem}")
    if not kept_out:
        fail(f"a rebuild is running, and writes what it had read before: let it end\n{AGAIN}")
    if told.unreadable:
        names = ", ".join(map(str, told.unreadable))
        fail(f"this version can't read these orders, so they don't say so yet: {names}\n{AGAIN}")


@contextmanager
def _rebuilds_kept_out(parts: "Parts") -> Iterator[bool]:
    """Let no rebuild begin; False: one is at work."""
    from infrastructure.rebuild.log import opened

    with opened(parts.connect) as log:
        yield log.keep_rebuilds_out()


async def _tell_orders(orders: Sequence["OrderId"], by: str, tell: Tell) -> "Told":
    from infrastructure import composition
    from infrastructure.event_store.forgetting import tell_orders
    from infrastructure.settings import StoreSettings

    async with composition.command_ports(StoreSettings()) as ports:
        return await tell_orders(
            orders, by, ports, tell=lambda done: tell("telling orders", done, len(orders))
        )


@contextmanager
def _customers() -> Iterator["Customers"]:
    """Connect as the owner: nobody else may delete a key."""
    from infrastructure.event_store.customers import Customers
    from infrastructure.settings import MigrationSettings

    with connected(MigrationSettings().postgres_owner_url.get_secret_value()) as connection:
        yield Customers(connection)
