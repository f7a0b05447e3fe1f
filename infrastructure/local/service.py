"""One of our own services as a supervised program: `ordertrail serve NAME --port PORT`."""

import http
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from infrastructure.local.edge import http_status
from infrastructure.local.program import Program, inherited_environment

PROJECT = Path(__file__).parents[2]
PROBE_TIMEOUT_S = 3.0
NOT_WAITED_FOR = ("sealer",)
"""Orders go on without it: a history that is not what it was must not keep a platform down."""


@dataclass(eq=False)
class Service(Program):
    """Its settings come as environment variables, and only those that it is meant to have."""

    name: str
    port: int
    settings: Mapping[str, str]

    def command(self) -> Sequence[str]:
        serve = [sys.executable, "-m", "api.cli.main", "serve", self.name]
        return [*serve, "--port", str(self.port)]

    def environment(self) -> Mapping[str, str]:
        return {**inherited_environment(), "PYTHONUNBUFFERED": "1", **self.settings}

    def folder(self) -> Path:
        return PROJECT

    def ready(self) -> bool:
        return http_status(self.port, "/readyz", PROBE_TIMEOUT_S) == http.HTTPStatus.OK

    def started(self) -> bool:
        """For one that nobody waits for it is enough that it lives: it may have a fault to tell."""
        if self.name not in NOT_WAITED_FOR:
            return self.ready()
        return http_status(self.port, "/healthz", PROBE_TIMEOUT_S) == http.HTTPStatus.OK
