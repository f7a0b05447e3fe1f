"""How a document lies in Redis, and under which keys.

A shard is one partition of the topic `order-events`: its documents, lists and progress share
one hash tag, so one script changes them together, on a Redis Cluster too.

A value is the position in twenty digits, a header (JSON, one line) and the body as it is
sent: a reader takes the body without parsing it, a script compares the position alone.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import orjson

from domain.ids import CustomerId, OrderId, StreamId
from projections.order.document import OrderDocument
from projections.order.lists import lists_of, sort_key

POSITION_DIGITS = 20


class Header(msgspec.Struct, omit_defaults=True):
    """What stands beside a body: whose it is, which versions are in it, where it is listed.

    `parked`: a later event could not be applied, so the body is known to be out of date.
    """

    owner: CustomerId
    versions: dict[StreamId, int]
    sort_key: str
    lists: list[str]
    parked: bool = False


class ParkedNote(msgspec.Struct):
    """Why an order is parked: the first event that could not be applied, and what it said."""

    position: int
    event_type: str
    reason: str


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """One value, taken apart but for its body."""

    position: int
    header: Header
    body: bytes


_header_decoder = msgspec.json.Decoder(Header)
_header_encoder = msgspec.json.Encoder()
_note_decoder = msgspec.json.Decoder(ParkedNote)
_note_encoder = msgspec.json.Encoder()


def partition_of(order_id: OrderId, partitions: int) -> int:
    """Place an order: the same partition of the topic and shard of the read models, always."""
    return zlib.crc32(order_id.bytes) % partitions


def prefix(partition: int) -> str:
    return f"{{order-{partition}}}:"


def document_key(order_id: OrderId, partitions: int) -> str:
    return f"{prefix(partition_of(order_id, partitions))}document:{order_id}"


def list_key(partition: int, name: str) -> str:
    return f"{prefix(partition)}list:{name}"


def parked_key(partition: int) -> str:
    """Where notes on parked orders are kept: order id -> ParkedNote."""
    return f"{prefix(partition)}parked"


def progress_key(partition: int) -> str:
    return f"{prefix(partition)}progress"


def position_key(partition: int) -> str:
    return f"{prefix(partition)}position"


def encode(document: OrderDocument) -> tuple[bytes, Header]:
    header = Header(
        owner=document.customer_id,
        versions=dict(document.versions),
        sort_key=sort_key(document),
        lists=sorted(lists_of(document)),
    )
    return _value(document.position, header, body_bytes(document)), header


def body_bytes(document: OrderDocument) -> bytes:
    """Write a body as it is sent; the same document gives the same bytes."""
    return orjson.dumps(document.body)


def decode(value: bytes) -> StoredDocument:
    end = value.index(b"\n")
    return StoredDocument(
        position=int(value[:POSITION_DIGITS]),
        header=_header_decoder.decode(value[POSITION_DIGITS:end]),
        body=value[end + 1 :],
    )


def encode_stored(stored: StoredDocument) -> bytes:
    """Write a value whose body is written already."""
    return _value(stored.position, stored.header, stored.body)


def to_document(stored: StoredDocument) -> OrderDocument:
    return OrderDocument(orjson.loads(stored.body), stored.header.versions)


def apply_keys(partition: int) -> Sequence[str]:
    """Give the keys of apply.lua."""
    return [progress_key(partition), position_key(partition), prefix(partition)]


def encode_change(old: StoredDocument | None, document: OrderDocument) -> Sequence[str | bytes]:
    """Write the arguments of apply.lua that put a document in the place of what was read."""
    value, header = encode(document)
    leaves = [] if old is None else [n for n in old.header.lists if n not in header.lists]
    return [
        str(document.order_id),
        _expected(old),
        value,
        "",
        header.sort_key,
        str(len(header.lists)),
        *header.lists,
        str(len(leaves)),
        *leaves,
    ]


def encode_parking(
    order_id: OrderId, old: StoredDocument | None, note: ParkedNote
) -> Sequence[str | bytes]:
    """Write the arguments of apply.lua that keep the last good body and mark it as out of date."""
    value = b""
    if old is not None:
        header = msgspec.structs.replace(old.header, parked=True)
        value = _value(old.position, header, old.body)
    return [str(order_id), _expected(old), value, _note_encoder.encode(note), "", "0", "0"]


def decode_note(value: bytes) -> ParkedNote:
    return _note_decoder.decode(value)


def _expected(old: StoredDocument | None) -> str:
    return "" if old is None else str(old.position).zfill(POSITION_DIGITS)


def _value(position: int, header: Header, body: bytes) -> bytes:
    digits = str(position).zfill(POSITION_DIGITS).encode()
    return digits + _header_encoder.encode(header) + b"\n" + body
