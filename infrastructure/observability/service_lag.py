"""How far each service is behind, told from what is durable and from nothing else.

Rule: a stuck service looks stuck. What it has taken of Kafka is what its group has committed; what
it has still to do at some time is in the table of tasks. So a service that hangs, is dead or has
fallen behind shows it, whatever it says of itself.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from confluent_kafka import KafkaException
from psycopg.rows import DictRow, dict_row

SERVICES = ("fulfilment", "inventory", "payment")
QUEUES = (*(f"{service}.reactions" for service in SERVICES), "fulfilment.timers", "payment.calls")
FAILING_TRIES = 3
"""Tries in vain after which a task counts as failing."""
POSTGRES_TIMEOUT_S = 2
"""To connect; psycopg takes no less."""
STATEMENT_TIMEOUT = "SET statement_timeout = '1s'"
TASKS = """
SELECT queue, failing, due, extract(epoch FROM now() - oldest)::float8 AS age_s
FROM unnest(%(queues)s::text[]) WITH ORDINALITY AS named (queue, place)
CROSS JOIN LATERAL (SELECT count(*) AS due, min(due_at) AS oldest FROM tasks
                    WHERE queue = named.queue AND due_at <= now()) AS of_due
CROSS JOIN LATERAL (SELECT count(*) AS failing FROM tasks
                    WHERE queue = named.queue AND problem IS NOT NULL
                      AND tries >= %(tries)s) AS of_failing
ORDER BY place
"""

MessagesLeft = Callable[[], Mapping[str, int]]


@dataclass(frozen=True, slots=True)
class ServiceLag:
    """One service. Attributes: messages: not taken yet; None: not known, `problem` says why."""

    service: str
    messages: int | None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class QueueLag:
    """One queue of tasks.

    Attributes:
        due: tasks that somebody should be at; those that are tried again later are not due.
        seconds: since when the oldest of them is due; 0.0 if there is none.
        failing: tasks that were tried in vain at least `FAILING_TRIES` times, due or not.
        problem: why none of these is known; they are None then.
    """

    queue: str
    due: int | None
    seconds: float | None
    failing: int | None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Services:
    """All services, in the order of `SERVICES`, and all queues, in that of `QUEUES`."""

    lags: Sequence[ServiceLag]
    queues: Sequence[QueueLag]


def unknown(problem: str) -> Services:
    return Services(_unknown_lags(problem), _unknown_queues(problem))


class ServiceMeter:
    """Asks Kafka and PostgreSQL. Blocking; takes seconds if one of them hangs."""

    def __init__(self, postgres_url: str, messages_left: MessagesLeft) -> None:
        """Take what to ask; `messages_left` counts by service, or raises KafkaException."""
        self._postgres_url = postgres_url
        self._messages_left = messages_left

    def measure(self) -> Services:
        return Services(self._ask_kafka(), self._ask_tasks())

    def _ask_kafka(self) -> Sequence[ServiceLag]:
        try:
            left = self._messages_left()
        except KafkaException as error:
            return _unknown_lags(f"kafka: {error.args[0].name()}")
        return [ServiceLag(service, left[service]) for service in SERVICES]

    def _ask_tasks(self) -> Sequence[QueueLag]:
        try:
            rows = self._read_tasks()
        except psycopg.Error as error:
            return _unknown_queues(f"postgres: {type(error).__name__}")
        return [
            QueueLag(row["queue"], row["due"], max(0.0, row["age_s"] or 0.0), row["failing"])
            for row in rows
        ]

    def _read_tasks(self) -> Sequence[DictRow]:
        values: dict[str, Any] = {"queues": list(QUEUES), "tries": FAILING_TRIES}
        with psycopg.connect(
            self._postgres_url,
            autocommit=True,
            row_factory=dict_row,
            connect_timeout=POSTGRES_TIMEOUT_S,
        ) as connection:
            connection.execute(STATEMENT_TIMEOUT)
            return connection.execute(TASKS, values).fetchall()


def _unknown_lags(problem: str) -> Sequence[ServiceLag]:
    return [ServiceLag(service, None, problem) for service in SERVICES]


def _unknown_queues(problem: str) -> Sequence[QueueLag]:
    return [QueueLag(queue, None, None, None, problem) for queue in QUEUES]
