"""How a consumer leaves its group, in a time that is bounded.

librdkafka may wait in `close` for ever, deaf also to SIGTERM: it asks for the group's coordinator
again and again where that went away with a commit under way (librdkafka, issue 3740). Nothing but
the end of the process helps then; the supervisor starts it anew.
"""

import os
import threading

import structlog
from confluent_kafka import Consumer

WITHIN_S = 30.0
"""More than `session.timeout.ms`: Kafka has given its partitions to others by then."""
HANGS = 70
"""The exit status: EX_SOFTWARE of sysexits.h."""

_log = structlog.get_logger(__name__)


def leave(consumer: Consumer) -> None:
    """Close a consumer; ends this process where that does not come to an end."""
    faults: list[BaseException] = []

    def close() -> None:
        try:
            consumer.close()
        except BaseException as fault:  # noqa: BLE001 - it is raised below
            faults.append(fault)

    closing = threading.Thread(target=close, name="leaving", daemon=True)
    closing.start()
    closing.join(WITHIN_S)
    if closing.is_alive():
        _log.critical("consumer_hangs", after_s=WITHIN_S)
        os._exit(HANGS)
    if faults:
        raise faults[0]
