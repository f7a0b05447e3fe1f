"""Appends and reads with ten million events in the log, beside the same with ten thousand.

The logs are filled by SQL with rows of the real sizes under the real indexes, analyzed; orders
that are read were placed through the store. A read is answered from Redis, or, with its document
gone, folded from the log.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import cycle

import psycopg
import redis

from tests.bench.append import a_state, appender
from tests.bench.http_load import http_request
from tests.bench.http_rate import answers_per_s, bearer
from tests.bench.read import OK, by_owner
from tests.bench.report import Bar, Row
from tests.bench.rounds import Contender, Effort, interleave
from tests.bench.stack import Platform, Stack
from tests.bench.views import Shown, place_orders, show_orders

LARGE, SMALL = 10_000_000, 10_000
LEAST = 0.9
SHOWN = 2_000
AT_ONCE = 500_000
EVENTS_OF_ONE = 4
LATER_BYTES = 400
"""Of a state that holds no personal data, which is what comes after an order was placed."""
EVENTS = """
INSERT INTO events
SELECT 'order-' || o.id, version, 'order.placed.v2',
       CASE WHEN version = 1 THEN s.state ELSE substring(s.state FOR %(later)s) END,
       o.n * %(each)s + version, clock_timestamp(), o.id
FROM (SELECT %(state)s::bytea AS state) AS s,
     (SELECT n, uuidv7() AS id FROM generate_series(%(start)s::bigint, %(last)s::bigint) n) AS o,
     generate_series(1, %(each)s) AS version
"""
NAMES = """
INSERT INTO unique_names
SELECT 'order_number', left(md5(order_id::text), 9), order_id
FROM events WHERE originator_version = 1 ON CONFLICT DO NOTHING
"""
ANSWERS = """
INSERT INTO answers
SELECT 'service:my-shop', 'POST /v1/orders', gen_random_uuid(), sha256(state),
       convert_to(json_build_object('order_id', order_id, 'order_number', '7K3M-92QX',
                                    'version', 1, 'status', 'pending')::text, 'UTF8'),
       notification_id
FROM events WHERE originator_version = 1
"""


def measure(stack: Stack, effort: Effort) -> Sequence[Row]:
    small, large = stack.platform(), _on_redis_database(stack.platform(), 1)
    sizes = {f"{SMALL:,} events": SMALL, "many events": max(SMALL, int(LARGE * effort.scale))}
    platforms = dict(zip(sizes, (small, large), strict=True))
    shown: dict[str, Sequence[Shown]] = {}
    for name, platform in platforms.items():
        place_orders(platform, 1)
        fill(platform.owner_url, sizes[name])
        shown[name] = show_orders(platform, SHOWN)
    few, many = platforms
    notes = {"events of the many": float(sizes[many])}

    def row(what: str, unit: str, contender: Callable[[str], Contender]) -> Row:
        # The thing itself stands first.
        figures = interleave({many: contender(many), few: contender(few)}, effort)
        return Row(f"growth: {what}", unit, figures, [Bar(few, LEAST)], dict(notes))

    with (
        stack.service("query-api", small.settings) as at_small,
        stack.service("query-api", large.settings) as at_large,
    ):
        ports = {few: at_small.port, many: at_large.port}
        requests = {name: by_owner(stack, shown[name]) for name in platforms}
        rows = [
            row(
                "GET",
                "answers/s",
                lambda name: answers_per_s(ports[name], lambda: cycle(requests[name]), expected=OK),
            ),
            row(
                "GET folded from the log",
                "answers/s",
                lambda name: _folded(stack, platforms[name], shown[name], ports[name]),
            ),
        ]
    with appender(small) as append_small, appender(large) as append_large:
        appenders = {few: append_small, many: append_large}
        rows.append(row("append", "events/s", lambda name: appenders[name]))
    return rows


def fill(url: str, events: int) -> None:
    """Make the log so long, with names and answers as placed orders have them."""
    state = a_state(url)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("TRUNCATE events, unique_names, answers")
        orders = events // EVENTS_OF_ONE
        for start in range(0, orders, AT_ONCE // EVENTS_OF_ONE):
            values: Mapping[str, object] = {
                "state": state,
                "later": LATER_BYTES,
                "each": EVENTS_OF_ONE,
                "start": start,
                "last": min(orders, start + AT_ONCE // EVENTS_OF_ONE) - 1,
            }
            connection.execute(EVENTS, values)
        connection.execute(NAMES)
        connection.execute(ANSWERS)
        connection.execute("VACUUM ANALYZE events, unique_names, answers")
        connection.execute("CHECKPOINT")


def _folded(stack: Stack, platform: Platform, shown: Sequence[Shown], port: int) -> Contender:
    """Read each order once, after its document was taken away: a fold is kept."""
    headers = {**bearer(stack.token("support", "ada")), "Prefer": "wait=0"}
    requests = [http_request("GET", f"/v1/orders/{one.order_id}", headers=headers) for one in shown]
    read = answers_per_s(port, lambda: requests, expected=OK)

    def run(seconds: float) -> float:
        with redis.from_url(platform.settings["ORDERTRAIL_REDIS_URL"]) as client:
            client.unlink(*(one.key for one in shown))
        return read(seconds)

    return run


def _on_redis_database(platform: Platform, number: int) -> Platform:
    url = platform.settings["ORDERTRAIL_REDIS_URL"].removesuffix("/0")
    return Platform(
        platform.owner_url, {**platform.settings, "ORDERTRAIL_REDIS_URL": f"{url}/{number}"}
    )
