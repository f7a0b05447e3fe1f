"""The only place that wires things: settings in, ports with their adapters out."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeAlias
from uuid import UUID

import psycopg
import redis
import redis.asyncio
import uuid_utils.compat
from redis.asyncio.cluster import RedisCluster as AsyncRedisCluster
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.cluster import RedisCluster
from redis.retry import Retry

from commands.payment.gateway import PaymentGateway
from commands.ports import Ports
from commands.shipment.carrier import CarrierWebhooks
from domain.ids import OrderId, OrderNumber, format_order_number
from infrastructure.carriers.easypost import EasyPostWebhooks
from infrastructure.carriers.generic import GenericWebhooks
from infrastructure.event_store.order_history import EventStoreOrderHistory
from infrastructure.event_store.order_reader import OrderReader
from infrastructure.event_store.recorder import open_datastore
from infrastructure.event_store.sealing import DataKeys, read_master_key
from infrastructure.event_store.stock_levels import EventStoreStockLevels
from infrastructure.event_store.store import PostgresEventStore, open_event_store
from infrastructure.kafka import topics
from infrastructure.kafka.groups import Groups
from infrastructure.observability.lag import NO_TOPIC, LagMeter
from infrastructure.observability.service_lag import SERVICES, ServiceMeter
from infrastructure.payments.sandbox import open_sandbox
from infrastructure.postgres.pools import async_pool
from infrastructure.postgres.tasks import Tasks
from infrastructure.rebuild.parts import Parts
from infrastructure.redis.views import RedisOrderViews
from infrastructure.settings import (
    CarrierSettings,
    KafkaSettings,
    Settings,
    StoreSettings,
    ViewSettings,
)
from projections.ports import QueryPorts

Check: TypeAlias = Callable[[], Awaitable[None]]
"""Returns if the part answers, raises if it does not."""
LAG_TIMEOUT_S = 1.0
REDIS_CONNECTIONS = 50
"""Of a reading process."""
CONNECT_TIMEOUT_S = 5


class SystemClock:
    def now(self) -> datetime:
        return datetime.now(UTC)


class RandomNames:
    """UUIDv7 (RFC 9562), so that ids sort by time; order numbers from the system's randomness."""

    def new_order_id(self) -> OrderId:
        return OrderId(uuid_utils.compat.uuid7())

    def new_event_id(self) -> UUID:
        return uuid_utils.compat.uuid7()

    def draw_order_number(self) -> OrderNumber:
        return format_order_number(secrets.randbits(40))


@asynccontextmanager
async def command_side(
    settings: Settings,
) -> AsyncIterator[tuple[Ports, Mapping[str, Check]]]:
    """Wire what the command API uses, and what tells whether it can work."""
    async with _event_store(settings.store) as store:
        # By its own connections: while those work it can serve, whatever becomes of new ones.
        yield _ports(store), {**checks(settings), "postgres": store.ping}


@asynccontextmanager
async def command_ports(settings: StoreSettings) -> AsyncIterator[Ports]:
    """Wire what handlers use."""
    async with _event_store(settings) as store:
        yield _ports(store)


@asynccontextmanager
async def payment_gateway(settings: Settings) -> AsyncIterator[PaymentGateway]:
    """Wire the payment provider that the settings name."""
    chosen = settings.payments
    secret = chosen.payment_webhook_secret.get_secret_value()
    if chosen.payment_provider == "sandbox":
        async with open_sandbox(settings.store.postgres_url.get_secret_value(), secret) as sandbox:
            yield sandbox
    else:
        # Only here: its package takes a while to import.
        from infrastructure.payments.stripe_gateway import (  # noqa: PLC0415
            StripeConfig,
            StripeGateway,
        )

        gateway = StripeGateway(
            StripeConfig(
                api_key=chosen.stripe_api_key.get_secret_value(),
                webhook_secret=secret,
                api_base=chosen.stripe_api_base,
                return_url=chosen.stripe_return_url,
                multicapture=chosen.stripe_multicapture,
            )
        )
        try:
            yield gateway
        finally:
            await gateway.close()


@asynccontextmanager
async def open_tasks(store: StoreSettings) -> AsyncIterator[Tasks]:
    """Wire the table of tasks, on connections of its own."""
    url = store.postgres_url.get_secret_value()
    async with async_pool(url, size=4, timeout_s=store.pool_timeout_s) as pool:
        yield Tasks(pool)


def carrier_webhooks_of(settings: CarrierSettings) -> Mapping[str, CarrierWebhooks]:
    """Wire the formats of carriers' webhooks that have a secret."""
    made: list[CarrierWebhooks] = []
    if settings.carrier_webhook_secret is not None:
        made.append(GenericWebhooks(settings.carrier_webhook_secret))
    if settings.easypost_webhook_secret is not None:
        made.append(EasyPostWebhooks(settings.easypost_webhook_secret))
    return {one.name: one for one in made}


def _event_store(settings: StoreSettings) -> AbstractAsyncContextManager[PostgresEventStore]:
    return open_event_store(
        settings.postgres_url.get_secret_value(),
        read_master_key(settings.master_key_file),
        pool_size=settings.pool_size,
        pool_timeout_s=settings.pool_timeout_s,
    )


def _ports(store: PostgresEventStore) -> Ports:
    return Ports(store, SystemClock(), RandomNames())


@asynccontextmanager
async def query_side(
    settings: Settings,
) -> AsyncIterator[tuple[QueryPorts, Mapping[str, Check]]]:
    """Wire what the query API uses, and what tells whether it can work."""
    views = settings.views
    reader = order_reader(settings.store, pool_size=views.folds_at_once)
    async with (
        async_redis_client(views, timeout_s=views.redis_timeout_s) as client,
        _event_store(settings.store) as store,
    ):
        yield (
            QueryPorts(
                RedisOrderViews(
                    client,
                    reader,
                    partitions=views.order_partitions,
                    folds_at_once=views.folds_at_once,
                    folds_waiting=views.folds_waiting,
                ),
                EventStoreOrderHistory(
                    reader, at_once=views.folds_at_once, waiting=views.folds_waiting
                ),
                EventStoreStockLevels(store),
            ),
            checks(settings),
        )


def order_reader(store: StoreSettings, *, pool_size: int) -> OrderReader:
    """Wire the blocking reader of the event store; it connects when it is first asked."""
    open_it = partial(
        open_datastore,
        store.postgres_url.get_secret_value(),
        pool_size=pool_size,
        connect_timeout_s=store.read_timeout_s,
    )
    return OrderReader(open_it, DataKeys(read_master_key(store.master_key_file)))


def redis_client(views: ViewSettings, **options: Any) -> "redis.Redis":
    """Wire the blocking client of the projector and the rebuild: one server, or a cluster."""
    options = {"socket_timeout": 10.0, "socket_connect_timeout": views.redis_timeout_s, **options}
    make: Any = RedisCluster.from_url if views.redis_cluster else redis.from_url
    client: redis.Redis = make(views.redis_url.get_secret_value(), protocol=3, **options)
    return client


def async_redis_client(views: ViewSettings, *, timeout_s: float) -> "redis.asyncio.Redis":
    """Wire the reading side's client; it tries nothing again, and says at once that Redis is away.

    A server that answers the second time may be another one, which has lost the last second: who
    reads has to know that there was a first. Who finds all connections busy waits for one, for as
    long as for an answer.
    """
    url = views.redis_url.get_secret_value()
    options: dict[str, Any] = {
        "protocol": 3,
        "socket_timeout": timeout_s,
        "socket_connect_timeout": timeout_s,
        "retry": AsyncRetry(NoBackoff(), 0),
    }
    if views.redis_cluster:
        make: Any = AsyncRedisCluster.from_url
        client: redis.asyncio.Redis = make(url, **options)
        return client
    pool = redis.asyncio.BlockingConnectionPool.from_url(
        url, max_connections=REDIS_CONNECTIONS, timeout=timeout_s, **options
    )
    return redis.asyncio.Redis.from_pool(pool)


def rebuild_parts(store: StoreSettings, views: ViewSettings) -> Parts:
    """Wire what each process of a rebuild works with."""
    url = store.postgres_url.get_secret_value()
    return Parts(
        order_reader(store, pool_size=1),
        redis_client(views),
        lambda: psycopg.connect(url, autocommit=True, connect_timeout=CONNECT_TIMEOUT_S),
        views.order_partitions,
    )


def lag_meter(settings: Settings) -> LagMeter:
    """Wire what tells how far each hop is behind; it connects when it is first asked."""
    client = topics.admin(settings.kafka.kafka_bootstrap)
    names = (settings.kafka.order_topic, settings.kafka.stock_topic)

    def find_topic() -> str:
        found = topics.find_published(client, *names, timeout_s=LAG_TIMEOUT_S)
        return NO_TOPIC if found is None else str(found)

    return LagMeter(
        settings.store.postgres_url.get_secret_value(),
        lambda: redis_client(
            settings.views,
            socket_timeout=LAG_TIMEOUT_S,
            socket_connect_timeout=LAG_TIMEOUT_S,
            retry=Retry(NoBackoff(), 1),
        ),
        find_topic,
        partitions=settings.views.order_partitions,
    )


def service_meter(settings: Settings) -> ServiceMeter:
    """Wire what tells how far the services are behind; it connects when it is asked."""
    kafka = settings.kafka
    groups = Groups(kafka.kafka_bootstrap, kafka.order_topic, SERVICES, timeout_s=LAG_TIMEOUT_S)
    return ServiceMeter(settings.store.postgres_url.get_secret_value(), groups.messages_left)


def checks(settings: Settings) -> Mapping[str, Check]:
    """Give a check per part of the platform, named as `/readyz` names them."""
    postgres_url = settings.store.postgres_url.get_secret_value()
    client = async_redis_client(settings.views, timeout_s=1.0)

    async def postgres() -> None:
        async with await psycopg.AsyncConnection.connect(
            postgres_url, connect_timeout=1
        ) as connection:
            await connection.execute("SELECT 1")

    async def ping_redis() -> None:
        answer: Any = client.ping()
        await answer

    return {"postgres": postgres, "redis": ping_redis, "kafka": _kafka_check(settings.kafka)}


def _kafka_check(settings: KafkaSettings) -> Check:
    client = topics.admin(settings.kafka_bootstrap)
    threads = ThreadPoolExecutor(1, thread_name_prefix="kafka-check")

    async def kafka() -> None:
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(threads, lambda: client.list_topics(timeout=1.0))

    return kafka
