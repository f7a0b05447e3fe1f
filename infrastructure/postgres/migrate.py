"""Apply the SQL files in `sql/` in order, each once, each in a transaction with its record.

A file that was applied must never change: its checksum is kept, and a difference is refused.
"""

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import psycopg
from psycopg.errors import (
    DeadlockDetected,
    IdleInTransactionSessionTimeout,
    IntegrityError,
    LockNotAvailable,
)
from psycopg.sql import SQL

CONNECT_TIMEOUT_S = 10
# Whoever appends waits behind a migration that waits for a reader: so it waits for a moment only;
# but for longer than a second (`deadlock_timeout`), when a vacuum in its way is ended for it.
LOCK_TIMEOUT = "SET lock_timeout = '3s'"
# One that is frozen between two statements, or has lost its line, holds its locks no longer.
FROZEN_TIMEOUT = "SET idle_in_transaction_session_timeout = '5s'"
PAUSE_S, TRIES = 2.0, 30


class MigrationError(Exception):
    """The schema can't be brought to this version; the message says why."""


@dataclass(frozen=True, slots=True)
class Migration:
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()


def migrations() -> Sequence[Migration]:
    """List the migrations of this version, oldest first."""
    folder = files("infrastructure.postgres") / "sql"
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".sql"))
    return [Migration(name, (folder / name).read_text("utf-8")) for name in names]


def migrate(postgres_url: str) -> Sequence[str]:
    """Bring the database to this version, and give the names of the migrations applied now.

    Raises:
        MigrationError: the database has a migration that this version lacks or has otherwise, or
            rows that one of them refuses; or its tables were in use all the time.
    """
    with psycopg.connect(
        postgres_url, autocommit=True, connect_timeout=CONNECT_TIMEOUT_S
    ) as connection:
        # Two that start at once: the second waits here, and then finds everything applied.
        connection.execute("SELECT pg_advisory_lock(hashtextextended('ordertrail.migrate', 0))")
        connection.execute(
            "CREATE TABLE IF NOT EXISTS migrations ("
            " name text PRIMARY KEY, checksum text NOT NULL,"
            " applied_at timestamptz NOT NULL DEFAULT now())"
        )
        rows = connection.execute("SELECT name, checksum FROM migrations").fetchall()
        applied: dict[str, str] = dict(rows)
        known = migrations()
        _refuse_foreign(applied, known)
        new = [migration for migration in known if migration.name not in applied]
        connection.execute(LOCK_TIMEOUT)
        connection.execute(FROZEN_TIMEOUT)
        for migration in new:
            _apply(connection, migration)
        return [migration.name for migration in new]


def _apply(connection: "psycopg.Connection[Any]", migration: Migration) -> None:
    for _ in range(TRIES):
        try:
            with connection.transaction():
                connection.execute(SQL(migration.sql))
                connection.execute(
                    "INSERT INTO migrations (name, checksum) VALUES (%s, %s)",
                    (migration.name, migration.checksum),
                )
        except (LockNotAvailable, DeadlockDetected):
            time.sleep(PAUSE_S)
        except (IntegrityError, IdleInTransactionSessionTimeout) as error:
            raise MigrationError(f"{migration.name}: {error}") from error
        else:
            return
    raise MigrationError(f"{migration.name}: a table was in use all the time; try again")


def _refuse_foreign(applied: dict[str, str], known: Sequence[Migration]) -> None:
    checksums = {migration.name: migration.checksum for migration in known}
    for name, checksum in applied.items():
        if name not in checksums:
            raise MigrationError(f"the database is newer than this version: it has {name}")
        if checksums[name] != checksum:
            raise MigrationError(f"the database was made by another {name}")
