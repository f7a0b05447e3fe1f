"""The Merkle tree over a range of the log: one hash that changes with anything in the range.

RFC 9162, section 2.1.1 (RFC 6962's tree): leaf and node hashes start with different bytes, so no
node can be passed off as a leaf. A leaf covers what the event's own hash does not: its position,
the time it was recorded at, and the order that it belongs to.
"""

import struct
from collections.abc import Sequence
from hashlib import sha256
from typing import NamedTuple

LEAF, NODE = b"\x00", b"\x01"
EMPTY_ROOT = sha256().digest()
_HEAD = struct.Struct(">qqqB")


class Entry(NamedTuple):
    """What a seal covers of one event.

    Attributes:
        position: in the log, from 1.
        stream: its name; it is in the leaf so that a list of entries proves its names.
        version: within the stream, from 1.
        recorded_us: microseconds since 2000-01-01 UTC, which is how PostgreSQL keeps a time.
        order_id: the UUID's 16 bytes; none if the event belongs to no order.
        event_hash: `mapper.event_hash`, 32 bytes.
    """

    position: int
    stream: str
    version: int
    recorded_us: int
    order_id: bytes
    event_hash: bytes

    def leaf(self) -> bytes:
        """Hash it, 32 bytes."""
        head = _HEAD.pack(self.position, self.recorded_us, self.version, len(self.order_id))
        stream = self.stream.encode()
        return sha256(LEAF + head + self.order_id + self.event_hash + stream).digest()


def merkle_root(leaves: Sequence[bytes]) -> bytes:
    """Hash leaf hashes up to their root, 32 bytes.

    Level by level, an odd last hash moves up as it is: that is the tree which RFC 9162 defines
    by splitting at the greatest power of two below the count.
    """
    if not leaves:
        return EMPTY_ROOT
    level = leaves
    while len(level) > 1:
        above = [
            sha256(NODE + left + right).digest()
            for left, right in zip(level[::2], level[1::2], strict=False)
        ]
        if len(level) % 2:
            above.append(level[-1])
        level = above
    return level[0]
