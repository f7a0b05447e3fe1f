"""The platform with its real servers and edge: what it keeps, and what it says when it can't."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any

import psycopg
import pytest
import redis
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from infrastructure.local.edge import http_status
from infrastructure.local.kafka import KafkaServer
from infrastructure.local.ports import free_port

from .conftest import Platform


@pytest.fixture
def real(new_platform: Callable[[str], Platform], monkeypatch: pytest.MonkeyPatch) -> Platform:
    monkeypatch.setenv("ORDERTRAIL_PORT", str(free_port()))
    return new_platform("home")


def _environment(platform: Platform) -> dict[str, str]:
    known: dict[str, str] = json.loads(platform.home.environment_file.read_text())
    return known


def _cluster_id(platform: Platform) -> str:
    return KafkaServer(platform.home.path / "kafka", 0, 0).cluster_id()


def test_all_data_survives_a_restart_and_kills(
    real: Platform, all_end: Callable[[Sequence[int]], None]
) -> None:
    """One platform for several rules, as each start takes seconds."""
    real.up("servers")
    settings = _environment(real)
    kafka: dict[str, Any] = {"bootstrap.servers": settings["ORDERTRAIL_KAFKA_BOOTSTRAP"]}
    owner = settings["ORDERTRAIL_POSTGRES_OWNER_URL"]
    with psycopg.connect(owner, autocommit=True) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    with redis.Redis.from_url(settings["ORDERTRAIL_REDIS_URL"]) as client:
        client.set("kept", "42")
    admin = AdminClient(kafka)
    admin.create_topics([NewTopic("kept", 1, 1)])["kept"].result(10)
    producer = Producer(kafka)
    producer.produce("kept", b"42")
    assert producer.flush(10) == 0
    del producer, admin
    cluster_id = _cluster_id(real)

    # Every server is killed, comes back where it was, and has what it had acknowledged.
    for name in ("postgres", "redis", "kafka"):
        os.kill(real.process(name)["pid"], signal.SIGKILL)
    for name in ("postgres", "redis", "kafka"):
        real.wait_until(name, state="ready", restarts=1)
    _assert_kept(settings)

    # The supervisor is killed: nothing is left, and the next one finds everything again.
    pids = real.pids()
    assert len(pids) > 9
    os.kill(pids[0], signal.SIGKILL)
    all_end(pids)
    real.up("servers")
    assert _environment(real) == settings
    _assert_kept(settings)

    pids = real.pids()
    assert real.run("down").returncode == 0
    all_end(pids)
    assert "database system is shut down" in real.home.log("postgres").read_text()
    assert _cluster_id(real) == cluster_id

    # A Kafka whose data was deleted is another Kafka; the rest is kept.
    shutil.rmtree(real.home.path / "kafka")
    real.up("servers")
    assert _cluster_id(real) != cluster_id
    with psycopg.connect(settings["ORDERTRAIL_POSTGRES_OWNER_URL"]) as connection:
        assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)


def _assert_kept(settings: dict[str, str]) -> None:
    with psycopg.connect(settings["ORDERTRAIL_POSTGRES_OWNER_URL"]) as connection:
        assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)
        migrated = connection.execute("SELECT count(*) > 0 FROM migrations").fetchone()
        assert migrated == (True,)
    with redis.Redis.from_url(settings["ORDERTRAIL_REDIS_URL"]) as client:
        assert client.get("kept") == b"42"
    kafka = AdminClient({"bootstrap.servers": settings["ORDERTRAIL_KAFKA_BOOTSTRAP"]})
    assert "kept" in kafka.list_topics(timeout=10).topics


@pytest.mark.parametrize("arguments", [("up",), ("up", "-d")])
def test_a_taken_port_is_named_with_the_way_out(
    platform: Platform, arguments: tuple[str, ...]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        up = platform.run(*arguments, ORDERTRAIL_PORT=port)
    assert up.returncode == 1
    assert f"port {port} is taken" in up.stderr
    assert "ORDERTRAIL_PORT=" in up.stderr
    assert "Traceback" not in up.stderr


@pytest.mark.parametrize("port", ["0", "65536", "http", "-1"])
def test_a_port_that_is_none_is_refused(platform: Platform, port: str) -> None:
    up = platform.run("up", ORDERTRAIL_PORT=port)
    assert (up.returncode, up.stderr.startswith(f"ORDERTRAIL_PORT={port} is no port")) == (1, True)


def test_services_get_no_signing_key_and_nothing_else_of_the_shell(real: Platform) -> None:
    program = (
        "from infrastructure.local.home import Home;"
        "from infrastructure.local.plan import platform_plan;"
        "home = Home.current(); home.open(); import json;"
        "print(json.dumps([dict(s.environment()) for s in platform_plan(home).tiers[1].programs]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={
            **os.environ,
            "ORDERTRAIL_HOME": str(real.home.path),
            "ORDERTRAIL_SIGNING_KEY_FILE": "/somewhere",
            "AWS_SECRET_ACCESS_KEY": "secret",
        },
        capture_output=True,
        text=True,
        check=True,
    )
    for environment in json.loads(done.stdout):
        assert "ORDERTRAIL_POSTGRES_URL" in environment
        assert "ORDERTRAIL_MASTER_KEY_FILE" in environment
        assert "ORDERTRAIL_SIGNING_KEY_FILE" not in environment
        assert "AWS_SECRET_ACCESS_KEY" not in environment


def test_the_edge_waits_for_a_service_that_is_restarted(real: Platform) -> None:
    url = real.up("servers")["url"]
    port = int(url.rpartition(":")[2])
    before = real.process("query-api")["pid"]
    os.kill(before, signal.SIGKILL)
    answers = [http_status(port, "/v1/orders", 5) for _ in range(20)]
    assert answers == [200] * 20
    real.wait_until("query-api", state="ready", restarts=1)
