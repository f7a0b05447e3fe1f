"""How a consumer leaves its group, also where librdkafka never comes back from that.

`close` may wait for ever, deaf also to SIGTERM: it asks for the group's coordinator again and again
where that went away with a commit under way (librdkafka, issue 3740). Nothing but the end of the
process helps then; the supervisor starts it anew. While Kafka itself is away or hangs, `close`
waits rightly: a member that is gone without a word holds its partitions for a session's time-out.
"""

import os
import threading

import structlog
from confluent_kafka import Consumer, KafkaException

from infrastructure.kafka import topics

WITHIN_S = 20.0
"""Of Kafka answering: it comes to this only where something is wrong."""
LOOK_EVERY_S = 2.0
HANGS = 70
"""The exit status: EX_SOFTWARE of sysexits.h."""

_log = structlog.get_logger(__name__)


def leave(consumer: Consumer, bootstrap: str) -> None:
    """Close a consumer; ends this process where that does not come to an end."""
    faults: list[BaseException] = []

    def close() -> None:
        try:
            consumer.close()
        except BaseException as fault:  # noqa: BLE001 - it is raised below
            faults.append(fault)

    closing = threading.Thread(target=close, name="leaving", daemon=True)
    closing.start()
    answered_s = 0.0
    while answered_s < WITHIN_S:
        closing.join(LOOK_EVERY_S)
        if not closing.is_alive():
            break
        answered_s = answered_s + LOOK_EVERY_S if _answers(bootstrap) else 0.0
    else:
        _log.critical("consumer_hangs", after_s=answered_s)
        os._exit(HANGS)
    if faults:
        raise faults[0]


def _answers(bootstrap: str) -> bool:
    try:
        topics.admin(bootstrap).list_topics(timeout=LOOK_EVERY_S)
    except KafkaException:
        return False
    return True
