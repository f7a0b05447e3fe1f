"""One pipeline per test: a new database, a new topic, an empty Redis, and workers in threads."""

import os
import secrets
import threading
import time
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis

from commands.order.cancel import CancelOrder, cancel_order
from commands.order.place import PlaceOrder, place_order
from commands.ports import Answer, Ports, Request
from domain.envelope import Actor, Role
from domain.ids import CustomerId, OrderId, Sku
from domain.money import Currency
from domain.order.decisions import LineToCancel
from domain.order.events import OrderLine, PaymentMethod
from domain.personal import PersonalData
from infrastructure import composition
from infrastructure.event_store.order_reader import OrderReader
from infrastructure.event_store.store import open_event_store
from infrastructure.processes.projector import Projector
from infrastructure.processes.relay import Relay
from infrastructure.processes.worker import Health
from infrastructure.redis import shard_keys, stored_document
from infrastructure.redis.generations import Generations
from infrastructure.settings import KafkaSettings, StoreSettings, ViewSettings

WAIT_S = 30.0


@dataclass
class Pipeline:
    """Real parts, and what a test does to them."""

    store: StoreSettings
    kafka: KafkaSettings
    views: ViewSettings
    redis: "redis.Redis"
    ports: Ports
    reader: OrderReader
    faults: list[BaseException] = field(default_factory=list)

    async def place(self, number: int) -> Answer:
        command = PlaceOrder(
            customer_id=CustomerId(f"c-{number % 7}"),
            external_reference=f"ref-{number}",
            personal=PersonalData("Ada", "ada@example.com"),
            currency=Currency("GBP"),
            lines=[OrderLine(1, Sku("85123A"), "White heart", 2, 255)],
            shipping_minor=0,
            tax_minor=0,
            discount_minor=0,
            payment=PaymentMethod.TOKEN,
        )
        return await place_order(command, self.request(f"place-{number}"), self.ports)

    async def cancel(self, order_id: OrderId, *, pieces: int | None = None) -> Answer:
        """Cancel an order, or so many of its two pieces."""
        lines = None if pieces is None else [LineToCancel(Sku("85123A"), pieces)]
        command = CancelOrder(order_id, reason="changed my mind", lines=lines)
        return await cancel_order(command, self.request(None), self.ports)

    @property
    def redis_url(self) -> str:
        return self.views.redis_url.get_secret_value()

    def give_to(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let the command line find it, as an environment does."""
        monkeypatch.setenv("ORDERTRAIL_POSTGRES_URL", self.store.postgres_url.get_secret_value())
        monkeypatch.setenv("ORDERTRAIL_MASTER_KEY_FILE", str(self.store.master_key_file))
        monkeypatch.setenv("ORDERTRAIL_REDIS_URL", self.redis_url)

    @property
    def generations(self) -> Generations:
        return Generations(self.redis, self.kafka.order_partitions)

    @staticmethod
    def request(key: str | None) -> Request:
        return Request(
            Actor("shop", Role.SERVICE), "command", "correlation", "route", None, key, b""
        )

    @contextmanager
    def relay(self) -> Iterator[Health]:
        with self._worker(
            Relay(self.store.postgres_url.get_secret_value(), self.kafka).work
        ) as one:
            yield one

    @contextmanager
    def projector(self) -> Iterator[Health]:
        with self._worker(Projector(self.kafka, self.redis, self.reader).work) as one:
            yield one

    @contextmanager
    def _worker(self, work: Callable[[threading.Event, Health], None]) -> Iterator[Health]:
        """Run a worker as its process does, but for the pause after a fault."""
        stopping, health = threading.Event(), Health()

        def run() -> None:
            while not stopping.is_set():
                try:
                    work(stopping, health)
                except Exception as error:  # noqa: BLE001
                    self.faults.append(error)
                    stopping.wait(0.2)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield health
        finally:
            stopping.set()
            thread.join(WAIT_S)
            assert not thread.is_alive()

    def stored(self, order_id: OrderId) -> stored_document.StoredDocument | None:
        partition = shard_keys.partition_of(order_id, self.kafka.order_partitions)
        return self.generations.shards[partition].read(self.generations.live(), [order_id])[
            order_id
        ]

    def await_position(self, order_id: OrderId, position: int) -> stored_document.StoredDocument:
        """Wait until an order's document has come as far as `position`."""
        until = time.monotonic() + WAIT_S
        while time.monotonic() < until:
            found = self.stored(order_id)
            if found is not None and found.position >= position:
                return found
            time.sleep(0.02)
        raise AssertionError(f"{order_id} did not reach {position}; faults: {self.faults}")

    def await_complete(self, position: int) -> None:
        """Wait until every shard says that it is complete to `position`."""
        live = self.generations.live()
        keys = [shard_keys.position_key(p, live) for p in range(self.kafka.order_partitions)]
        until = time.monotonic() + WAIT_S
        while time.monotonic() < until:
            found: Any = self.redis.mget(keys)
            if min(map(shard_keys.decode_position, found)) >= position:
                return
            time.sleep(0.02)
        raise AssertionError(f"the views did not reach {position}; faults: {self.faults}")

    def assert_views_equal_folds(self) -> int:
        """Compare every document, byte for byte, with the fold of its events; count them."""
        with psycopg.connect(self.store.postgres_url.get_secret_value()) as connection:
            ids = [row[0] for row in connection.execute("SELECT DISTINCT order_id FROM events")]
        for order_id in ids:
            found, folded = self.stored(order_id), self.reader.fold(order_id)
            assert found is not None
            assert folded is not None
            assert found.body == stored_document.body_bytes(folded)
            assert found.header == stored_document.encode(folded)[1]
        pattern = f"*:g{self.generations.live()}:document:*"
        documents = sum(1 for _ in self.redis.scan_iter(pattern, count=1000))
        assert documents == len(ids)
        return documents


@pytest.fixture
async def pipeline(
    database_url: str, redis_url: str, kafka_bootstrap: str, tmp_path: Path
) -> AsyncIterator[Pipeline]:
    key = tmp_path / "master.key"
    key.write_bytes(b64encode(os.urandom(32)))
    store = StoreSettings(postgres_url=database_url, master_key_file=key)
    kafka = KafkaSettings(
        kafka_bootstrap=kafka_bootstrap,
        order_topic=f"order-events-{secrets.token_hex(4)}",
        stock_topic=f"stock-events-{secrets.token_hex(4)}",
        projector_group=f"projector-{secrets.token_hex(4)}",
    )
    views = ViewSettings(redis_url=redis_url)
    client = composition.redis_client(views)
    client.flushall()
    async with open_event_store(
        database_url,
        b64decode(key.read_bytes()),
        pool_size=4,
        pool_timeout_s=5,
    ) as opened:
        ports = Ports(opened, composition.SystemClock(), composition.RandomNames())
        reader = composition.order_reader(store, pool_size=2)
        yield Pipeline(store, kafka, views, client, ports, reader)
        reader.close()
    client.close()
