"""The read models on a real three-node Redis Cluster, by one setting."""

import asyncio
import secrets
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.crc import key_slot

from domain.ids import OrderId
from infrastructure import composition
from infrastructure.local.ports import free_port
from infrastructure.local.program import running
from infrastructure.local.redis import RedisServer
from infrastructure.rebuild import lifecycle
from infrastructure.rebuild.run import Rebuild
from infrastructure.rebuild.workers import Workers
from infrastructure.redis import shard_keys, stored_document
from infrastructure.redis.views import RedisOrderViews
from infrastructure.settings import Settings, ViewSettings
from projections.ports import OrderQuery
from tests.integration.pipeline.conftest import Pipeline

SLOTS = 16_384
FORMS_WITHIN_S = 30.0
ON_DISK_AFTER_S = 1.5
"""Redis writes its append-only file to disk every second."""


@dataclass(eq=False)
class ClusterNode(RedisServer):
    bus_port: int = 0

    def prepare(self) -> None:
        super().prepare()
        with self._config.open("a") as config:
            config.write("cluster-enabled yes\ncluster-node-timeout 2000\n")
            config.write(f"cluster-port {self.bus_port}\n")


@dataclass(frozen=True, slots=True)
class Cluster:
    """Attributes: nodes: each has a third of the slots, in their order."""

    url: str
    nodes: Sequence[ClusterNode]
    processes: Sequence["subprocess.Popen[bytes]"]


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """Run three nodes, give each a third of the slots, and wait until they agree."""
    password = secrets.token_hex(8)
    ports: list[int] = []  # by turns of a node, and of its bus
    with ExitStack() as stack:
        nodes, processes, clients = [], [], []
        for number in range(3):
            for _ in range(2):
                ports.append(free_port(avoid=ports))
            port, bus_port = ports[-2:]
            node = ClusterNode(tmp_path / f"node{number}", port, password, bus_port=bus_port)
            processes.append(stack.enter_context(running(node, tmp_path / f"node{number}.log")))
            nodes.append(node)
            clients.append(redis.from_url(node.url, decode_responses=True))
        _join(clients, ports)
        yield Cluster(f"redis://:{password}@127.0.0.1:{ports[0]}", nodes, processes)
        for client in clients:
            client.close()


@pytest.fixture
def cluster_url(cluster: Cluster) -> str:
    return cluster.url


def _join(nodes: Sequence[Any], ports: Sequence[int]) -> None:
    for number, node in enumerate(nodes):
        first, last = number * SLOTS // 3, (number + 1) * SLOTS // 3 - 1
        node.execute_command("CLUSTER", "ADDSLOTSRANGE", first, last)
        if number:
            port, bus_port = ports[2 * number : 2 * number + 2]
            nodes[0].execute_command("CLUSTER", "MEET", "127.0.0.1", port, bus_port)
    _await_formed(nodes)


def _await_formed(nodes: Sequence[Any]) -> None:
    until = time.monotonic() + FORMS_WITHIN_S
    while any("'cluster_state': 'ok'" not in str(node.cluster("INFO")) for node in nodes):
        assert time.monotonic() < until, "the cluster did not form"
        time.sleep(0.1)


async def test_the_views_work_on_a_cluster(pipeline: Pipeline, cluster_url: str) -> None:
    settings = ViewSettings(redis_url=cluster_url, redis_cluster=True)
    client = composition.redis_client(settings)
    on_cluster = replace(pipeline, views=settings, redis=client)
    with on_cluster.relay(), on_cluster.projector():
        answers = await asyncio.gather(*(on_cluster.place(n) for n in range(60)))
        cancelled = await on_cluster.cancel(answers[0].order_id)
        await asyncio.to_thread(_await_complete, on_cluster, cancelled.position)
        assert _lag(on_cluster) == 0

    for answer in answers:
        stored, folded = on_cluster.stored(answer.order_id), on_cluster.reader.fold(answer.order_id)
        assert stored is not None
        assert folded is not None
        assert stored.body == stored_document.body_bytes(folded)
    slots = {key_slot(shard_keys.prefix(p).encode()) * 3 // SLOTS for p in range(6)}
    assert slots == {0, 1, 2}, "the shards should lie on all three nodes"

    async with composition.async_redis_client(settings, timeout_s=5.0) as reading:
        views = RedisOrderViews(
            reading, on_cluster.reader, partitions=6, folds_at_once=1, folds_waiting=9
        )
        view = await views.find(answers[0].order_id, owner=None, min_position=0, wait_s=0)
        assert view is not None
        assert (view.source, view.position) == ("redis", cancelled.position)
        page = await views.list(OrderQuery(None, "pending", None, 100, None))
        assert len(page.bodies) == 59
        client.delete(shard_keys.document_key(answers[1].order_id, 6, 1))
        view = await views.find(answers[1].order_id, owner=None, min_position=0, wait_s=0)
        assert view is not None
        assert view.source == "event-store"
    assert on_cluster.stored(answers[1].order_id) is not None
    client.close()


async def test_a_node_that_comes_back_older_takes_no_order_back_in_time(
    pipeline: Pipeline, cluster: Cluster, tmp_path: Path
) -> None:
    """As after a failover to a replica that had not all yet."""
    settings = ViewSettings(redis_url=cluster.url, redis_cluster=True)
    client = composition.redis_client(settings)
    on_cluster = replace(pipeline, views=settings, redis=client)
    async with composition.async_redis_client(settings, timeout_s=2.0) as reading:
        views = RedisOrderViews(
            reading, on_cluster.reader, partitions=6, folds_at_once=1, folds_waiting=9
        )

        async def read(order_id: OrderId) -> tuple[str, int]:
            view = await views.find(order_id, owner=None, min_position=0, wait_s=0)
            assert view is not None
            return view.source, view.position

        with on_cluster.relay(), on_cluster.projector():
            placed = await on_cluster.place(1)
            await asyncio.to_thread(_await_complete, on_cluster, placed.position)
            partition = shard_keys.partition_of(placed.order_id, 6)
            which = key_slot(shard_keys.prefix(partition).encode()) * 3 // SLOTS
            node, process = cluster.nodes[which], cluster.processes[which]
            await asyncio.sleep(ON_DISK_AFTER_S)
            shutil.copytree(node.data_dir, tmp_path / "older")
            cancelled = await on_cluster.cancel(placed.order_id)
            await asyncio.to_thread(_await_complete, on_cluster, cancelled.position)
        assert await read(placed.order_id) == ("redis", cancelled.position)
        process.kill()
        process.wait()
        shutil.rmtree(node.data_dir)
        shutil.copytree(tmp_path / "older", node.data_dir)
        with running(node, tmp_path / "again.log"):
            with closing(redis.from_url(node.url, decode_responses=True)) as one:
                _await_formed([one])
            for _ in range(3):
                assert await read(placed.order_id) == ("event-store", cancelled.position)
    client.close()


async def test_a_projector_goes_on_when_a_node_was_away(
    pipeline: Pipeline, cluster: Cluster, tmp_path: Path
) -> None:
    settings = ViewSettings(redis_url=cluster.url, redis_cluster=True)
    client = composition.redis_client(settings)
    on_cluster = replace(pipeline, views=settings, redis=client)
    with on_cluster.relay(), on_cluster.projector():
        first = await asyncio.gather(*(on_cluster.place(n) for n in range(30)))
        last = max(one.position for one in first)
        await asyncio.to_thread(_await_complete, on_cluster, last)
        cluster.processes[1].kill()
        cluster.processes[1].wait()
        second = await asyncio.gather(*(on_cluster.place(n) for n in range(30, 60)))
        cancelled = await on_cluster.cancel(first[0].order_id)
        await asyncio.sleep(1)
        with running(cluster.nodes[1], tmp_path / "again.log"):
            await asyncio.to_thread(_await_complete, on_cluster, cancelled.position)
            for answer in (*first, *second):
                stored = on_cluster.stored(answer.order_id)
                folded = on_cluster.reader.fold(answer.order_id)
                assert stored is not None
                assert folded is not None
                assert stored.body == stored_document.body_bytes(folded)
    client.close()


async def test_a_rebuild_works_on_a_cluster(pipeline: Pipeline, cluster_url: str) -> None:
    settings = ViewSettings(redis_url=cluster_url, redis_cluster=True)
    client = composition.redis_client(settings)
    on_cluster = replace(pipeline, views=settings, redis=client)

    def rebuild() -> None:
        opening = partial(composition.rebuild_parts, pipeline.store, settings)
        with Workers(opening, processes=1) as workers:
            Rebuild(opening(), workers, lambda *_: None).run(resume=False, accept=False)

    with on_cluster.relay(), on_cluster.projector():
        answers = await asyncio.gather(*(on_cluster.place(n) for n in range(30)))
        last = max(one.position for one in answers)
        await asyncio.to_thread(_await_complete, on_cluster, last)
        async with composition.async_redis_client(settings, timeout_s=5.0) as reading:
            views = RedisOrderViews(
                reading, on_cluster.reader, partitions=6, folds_at_once=1, folds_waiting=9
            )
            assert len((await views.list(OrderQuery(None, None, None, 100, None))).bodies) == 30
            await asyncio.to_thread(rebuild)
            assert on_cluster.generations.live() == 2
            assert lifecycle.drop_previous(on_cluster.generations) == {1}
            assert list(on_cluster.generations.keys(1)) == []
            assert len((await views.list(OrderQuery(None, None, None, 100, None))).bodies) == 30
    client.close()


def _await_complete(pipeline: Pipeline, position: int) -> None:
    until = time.monotonic() + FORMS_WITHIN_S
    keys = [shard_keys.position_key(p, 1) for p in range(6)]
    while min(int(pipeline.redis.get(key) or 0) for key in keys) < position:
        assert time.monotonic() < until, pipeline.faults
        time.sleep(0.05)


def _lag(pipeline: Pipeline) -> int | None:
    """Ask how many events the views are behind."""
    settings = Settings()
    settings.store, settings.kafka, settings.views = pipeline.store, pipeline.kafka, pipeline.views
    with closing(composition.lag_meter(settings)) as meter:
        return meter.measure()[1].events
