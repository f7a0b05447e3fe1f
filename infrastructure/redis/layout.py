"""How a document lies in Redis, and under which keys.

A shard is one partition of the topic `order-events`: its documents, lists and progress share
one hash tag, so one script changes them together, on a Redis Cluster too. They exist once per
generation; all generations of a shard share its tag, so one script changes these together too.
A pointer says which generation is read, a set per shard which ones are fed. Both are missing
in an empty Redis, and that means the first generation.

A value is the position in twenty digits, a header (JSON, one line) and the body as it is
sent: a reader takes the body without parsing it, a script compares the position alone.
"""

import re
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import msgspec
import orjson
import redis

from domain.ids import CustomerId, OrderId, StreamId
from projections.order.body import is_forgotten
from projections.order.document import OrderDocument
from projections.order.lists import lists_of, sort_key

Argument: TypeAlias = str | bytes
"""Of a script, as Redis takes it."""
POSITION_DIGITS = 20
FIRST_GENERATION = 1
LIVE_GENERATION = "order:live-generation"
"""The pointer: which generation is read."""
GENERATIONS = "order:generations"
"""What is known of the generations besides: see `generations.Ledger`."""


class PointerUnreadableError(redis.RedisError):
    """Nobody can tell which generation is read: Redis is as good as away."""


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
    """One value, taken apart but for its body.

    `damage`: the beginning of a value that no code of ours wrote: it is as good as none, and is
    written over, which the script allows to who has seen just this.
    """

    position: int
    header: Header
    body: bytes
    damage: bytes | None = None


class ShownDocument(msgspec.Struct, frozen=True, gc=False):
    """What a single read needs of a value: whose it is, how new, and the body to send."""

    position: int
    owner: CustomerId
    parked: bool
    body: bytes


class _ShownHeader(msgspec.Struct):
    """The part of a `Header` that a single read looks at; the rest is passed over undecoded."""

    owner: CustomerId
    parked: bool = False


_FED = re.compile(rb"[1-9]\d{0,8}(,[1-9]\d{0,8})*")
_PROGRESS = re.compile(rb"[ -~]*")
_MEMBERS = {"order_id", "customer", "lines", "position"}
"""By which a body is known for one of ours: every one has them from its beginning."""
_NO_HEADER = Header(owner=CustomerId(""), versions={}, sort_key="", lists=[])
_shown_decoder = msgspec.json.Decoder(_ShownHeader)
_header_decoder = msgspec.json.Decoder(Header)
_header_encoder = msgspec.json.Encoder()
_note_decoder = msgspec.json.Decoder(ParkedNote)
_note_encoder = msgspec.json.Encoder()


def partition_of(order_id: OrderId, partitions: int) -> int:
    """Place an order: the same partition of the topic and shard of the read models, always."""
    return zlib.crc32(order_id.bytes) % partitions


def prefix(partition: int) -> str:
    return f"{{order-{partition}}}:"


def generation_prefix(partition: int, generation: int) -> str:
    return f"{{order-{partition}}}:g{generation}:"


def fed_key(partition: int) -> str:
    """Where a shard keeps which of its generations are fed: '1', or '1,2'."""
    return f"{prefix(partition)}fed"


def document_key(order_id: OrderId, partitions: int, generation: int) -> str:
    partition = zlib.crc32(order_id.bytes) % partitions
    return f"{{order-{partition}}}:g{generation}:document:{msgspec.to_builtins(order_id)}"


def list_key(partition: int, generation: int, name: str) -> str:
    return f"{generation_prefix(partition, generation)}list:{name}"


def parked_key(partition: int, generation: int) -> str:
    """Where notes on parked orders are kept: order id -> ParkedNote."""
    return f"{generation_prefix(partition, generation)}parked"


def progress_key(partition: int, generation: int) -> str:
    return f"{generation_prefix(partition, generation)}progress"


def position_key(partition: int, generation: int) -> str:
    return f"{generation_prefix(partition, generation)}position"


def encode_fed(generations: Iterable[int]) -> str:
    return ",".join(map(str, generations))


def decode_fed(value: bytes | None) -> tuple[int, ...]:
    """Read which generations are fed; what is no such set is as good as none, as in apply.lua.

    Only as it is written: the script compares texts, to which '01' and '1,1' are no '1'.
    """
    if value is None or not _FED.fullmatch(value):
        return (FIRST_GENERATION,)
    fed = tuple(map(int, value.split(b",")))
    return fed if len(set(fed)) == len(fed) else (FIRST_GENERATION,)


def decode_progress(value: bytes | None) -> str:
    """Read a progress; what is no text of ours is as good as none, as in apply.lua."""
    return value.decode() if value is not None and _PROGRESS.fullmatch(value) else ""


def decode_pointer(value: bytes | None) -> int:
    """Read which generation is read. Raises PointerUnreadableError."""
    if value is None:
        return FIRST_GENERATION
    if not value.isdigit():
        raise PointerUnreadableError(f"{LIVE_GENERATION} holds {value[:40]!r}, and no number")
    return int(value)


def decode_position(value: bytes | None) -> int:
    """Read how far a shard is complete; what is no number is as good as none."""
    return int(value) if value is not None and value.isdigit() else 0


def encode(
    document: OrderDocument, *, parked: bool = False, at_least: int = 0
) -> tuple[bytes, Header]:
    """Write a value, at no lower position than is said.

    A parked order is kept at the same position again and again. Once its customer was forgotten it
    is at the next one: whoever has read it as it was finds it moved, and can't put that back.
    """
    position = document.position + (parked and is_forgotten(document.body))
    header = Header(
        owner=document.customer_id,
        versions=dict(document.versions),
        sort_key=sort_key(document),
        lists=list(lists_of(document)),
        parked=parked,
    )
    return _value(max(position, at_least), header, body_bytes(document)), header


def body_bytes(document: OrderDocument) -> bytes:
    """Write a body as it is sent; the same document gives the same bytes."""
    return orjson.dumps(document.body)


def decode(value: bytes) -> StoredDocument:
    """Take a value apart; what can't be is a document with damage, at position 0."""
    try:
        end = value.index(b"\n")
        position = _position(value)
        header = _header_decoder.decode(value[POSITION_DIGITS:end])
    except (ValueError, msgspec.MsgspecError):
        return StoredDocument(0, _NO_HEADER, b"", damage=value[:POSITION_DIGITS])
    return StoredDocument(position, header, value[end + 1 :])


def is_whole(body: bytes) -> bool:
    """Whether a body can be shown: as far as can be seen without parsing it."""
    return body.startswith(b'{"') and body.endswith(b"}")


def decode_shown(value: bytes) -> ShownDocument | None:
    """Read what `decode` would, for a third of the time; None where that can't be shown."""
    try:
        end = value.index(b"\n")
        header = _shown_decoder.decode(value[POSITION_DIGITS:end])
        position = _position(value)
    except (ValueError, msgspec.MsgspecError):
        return None
    body = value[end + 1 :]
    return ShownDocument(position, header.owner, header.parked, body) if is_whole(body) else None


def encode_stored(stored: StoredDocument) -> bytes:
    """Write what was taken apart, byte for byte."""
    return _value(stored.position, stored.header, stored.body)


def to_document(stored: StoredDocument) -> OrderDocument | None:
    """Give the document that a value holds; None where there is damage, or JSON of another kind."""
    if stored.damage is not None:
        return None
    try:
        body = orjson.loads(stored.body)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(body, dict) or not body.keys() >= _MEMBERS:
        return None
    return OrderDocument(body, stored.header.versions)


def apply_keys(partition: int) -> Sequence[str]:
    """Give the keys of apply.lua, and of every other script on one shard."""
    return [fed_key(partition), prefix(partition)]


def encode_change(
    generation: int,
    old: StoredDocument | None,
    document: OrderDocument,
    *,
    note: ParkedNote | None = None,
    relist: bool = False,
) -> Sequence[Argument]:
    """Write the arguments of apply.lua that put a document in the place of what was read.

    With a note the order is parked, and this its last good document; one that was parked before
    doesn't go back in position. List entries that stand there already, for they were written with
    what was read, are left alone; with `relist` they are written too, in case somebody has lost
    them.
    """
    parked = note is not None
    at_least = old.position if parked and old is not None and old.header.parked else 0
    value, header = encode(document, parked=parked, at_least=at_least)
    keeps = old is not None and old.header.sort_key == header.sort_key and not relist
    stays = old.header.lists if old is not None and keeps else ()
    joins = [name for name in header.lists if name not in stays]
    leaves = [] if old is None else [n for n in old.header.lists if n not in header.lists]
    return [
        str(generation),
        document.body["order_id"],
        _expected(old),
        value,
        "" if note is None else encode_note(note),
        header.sort_key,
        str(len(joins)),
        *joins,
        str(len(leaves)),
        *leaves,
    ]


def encode_parking(
    generation: int, order_id: OrderId, old: StoredDocument | None, note: ParkedNote
) -> Sequence[Argument]:
    """Write the arguments of apply.lua that keep what was read and mark it as out of date."""
    value = b""
    if old is not None and old.damage is None:
        header = msgspec.structs.replace(old.header, parked=True)
        value = _value(old.position, header, old.body)
    note_value = encode_note(note)
    return [str(generation), str(order_id), _expected(old), value, note_value, "", "0", "0"]


def encode_removal(order_id: OrderId, old: StoredDocument) -> Sequence[str | bytes]:
    """Write the arguments of remove.lua. What its header says of another order is left alone."""
    header = old.header
    lists = header.lists if header.sort_key.endswith(str(order_id)) else []
    return [str(order_id), _expected(old), header.sort_key, *lists]


def encode_note(note: ParkedNote) -> bytes:
    return _note_encoder.encode(note)


def encode_filling(
    order_id: OrderId, document: OrderDocument | None, note: ParkedNote | None
) -> list[Argument]:
    """Write the arguments of fill.lua and compare.lua: what a generation is to hold of an order."""
    written = b"" if note is None else encode_note(note)
    if document is None:
        return [str(order_id), b"", written, "", "0"]
    value, header = encode(document, parked=note is not None)
    count = str(len(header.lists))
    return [document.body["order_id"], value, written, header.sort_key, count, *header.lists]


def encode_newest(order_id: OrderId, position: int) -> tuple[str, str]:
    """Write a pair of arguments of agree.lua."""
    return msgspec.to_builtins(order_id), encode_position(position)


def encode_position(position: int) -> str:
    """Write a position as documents begin with it: so two of them compare as texts."""
    return str(position).zfill(POSITION_DIGITS)


def built_key(partition: int, generation: int) -> str:
    """Where it is kept how far a generation has been built: range of orders -> last order."""
    return f"{generation_prefix(partition, generation)}built"


def decode_note(value: bytes) -> ParkedNote:
    """Read a note; one that can't be read says so."""
    try:
        return _note_decoder.decode(value)
    except msgspec.MsgspecError:
        return ParkedNote(0, "unknown", "its note can't be read")


def _position(value: bytes) -> int:
    """Read a position as it is written: `int` would take a sign or a space for a digit, too."""
    digits = value[:POSITION_DIGITS]
    if not digits.isdigit():
        raise ValueError("a position is of digits alone")
    return int(digits)


def _expected(old: StoredDocument | None) -> str | bytes:
    """Write what the script has to find in the place of a document: the beginning of its value."""
    if old is None:
        return ""
    return encode_position(old.position) if old.damage is None else old.damage


def _value(position: int, header: Header, body: bytes) -> bytes:
    digits = encode_position(position).encode()
    return digits + _header_encoder.encode(header) + b"\n" + body
