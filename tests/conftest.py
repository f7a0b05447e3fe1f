"""Real servers for the tests: started when the first test asks, ended with the session.

They are the same programs that `ordertrail up` runs, each on a leash: a test run that is killed
leaves none behind. Each test that asks for a database gets a new one.
"""

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from infrastructure.local.kafka import KafkaServer
from infrastructure.local.ports import free_port
from infrastructure.local.postgres import PostgresServer
from infrastructure.local.program import running
from infrastructure.local.redis import RedisServer
from infrastructure.local.s3 import INNER_PORTS, S3Server
from infrastructure.postgres.migrate import migrate

TEMPLATE = "ordertrail_template"
TESTS = Path(__file__).parent
GROUPED_BY = 2
"""Folders below `tests/` that name a group: `integration/local` is one by itself."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests of a folder in one process under `-n`: the platform they share starts once."""
    for item in items:
        folders = item.path.parent.relative_to(TESTS).parts[:GROUPED_BY]
        item.add_marker(pytest.mark.xdist_group("/".join(folders)))


@pytest.fixture(scope="session")
def servers_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("servers")


@pytest.fixture(scope="session")
def postgres_server(servers_dir: Path) -> Iterator[PostgresServer]:
    """Run PostgreSQL with a template database in which the migrations were applied."""
    server = PostgresServer(servers_dir / "postgres", free_port(), secrets.token_hex(16))
    with running(server, servers_dir / "postgres.log"):
        server.ensure_database(TEMPLATE)
        migrate(server.url(TEMPLATE))
        yield server


@pytest.fixture(scope="session")
def postgres_url(postgres_server: PostgresServer) -> str:
    """Give the URL of the server's own database `postgres`, for administration."""
    return postgres_server.url("postgres")


@pytest.fixture
def database_url(postgres_server: PostgresServer) -> Iterator[str]:
    """Give a new, migrated and empty database, dropped after the test."""
    name = f"test_{secrets.token_hex(6)}"
    postgres_server.ensure_database(name, template=TEMPLATE)
    yield postgres_server.url(name)
    postgres_server.drop_database(name)


@pytest.fixture
def bare_database_url(postgres_server: PostgresServer) -> Iterator[str]:
    """Give a new database without any table, dropped after the test."""
    name = f"test_{secrets.token_hex(6)}"
    postgres_server.ensure_database(name)
    yield postgres_server.url(name)
    postgres_server.drop_database(name)


@pytest.fixture(scope="session")
def redis_url(servers_dir: Path) -> Iterator[str]:
    server = RedisServer(servers_dir / "redis", free_port(), secrets.token_hex(16))
    with running(server, servers_dir / "redis.log"):
        yield server.url


@pytest.fixture(scope="session")
def kafka_bootstrap(servers_dir: Path) -> Iterator[str]:
    port = free_port()
    server = KafkaServer(servers_dir / "kafka", port, free_port(avoid=[port]))
    with running(server, servers_dir / "kafka.log"):
        yield server.bootstrap


@pytest.fixture(scope="session")
def s3_server(servers_dir: Path) -> Iterator[S3Server]:
    ports: list[int] = []
    for _ in range(1 + len(INNER_PORTS)):
        ports.append(free_port(avoid=ports))
    server = S3Server(servers_dir / "s3", ports[0], ports[1:], secrets.token_hex(16))
    with running(server, servers_dir / "s3.log"):
        yield server
