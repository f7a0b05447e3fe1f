"""What has come of a topic by now, counted and weighed: a thousand large orders are gigabytes."""

from confluent_kafka import Consumer, Message

MOST_BYTES = 16 * 1_024 * 1_024
AT_ONCE = 20
"""Taken before they are weighed, as that takes a call each."""


def take(consumer: Consumer, most: int, *, wait_s: float) -> list[Message]:
    """Wait for a first message, and take what has come by then: a batch makes nobody wait.

    Gives `most` messages, or those with which their values come to MOST_BYTES, or somewhat more.
    """
    first = consumer.poll(wait_s)
    if first is None:
        return []
    taken, size = [first], _size(first)
    while len(taken) < most and size < MOST_BYTES:
        wanted = min(AT_ONCE, most - len(taken))
        more = consumer.consume(wanted, 0.0)
        taken += more
        size += sum(map(_size, more))
        if len(more) < wanted:
            break
    return taken


def _size(message: Message) -> int:
    return len(message.value() or b"")
