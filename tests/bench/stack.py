"""The servers and services of one run: in a temporary folder, on free ports, gone at its end.

They are the programs that `ordertrail up` runs, each started when a row first asks for it.
"""

import os
import secrets
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self
from unittest import mock

import redis
from pydantic import SecretStr

from infrastructure.local.home import Home
from infrastructure.local.kafka import KafkaServer
from infrastructure.local.keys import AUDIENCE, ISSUER, ensure_keys, mint_token
from infrastructure.local.plan import SERVICE_LOGIN, SERVICE_ROLE
from infrastructure.local.ports import answers, free_port
from infrastructure.local.postgres import PostgresServer
from infrastructure.local.program import Program, inherited_environment, running
from infrastructure.local.redis import RedisServer
from infrastructure.local.s3 import ACCESS_KEY_ID, INNER_PORTS, REGION, S3Server
from infrastructure.local.service import PROJECT, Service
from infrastructure.postgres.migrate import migrate
from infrastructure.settings import CopySettings

TOKEN_S = 12 * 3600


@dataclass(frozen=True, slots=True)
class Platform:
    """Attributes: owner_url: of the database, for its owner; settings: what services get."""

    owner_url: str
    settings: Mapping[str, str]

    @property
    def master_key_file(self) -> Path:
        return Path(self.settings["ORDERTRAIL_MASTER_KEY_FILE"])


@dataclass(eq=False)
class Floor(Program):
    """A server of `floors.py`: what is measured beside a service."""

    name: str
    port: int
    settings: Mapping[str, str]

    def command(self) -> Sequence[str]:
        return [sys.executable, "-m", "tests.bench.floors", self.name, str(self.port)]

    def environment(self) -> Mapping[str, str]:
        return {**inherited_environment(), "PYTHONUNBUFFERED": "1", **self.settings}

    def folder(self) -> Path:
        return PROJECT

    def ready(self) -> bool:
        return answers(self.port)


class Stack:
    """Use as a context manager."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ends = ExitStack()
        self._home = Home(folder / "home")

    def __enter__(self) -> Self:
        self._home.open()
        self._keys = ensure_keys(self._home)
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.close()

    @cached_property
    def postgres(self) -> PostgresServer:
        server = PostgresServer(self.folder / "postgres", free_port(), secrets.token_hex(16))
        self._ends.enter_context(running(server, self.folder / "postgres.log"))
        return server

    @cached_property
    def redis_url(self) -> str:
        server = RedisServer(self.folder / "redis", free_port(), secrets.token_hex(16))
        self._ends.enter_context(running(server, self.folder / "redis.log"))
        return server.url

    @cached_property
    def copies(self) -> CopySettings:
        """Give the settings of a new S3 with the bucket for seals in it."""
        ports: list[int] = []
        for _ in range(1 + len(INNER_PORTS)):
            ports.append(free_port(avoid=ports))
        server = S3Server(self.folder / "s3", ports[0], ports[1:], secrets.token_hex(16))
        self._ends.enter_context(running(server, self.folder / "s3.log"))
        return CopySettings(
            seal_bucket="seals",
            seal_public_key_file=self._keys.seal_public_key_file,
            s3_endpoint_url=server.endpoint_url,
            s3_region=REGION,
            s3_access_key_id=ACCESS_KEY_ID,
            s3_secret_access_key=SecretStr(server.secret),
        )

    @property
    def seal_key_file(self) -> Path:
        return self._keys.seal_key_file

    @cached_property
    def kafka(self) -> str:
        port = free_port()
        server = KafkaServer(self.folder / "kafka", port, free_port(avoid=[port]))
        self._ends.enter_context(running(server, self.folder / "kafka.log"))
        return server.bootstrap

    def platform(self, *, kafka: bool = False) -> Platform:
        """Make a new database and topic, empty Redis, and give the settings for them.

        Without `kafka` its address is one where nobody answers: a service that needs none of it
        starts all the same.
        """
        name = f"bench_{secrets.token_hex(4)}"
        self.postgres.ensure_database(name)
        migrate(self.postgres.url(name))
        password = self._keys.service_password
        self.postgres.ensure_login(SERVICE_LOGIN, password, SERVICE_ROLE)
        redis.from_url(self.redis_url).flushall()
        return Platform(
            self.postgres.url(name),
            {
                "ORDERTRAIL_POSTGRES_URL": self.postgres.url(name, SERVICE_LOGIN, password),
                "ORDERTRAIL_REDIS_URL": self.redis_url,
                "ORDERTRAIL_KAFKA_BOOTSTRAP": self.kafka if kafka else f"127.0.0.1:{free_port()}",
                "ORDERTRAIL_ORDER_TOPIC": f"order-events-{name}",
                "ORDERTRAIL_PROJECTOR_GROUP": f"projector-{name}",
                "ORDERTRAIL_MASTER_KEY_FILE": str(self._keys.master_key_file),
                "ORDERTRAIL_JWKS_FILE": str(self._keys.jwks_file),
                "ORDERTRAIL_TOKEN_ISSUER": ISSUER,
                "ORDERTRAIL_TOKEN_AUDIENCE": AUDIENCE,
                "ORDERTRAIL_PAYMENT_PROVIDER": "sandbox",
                "ORDERTRAIL_PAYMENT_WEBHOOK_SECRET": self._keys.payment_webhook_secret,
            },
        )

    def token(self, role: str, subject: str) -> str:
        signing = {"ORDERTRAIL_SIGNING_KEY_FILE": str(self._keys.signing_key_file)}
        with mock.patch.dict(os.environ, signing):
            return mint_token(role, subject, TOKEN_S)

    @contextmanager
    def service(self, name: str, settings: Mapping[str, str]) -> Iterator[Service]:
        """Run one of our services until the end of the block."""
        service = Service(name, free_port(), settings)
        with running(service, self.folder / f"{name}.log"):
            yield service

    @contextmanager
    def floor(self, name: str, settings: Mapping[str, str] | None = None) -> Iterator[int]:
        """Run one of the floors until the end of the block; gives its port."""
        floor = Floor(name, free_port(), settings or {})
        with running(floor, self.folder / f"floor-{name}.log"):
            yield floor.port
