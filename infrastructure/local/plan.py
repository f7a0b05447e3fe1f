"""What a local platform consists of, in the order in which it starts.

Servers first, side by side; then the schema; then our services; the edge last, so that what is
reachable from outside is ready.
"""

import json
import os
from collections.abc import Collection, Mapping

from pydantic import SecretStr

from infrastructure.local.edge import Edge
from infrastructure.local.errors import LocalError
from infrastructure.local.home import Home, edge_port, write_whole
from infrastructure.local.kafka import KafkaServer
from infrastructure.local.keys import AUDIENCE, ISSUER, Keys, ensure_keys, whsec
from infrastructure.local.ports import LOOPBACK, is_free
from infrastructure.local.postgres import PostgresServer
from infrastructure.local.redis import RedisServer
from infrastructure.local.s3 import ACCESS_KEY_ID, INNER_PORTS, REGION, S3Server
from infrastructure.local.service import Service
from infrastructure.local.supervisor import Plan, Step, Tier

DATABASE = "ordertrail"
SERVICES = (
    "command-api",
    "query-api",
    "relay",
    "projector",
    "sealer",
    "fulfilment",
    "inventory",
    "payment",
)
PORTS = ("postgres", "redis", "kafka", "kafka-controller", "s3", *INNER_PORTS, *SERVICES)
SEAL_BUCKET = "ordertrail-seals"
SERVICE_LOGIN, SERVICE_ROLE = "ordertrail", "ordertrail_service"
WHERE = ("ORDERTRAIL_HOME", "ORDERTRAIL_PORT")
"""Which platform a shell means: never remembered."""
NOT_FOR_SERVICES = ("ORDERTRAIL_SIGNING_KEY_FILE", "ORDERTRAIL_POSTGRES_OWNER_URL")
"""No service can sign a token, or do more to the database than its role may."""
SEALERS_ONLY = ("ORDERTRAIL_SEAL_KEY_FILE",)
"""Only one service can sign a seal."""


def platform_plan(home: Home) -> Plan:
    """Draw what is missing in an opened home, write environment.json, and say what to run.

    Raises:
        LocalError: the edge's port is taken.
    """
    port = edge_port()
    if not is_free(port):
        raise LocalError(
            f"port {port} is taken by another program: stop that, or choose another port with "
            f"ORDERTRAIL_PORT={port + 1 if port < 65_535 else 8000}"  # noqa: PLR2004 - the last port
        )
    keys = ensure_keys(home)
    ports = home.remembered_ports(PORTS, avoid=port)
    postgres = PostgresServer(home.path / "postgres", ports["postgres"], keys.postgres_password)
    redis = RedisServer(home.path / "redis", ports["redis"], keys.redis_password)
    kafka = KafkaServer(home.path / "kafka", ports["kafka"], ports["kafka-controller"])
    s3 = S3Server(
        home.path / "s3", ports["s3"], [ports[name] for name in INNER_PORTS], keys.s3_secret
    )
    url = f"http://{LOOPBACK}:{port}"
    environment = {
        "ORDERTRAIL_PAYMENT_PROVIDER": "sandbox",
        **_from_shell(),
        "ORDERTRAIL_POSTGRES_URL": postgres.url(DATABASE, SERVICE_LOGIN, keys.service_password),
        "ORDERTRAIL_POSTGRES_OWNER_URL": postgres.url(DATABASE),
        "ORDERTRAIL_REDIS_URL": redis.url,
        "ORDERTRAIL_KAFKA_BOOTSTRAP": kafka.bootstrap,
        "ORDERTRAIL_MASTER_KEY_FILE": str(keys.master_key_file),
        "ORDERTRAIL_JWKS_FILE": str(keys.jwks_file),
        "ORDERTRAIL_TOKEN_ISSUER": ISSUER,
        "ORDERTRAIL_TOKEN_AUDIENCE": AUDIENCE,
        "ORDERTRAIL_SIGNING_KEY_FILE": str(keys.signing_key_file),
        "ORDERTRAIL_S3_ENDPOINT_URL": s3.endpoint_url,
        "ORDERTRAIL_S3_REGION": REGION,
        "ORDERTRAIL_S3_ACCESS_KEY_ID": ACCESS_KEY_ID,
        "ORDERTRAIL_S3_SECRET_ACCESS_KEY": keys.s3_secret,
        "ORDERTRAIL_SEAL_BUCKET": SEAL_BUCKET,
        "ORDERTRAIL_SEAL_KEY_FILE": str(keys.seal_key_file),
        "ORDERTRAIL_SEAL_PUBLIC_KEY_FILE": str(keys.seal_public_key_file),
        "ORDERTRAIL_PAYMENT_WEBHOOK_SECRET": keys.payment_webhook_secret,
        "ORDERTRAIL_CARRIER_WEBHOOK_SECRET": whsec(keys.carrier_webhook_secret),
        "ORDERTRAIL_PUBLIC_URL": url,
    }
    write_whole(home.environment_file, json.dumps(environment, indent=2))
    edge = Edge(port, ports["command-api"], ports["query-api"], home.path / "edge")
    steps = (
        Step("making the database", lambda: postgres.ensure_database(DATABASE)),
        Step("migrating the database", lambda: _migrate(postgres.url(DATABASE))),
        Step(
            "making the services' login",
            lambda: postgres.ensure_login(SERVICE_LOGIN, keys.service_password, SERVICE_ROLE),
        ),
        Step("making the bucket for seals", lambda: _make_bucket(s3, keys)),
    )
    services = [Service(name, ports[name], _settings(name, environment)) for name in SERVICES]
    return Plan(
        url, (Tier((postgres, redis, kafka, s3), then=steps), Tier(tuple(services)), Tier((edge,)))
    )


def _from_shell() -> Mapping[str, str]:
    """Give settings that the shell of `up` has: services and later commands go by the same."""
    return {
        name: value
        for name, value in os.environ.items()
        if name.startswith("ORDERTRAIL_") and name not in WHERE
    }


def kept_from(service: str) -> Collection[str]:
    """Name the settings that a service is not given."""
    return NOT_FOR_SERVICES if service == "sealer" else (*NOT_FOR_SERVICES, *SEALERS_ONLY)


def _settings(service: str, environment: Mapping[str, str]) -> Mapping[str, str]:
    kept = kept_from(service)
    return {name: value for name, value in environment.items() if name not in kept}


def _make_bucket(s3: S3Server, keys: Keys) -> None:
    from infrastructure.audit.copies import CopiesAwayError, SealCopies  # noqa: PLC0415
    from infrastructure.settings import CopySettings  # noqa: PLC0415

    settings = CopySettings(
        seal_bucket=SEAL_BUCKET,
        seal_public_key_file=keys.seal_public_key_file,
        s3_endpoint_url=s3.endpoint_url,
        s3_region=REGION,
        s3_access_key_id=ACCESS_KEY_ID,
        s3_secret_access_key=SecretStr(keys.s3_secret),
    )
    try:
        SealCopies(settings).make_bucket()
    except CopiesAwayError as error:
        raise LocalError(str(error)) from error


def _migrate(url: str) -> None:
    from infrastructure.postgres.migrate import MigrationError, migrate  # noqa: PLC0415

    try:
        migrate(url)
    except MigrationError as error:
        raise LocalError(str(error)) from error
