"""The schema: applied once, the same however it was reached, and closed to the services."""

import hashlib
import secrets
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from commands.order.place import place_order
from commands.ports import Ports
from infrastructure.composition import RandomNames, SystemClock
from infrastructure.event_store.store import open_event_store
from infrastructure.local.postgres import PostgresServer
from infrastructure.postgres import migrate as migrating
from infrastructure.postgres.migrate import Migration, MigrationError, migrate, migrations
from tests.integration.event_store.test_event_store import MASTER_KEY, order, request

WITHIN_S = 30
PASSWORD = secrets.token_hex(8)
DESCRIBE = """
    SELECT 'column', concat_ws(' ', table_name, column_name, data_type, is_nullable, column_default)
    FROM information_schema.columns WHERE table_schema = 'public' AND table_name <> 'migrations'
    UNION ALL SELECT 'constraint', concat_ws(' ', conrelid::regclass, pg_get_constraintdef(oid))
        FROM pg_constraint WHERE connamespace = 'public'::regnamespace
    UNION ALL SELECT 'trigger', pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
    UNION ALL SELECT 'index', indexdef FROM pg_indexes WHERE schemaname = 'public'
    UNION ALL SELECT 'function', pg_get_functiondef(p.oid) || coalesce(p.proacl::text, '')
        FROM pg_proc p WHERE pronamespace = 'public'::regnamespace
    UNION ALL SELECT 'grant', table_name || ' ' || grantee || ' ' || privilege_type
        FROM information_schema.table_privileges WHERE table_schema = 'public'
    ORDER BY 1, 2
"""


def test_a_schema_that_was_migrated_step_by_step_equals_a_fresh_one(
    bare_database_url: str, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = migrations()
    for count in range(1, len(known) + 1):
        monkeypatch.setattr(migrating, "migrations", lambda upto=count: known[:upto])
        assert migrate(bare_database_url) == [known[count - 1].name]

    assert _describe(bare_database_url) == _describe(database_url)


def test_migrating_again_changes_nothing(database_url: str) -> None:
    before = _describe(database_url)
    assert migrate(database_url) == []
    assert _describe(database_url) == before


def test_a_database_of_a_newer_version_is_refused(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrating, "migrations", lambda: migrations()[:1])
    with pytest.raises(MigrationError, match="newer"):
        migrate(database_url)


def test_a_migration_that_was_changed_is_refused(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, *others = migrations()
    changed = [Migration(first.name, f"{first.sql} "), *others]
    monkeypatch.setattr(migrating, "migrations", lambda: changed)
    with pytest.raises(MigrationError, match=first.name):
        migrate(database_url)


def test_a_migration_that_fails_leaves_nothing_of_itself(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = _describe(database_url)
    broken = Migration("9999_broken.sql", "CREATE TABLE half (a int); SELECT 1 / 0;")
    known = [*migrations(), broken]
    monkeypatch.setattr(migrating, "migrations", lambda: known)
    with pytest.raises(psycopg.errors.DivisionByZero):
        migrate(database_url)
    assert _describe(database_url) == before


def test_rows_that_a_migration_refuses_are_told(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusing = Migration("9999_refusing.sql", "INSERT INTO migrations VALUES (NULL, '')")
    known = [*migrations(), refusing]
    monkeypatch.setattr(migrating, "migrations", lambda: known)
    with pytest.raises(MigrationError, match=r"9999_refusing\.sql: .*null value"):
        migrate(database_url)


def test_a_migration_that_waits_for_a_reader_lets_others_append(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    altering = Migration("9999_altering.sql", "ALTER TABLE events ADD COLUMN more int")
    known = [*migrations(), altering]
    monkeypatch.setattr(migrating, "migrations", lambda: known)
    monkeypatch.setattr(migrating, "PAUSE_S", 0.5)
    with psycopg.connect(database_url) as reading, ThreadPoolExecutor(1) as others:
        reading.execute("SELECT FROM events")
        migrating_now = others.submit(migrate, database_url)
        _await_waiting(database_url)
        with psycopg.connect(database_url, autocommit=True) as writing:
            writing.execute("SET statement_timeout = '5s'")
            writing.execute("DELETE FROM events WHERE false")
        assert not migrating_now.done()
        reading.rollback()
        assert migrating_now.result() == [altering.name]


def test_a_migration_that_is_frozen_holds_its_locks_for_a_moment_only(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = _describe(database_url)
    freezing = _Freezing("9999_freezing.sql", "LOCK TABLE events")
    known = [*migrations(), freezing]
    monkeypatch.setattr(migrating, "migrations", lambda: known)
    monkeypatch.setattr(migrating, "FROZEN_TIMEOUT", "SET idle_in_transaction_session_timeout = 50")
    with ThreadPoolExecutor(1) as others:
        migrating_now = others.submit(migrate, database_url)
        assert freezing.holds.wait(WITHIN_S)
        with psycopg.connect(database_url, autocommit=True) as writing:
            writing.execute(f"SET statement_timeout = '{WITHIN_S}s'")
            writing.execute("DELETE FROM events WHERE false")
        freezing.thaws.set()
        with pytest.raises(MigrationError, match=r"9999_freezing\.sql: .*idle-in-transaction"):
            migrating_now.result()
    assert _describe(database_url) == before


class _Freezing(Migration):
    """One whose process stands still between its statement and the record of it."""

    known, holds, thaws = threading.Event(), threading.Event(), threading.Event()

    @property
    def checksum(self) -> str:
        if self.known.is_set():  # before, it is compared with what was applied
            self.holds.set()
            assert self.thaws.wait(2 * WITHIN_S)
        self.known.set()
        return hashlib.sha256(self.sql.encode()).hexdigest()


def _await_waiting(database_url: str) -> None:
    waits = "SELECT count(*) FROM pg_locks WHERE NOT granted"
    with psycopg.connect(database_url, autocommit=True) as looking:
        while looking.execute(waits).fetchone() == (0,):
            time.sleep(0.01)


@pytest.fixture
def service_url(postgres_server: PostgresServer, database_url: str) -> str:
    postgres_server.ensure_login("test_service", PASSWORD, "ordertrail_service")
    return postgres_server.url(database_url.rpartition("/")[2], "test_service", PASSWORD)


async def test_a_service_appends_through_the_function(service_url: str) -> None:
    async with open_event_store(service_url, MASTER_KEY, pool_size=1, pool_timeout_s=5) as store:
        ports = Ports(store, SystemClock(), RandomNames())
        answer = await place_order(order(), request("k"), ports)
    assert answer.position == 1


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO events VALUES ('order-1', 1, 't', '', 1, now(), NULL)",
        "UPDATE events SET state = ''",
        "DELETE FROM events",
        "TRUNCATE events",
        "DROP TABLE events",
        "ALTER TABLE events DISABLE TRIGGER ALL",
        "DELETE FROM answers",
        "UPDATE unique_names SET name = 'x'",
        "INSERT INTO customer_keys VALUES ('c', '')",
        "DELETE FROM customer_keys",
        "DELETE FROM relay_positions",
        "DELETE FROM migrations",
        "INSERT INTO seals VALUES (1, 1, 1, '')",
        "UPDATE seals SET seal = ''",
        "DELETE FROM seals",
        "CREATE TABLE mine (a int)",
        "CREATE OR REPLACE FUNCTION append_events() RETURNS void LANGUAGE sql AS ''",
        "SET ROLE postgres",
    ],
)
def test_a_service_can_do_nothing_else_to_what_is_stored(service_url: str, statement: str) -> None:
    with (
        psycopg.connect(service_url, autocommit=True) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute(statement)


def _describe(database_url: str) -> list[tuple[str, str]]:
    with psycopg.connect(database_url) as connection:
        return connection.execute(DESCRIBE).fetchall()
