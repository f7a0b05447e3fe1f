"""One log per test, with seals and their copies, and what somebody with all rights does to it."""

import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import psycopg
import pytest

from commands.order.cancel import CancelOrder, cancel_order
from commands.order.place import place_order
from commands.ports import Ports
from domain.ids import OrderId, Sku, order_stream
from domain.order.decisions import LineToCancel
from infrastructure.audit.copies import SealCopies
from infrastructure.audit.log import Connection
from infrastructure.audit.report import Fault, Report
from infrastructure.audit.sealer import Sealer
from infrastructure.audit.seals import (
    new_signing_key,
    public_half,
    read_public_keys,
    read_signing_key,
)
from infrastructure.audit.verify import BEGINNING, Verified, Verifier
from infrastructure.composition import RandomNames, SystemClock
from infrastructure.event_store.store import open_event_store
from infrastructure.local.ports import free_port
from infrastructure.local.s3 import ACCESS_KEY_ID, REGION, S3Server
from infrastructure.settings import CopySettings
from tests.integration.event_store.test_event_store import MASTER_KEY, order, request

SEAL_EVENTS = 6


@dataclass
class History:
    """Orders by letter. The log, once it is told: a b c a b d | a e | b f, with two seals."""

    database_url: str
    settings: CopySettings
    key_file: Path
    ports: Ports
    orders: dict[str, OrderId] = field(default_factory=dict)

    async def happen(self, letters: str) -> None:
        """Place an order at its first letter; cancel one piece of it at each other."""
        for letter in letters:
            if letter in self.orders:
                piece = [LineToCancel(Sku("85123A"), 1)]
                command = CancelOrder(self.orders[letter], reason="one less", lines=piece)
                await cancel_order(command, request(), self.ports)
            else:
                answer = await place_order(order(quantity=9), request(), self.ports)
                self.orders[letter] = answer.order_id

    def stream(self, letter: str) -> str:
        return order_stream(self.orders[letter])

    @property
    def copies(self) -> SealCopies:
        return SealCopies(self.settings)

    @property
    def s3(self) -> Any:
        """Give a client of the bucket, for what our own adapter never does."""
        secret = self.settings.s3_secret_access_key
        assert secret is not None
        return boto3.client(
            "s3",
            endpoint_url=self.settings.s3_endpoint_url,
            region_name=self.settings.s3_region,
            aws_access_key_id=self.settings.s3_access_key_id,
            aws_secret_access_key=secret.get_secret_value(),
        )

    def sealer(self, key_file: Path | None = None, seal_events: int = SEAL_EVENTS) -> Sealer:
        return Sealer(
            read_signing_key(key_file or self.key_file),
            read_public_keys(self.settings.seal_public_key_file),
            self.copies,
            seal_events=seal_events,
        )

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        with closing(psycopg.connect(self.database_url, autocommit=True)) as connection:
            yield connection

    def seal(self, key_file: Path | None = None) -> None:
        """Seal everything; copy nothing."""
        with self.connect() as connection:
            while self.sealer(key_file).seal_next(connection, after_s=0):
                pass

    def copy(self) -> list[str]:
        """Copy what S3 lacks; gives what went wrong."""
        with self.connect() as connection:
            looked = self.sealer().copy_after(connection, 0)
        assert not looked.gone
        return [f"{fault.number}: {fault.what}" for fault in looked.faults]

    def tamper(self, *statements: str, **parameters: object) -> None:
        """Run SQL as a superuser, whom no constraint holds up, in one transaction."""
        with psycopg.connect(self.database_url) as connection:
            connection.execute("ALTER TABLE events DROP CONSTRAINT IF EXISTS events_from_one")
            for statement in statements:
                connection.execute(statement, parameters)

    def verify(self, begin: Verified = BEGINNING) -> Report:
        return self.verify_from(begin)[0]

    def verify_from(self, begin: Verified) -> tuple[Report, Verified]:
        keys = read_public_keys(self.settings.seal_public_key_file)
        with self.connect() as connection:
            return Verifier(connection, self.copies, keys, begin).verify()

    def first_fault(self) -> Fault:
        report = self.verify()
        assert report.exit_code == 1
        return report.in_order()[0]


def away(history: History) -> SealCopies:
    """Give copies that can't be reached."""
    url = f"http://127.0.0.1:{free_port()}"
    return SealCopies(history.settings.model_copy(update={"s3_endpoint_url": url}))


@pytest.fixture
async def history(database_url: str, s3_server: S3Server, tmp_path: Path) -> AsyncIterator[History]:
    key, public = tmp_path / "seal.key", tmp_path / "seal.pub"
    key.write_text(new_signing_key())
    public.write_text(public_half(key))
    settings = CopySettings(
        seal_bucket=f"seals-{secrets.token_hex(6)}",
        seal_public_key_file=public,
        s3_endpoint_url=s3_server.endpoint_url,
        s3_region=REGION,
        s3_access_key_id=ACCESS_KEY_ID,
        s3_secret_access_key=s3_server.secret,
    )
    SealCopies(settings).make_bucket()
    async with open_event_store(database_url, MASTER_KEY, pool_size=1, pool_timeout_s=5) as store:
        yield History(database_url, settings, key, Ports(store, SystemClock(), RandomNames()))


@pytest.fixture
async def told(history: History) -> History:
    """Give a history with two seals, both copied, and two events after them."""
    await history.happen("abcabd")
    history.seal()
    await history.happen("ae")
    history.seal()
    assert history.copy() == []
    await history.happen("bf")
    return history
