"""The servers of the fixtures are the real ones, and keep what the platform relies on."""

import asyncio

import psycopg
import pytest
import redis
from confluent_kafka.admin import AdminClient
from redis.backoff import NoBackoff
from redis.retry import Retry


def test_each_test_gets_a_migrated_database_of_its_own(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        applied = connection.execute("SELECT count(*) FROM migrations").fetchone()
        assert applied is not None
        connection.execute("CREATE TABLE only_here (id int)")


def test_postgres_commits_durably_and_speaks_utc(postgres_url: str) -> None:
    with psycopg.connect(postgres_url) as connection:
        shown = {
            name: connection.execute(f"SHOW {name}").fetchone()
            for name in ("fsync", "synchronous_commit", "server_encoding", "timezone")
        }
    assert shown == {
        "fsync": ("on",),
        "synchronous_commit": ("on",),
        "server_encoding": ("UTF8",),
        "timezone": ("UTC",),
    }


def test_redis_asks_for_its_password_and_keeps_a_log(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        config = client.config_get("append*")
        assert isinstance(config, dict)
        assert config["appendonly"] == "yes"
        assert config["appendfsync"] == "everysec"
    retry = Retry(NoBackoff(), 0)
    place = client.connection_pool.connection_kwargs
    with (
        redis.Redis(host=place["host"], port=place["port"], retry=retry) as stranger,
        pytest.raises(redis.AuthenticationError),
    ):
        stranger.ping()


async def test_kafka_makes_no_topic_by_itself(kafka_bootstrap: str) -> None:
    client = AdminClient({"bootstrap.servers": kafka_bootstrap})
    await asyncio.to_thread(client.list_topics, "nobody-made-this", 5)
    assert "nobody-made-this" not in client.list_topics(timeout=5).topics
