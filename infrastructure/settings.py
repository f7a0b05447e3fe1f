"""Configuration: frozen groups, read once at the start of a process from ORDERTRAIL_* variables.

No secret has a default. The local platform writes every value into its home (infrastructure/local);
in production the container gets them.
"""

from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from domain.fulfilment.timing import Timing

Port = Annotated[int, Field(ge=1, le=65_535)]


class _Group(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="ORDERTRAIL_", frozen=True, extra="ignore")


class StoreSettings(_Group):
    """The event store, and the key that wraps the customers' keys."""

    postgres_url: SecretStr
    master_key_file: Path
    pool_size: int = Field(default=8, ge=1)
    pool_timeout_s: float = Field(default=5.0, gt=0)
    read_timeout_s: float = Field(default=1.0, gt=0)


class MigrationSettings(_Group):
    """Who may change the schema; no service gets this."""

    postgres_owner_url: SecretStr


class KafkaSettings(_Group):
    """`order_partitions` is fixed when topics are made; the read models are sharded by it too."""

    kafka_bootstrap: str
    order_topic: str = "order-events"
    stock_topic: str = "stock-events"
    order_partitions: int = Field(default=6, ge=1, le=256)
    kafka_replication: int = Field(default=1, ge=1)
    projector_group: str = "projector"


class ViewSettings(_Group):
    """The read models, and how single reads fall back to the event store."""

    redis_url: SecretStr
    redis_cluster: bool = False
    order_partitions: int = Field(default=6, ge=1, le=256)
    redis_timeout_s: float = Field(default=2.0, gt=0)
    folds_at_once: int = Field(default=8, ge=1)
    folds_waiting: int = Field(default=200, ge=0)


class CopySettings(_Group):
    """Where seals are copied to, and who may have signed them.

    Without an endpoint it is AWS's S3; without keys boto3 looks where it always does.
    """

    seal_bucket: str
    seal_retention_days: int = Field(default=3_650, ge=1)
    seal_public_key_file: Path
    s3_endpoint_url: str | None = None
    s3_region: str | None = None
    s3_access_key_id: str | None = None
    s3_secret_access_key: SecretStr | None = None


class SealerSettings(_Group):
    """The key that signs seals, which nobody but the sealer gets, and how often it does."""

    seal_key_file: Path
    seal_events: int = Field(default=10_000, ge=1, le=100_000)
    seal_every_s: float = Field(default=60.0, gt=0)


class FulfilmentSettings(_Group):
    """How long the saga waits for whom, as JSON, where it differs: `{"reserve_s": 600}`."""

    saga_timing: Timing = Timing()


class CarrierSettings(_Group):
    """What carriers sign their webhooks with; without a secret a format is not taken."""

    carrier_webhook_secret: SecretStr | None = None
    easypost_webhook_secret: SecretStr | None = None


class PaymentSettings(_Group):
    """Which provider takes the money. `sandbox` is for local use: it moves none."""

    payment_provider: Literal["sandbox", "stripe"]
    payment_webhook_secret: SecretStr
    stripe_api_key: SecretStr = SecretStr("")
    stripe_api_base: str | None = None
    stripe_return_url: str | None = None
    stripe_multicapture: bool = False


class TokenSettings(_Group):
    """Whose tokens are accepted."""

    jwks_file: Path
    token_issuer: str
    token_audience: str


class HttpSettings(_Group):
    """Where the APIs listen: behind the edge of this machine, unless a container says otherwise."""

    http_host: str = "127.0.0.1"


class Settings:
    """All groups, each read when it is first used: a relay needs no JWKS file."""

    @cached_property
    def store(self) -> StoreSettings:
        return StoreSettings()

    @cached_property
    def kafka(self) -> KafkaSettings:
        return KafkaSettings()

    @cached_property
    def views(self) -> ViewSettings:
        return ViewSettings()

    @cached_property
    def copies(self) -> CopySettings:
        return CopySettings()

    @cached_property
    def sealer(self) -> SealerSettings:
        return SealerSettings()

    @cached_property
    def fulfilment(self) -> FulfilmentSettings:
        return FulfilmentSettings()

    @cached_property
    def carriers(self) -> CarrierSettings:
        return CarrierSettings()

    @cached_property
    def payments(self) -> PaymentSettings:
        return PaymentSettings()

    @cached_property
    def tokens(self) -> TokenSettings:
        return TokenSettings()

    @cached_property
    def http(self) -> HttpSettings:
        return HttpSettings()
