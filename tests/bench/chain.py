"""The bare chain beside the whole platform: insert and commit, produce, consume, SET.

`python -m tests.bench.chain insert RATE SECONDS` and `... consume`, settings from the
environment. Each half is a process, as the platform's parts are. The first writes its
acknowledgements to standard output, a line each: id and the time it was committed
(`time.perf_counter`, one clock for all processes of a machine).
"""

import os
import queue
import signal
import sys
import threading
import time

import psycopg
import redis
import uuid_utils.compat
from confluent_kafka import Consumer, Producer, TopicPartition

from tests.bench.http_open import due_times
from tests.bench.views import PARTITIONS

POSTGRES_URL, REDIS_URL = "BENCH_POSTGRES_URL", "BENCH_REDIS_URL"
BOOTSTRAP, TOPIC, VALUE_BYTES = "BENCH_BOOTSTRAP", "BENCH_TOPIC", "BENCH_VALUE_BYTES"
TABLE = "CREATE TABLE IF NOT EXISTS bare (id text PRIMARY KEY, value bytea NOT NULL)"
INSERT = "INSERT INTO bare VALUES (%b, %b)"
KEY = "bare:document:"
READY = "ready"


def insert(per_s: float, seconds: float) -> None:
    """Insert rows at an even rate, each committed by itself; another thread produces them."""
    committed: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    value = bytes(int(os.environ[VALUE_BYTES]))
    producing = threading.Thread(target=_produce, args=(committed, value))
    with psycopg.connect(os.environ[POSTGRES_URL], autocommit=True) as connection:
        producing.start()
        times: list[tuple[str, float]] = []
        for due in due_times(per_s, seconds):
            time.sleep(max(0.0, due - time.perf_counter()))
            name = str(uuid_utils.compat.uuid7())
            connection.execute(INSERT, [name, value], prepare=True)
            times.append((name, time.perf_counter()))
            committed.put(name)
    committed.put(None)
    producing.join()
    sys.stdout.writelines(f"{name} {at!r}\n" for name, at in times)


def _produce(committed: "queue.SimpleQueue[str | None]", value: bytes) -> None:
    """Produce what is committed by now, and wait until Kafka has it."""
    producer = Producer(
        {
            "bootstrap.servers": os.environ[BOOTSTRAP],
            "enable.idempotence": True,
            "acks": "all",
            "linger.ms": 0,
        }
    )
    name = committed.get()
    while name is not None:
        producer.produce(os.environ[TOPIC], value, name)
        if committed.empty():
            producer.flush()
        name = committed.get()
    producer.flush()


def consume() -> None:
    """SET each message's value as it comes, until SIGTERM."""
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    client = redis.from_url(os.environ[REDIS_URL])
    consumer = Consumer({"bootstrap.servers": os.environ[BOOTSTRAP], "group.id": "chain"})
    consumer.assign([_end_of(consumer, number) for number in range(PARTITIONS)])
    consumer.poll(0.1)
    sys.stdout.write(f"{READY}\n")
    sys.stdout.flush()
    while not stopping.is_set():
        message = consumer.poll(0.1)
        if message is None:
            continue
        key, value = message.key(), message.value()
        assert message.error() is None, message.error()
        assert isinstance(key, bytes)
        assert isinstance(value, bytes)
        client.set(KEY + key.decode(), value)
    consumer.close()


def _end_of(consumer: Consumer, number: int) -> TopicPartition:
    """Where a partition goes on: what another turn sent is of no interest."""
    _, end = consumer.get_watermark_offsets(TopicPartition(os.environ[TOPIC], number), timeout=10)
    return TopicPartition(os.environ[TOPIC], number, end)


def main() -> None:
    half, *figures = sys.argv[1:]
    if half == "insert":
        per_s, seconds = map(float, figures)
        insert(per_s, seconds)
    else:
        consume()


if __name__ == "__main__":
    main()
