"""A service begins again when one of its parts fails, whatever the others are just doing."""

import asyncio
import secrets
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from pydantic import SecretStr

from domain.errors import UnavailableError
from infrastructure.kafka import topics
from infrastructure.local.ports import LOOPBACK
from infrastructure.processes.worker import Health
from infrastructure.services import run
from infrastructure.services.reactions import Service
from infrastructure.settings import KafkaSettings, Settings


async def test_a_part_that_loses_its_cancellation_is_ended_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(run, "CANCEL_AGAIN_S", 0.01)
    lost = 0

    async def goes_on() -> None:
        nonlocal lost
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                lost += 1  # as a pool of connections may, just when it has one to give
                if lost > 2:
                    raise

    async def fails() -> None:
        raise RuntimeError("away")

    async with asyncio.timeout(5):
        with pytest.raises(RuntimeError, match="away"):
            await run._until_one_fails([goes_on(), fails()])
    assert lost > 2


async def test_a_call_that_fails_beside_its_chore_ends_the_service() -> None:
    ended = asyncio.Event()

    async def goes_on() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    async def fails() -> None:
        raise RuntimeError("away")

    async def serve() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(fails())
            await run._until_one_fails([goes_on()])

    async with asyncio.timeout(5):
        with pytest.raises(ExceptionGroup) as caught:
            await serve()
    assert isinstance(caught.value.exceptions[0], RuntimeError)
    assert ended.is_set()


async def test_without_postgresql_a_service_is_not_ready_though_kafka_has_nothing_for_it(
    settings: Settings, kafka_bootstrap: str
) -> None:
    kafka = KafkaSettings(
        kafka_bootstrap=kafka_bootstrap, order_topic=f"orders-{secrets.token_hex(4)}"
    )
    topics.make_topic(topics.admin(kafka_bootstrap), kafka.order_topic, partitions=1, replication=1)
    settings.kafka = kafka
    nowhere = SecretStr(f"postgresql://nobody:x@{LOOPBACK}:1/nothing")
    settings.store = settings.store.model_copy(update={"postgres_url": nowhere})
    health = Health()

    async def react(_: object) -> None:
        raise AssertionError("there is nothing to react to")

    @asynccontextmanager
    async def wire(_: run.Parts) -> AsyncIterator[run.Running]:
        yield run.Running(Service("idle", frozenset(), react))

    with pytest.raises(UnavailableError):
        await run._work(settings, wire, threading.Event(), health)
    assert health.problem == "starting"
