"""How a document lies in Redis.

A value is the position in twenty digits, a header (JSON, one line) and the body as it is
sent: a reader takes the body without parsing it, a script compares the position alone.
"""

from dataclasses import dataclass

import msgspec
import orjson

from domain.ids import CustomerId, StreamId
from domain.personal import FORGOTTEN
from projections.order.body import is_forgotten
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


_MEMBERS = {"order_id", "customer", "lines", "position"}
"""By which a body is known for one of ours: every one has them from its beginning."""
_MASK = str(FORGOTTEN.name).encode()
_NO_HEADER = Header(owner=CustomerId(""), versions={}, sort_key="", lists=[])
_shown_decoder = msgspec.json.Decoder(_ShownHeader)
_header_decoder = msgspec.json.Decoder(Header)
_header_encoder = msgspec.json.Encoder()
_note_decoder = msgspec.json.Decoder(ParkedNote)
_note_encoder = msgspec.json.Encoder()


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


def encode_stored(stored: StoredDocument) -> bytes:
    """Write what was taken apart, byte for byte."""
    return _value(stored.position, stored.header, stored.body)


def decode(value: bytes) -> StoredDocument:
    """Take a value apart; what can't be is a document with damage, at position 0."""
    try:
        end = value.index(b"\n")
        position = _position(value)
        header = _header_decoder.decode(value[POSITION_DIGITS:end])
    except ValueError:
        return StoredDocument(0, _NO_HEADER, b"", damage=value[:POSITION_DIGITS])
    return StoredDocument(position, header, value[end + 1 :])


def decode_shown(value: bytes) -> ShownDocument | None:
    """Read what `decode` would, for a third of the time; None where that can't be shown."""
    try:
        end = value.index(b"\n")
        header = _shown_decoder.decode(value[POSITION_DIGITS:end])
        position = _position(value)
    except ValueError:
        return None
    body = value[end + 1 :]
    return ShownDocument(position, header.owner, header.parked, body) if is_whole(body) else None


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


def is_emptied(stored: StoredDocument) -> bool:
    """Whether it is a document of a customer who was forgotten."""
    if _MASK not in stored.body:  # most are not, and need not be parsed
        return False
    document = to_document(stored)
    try:
        return document is not None and is_forgotten(document.body)
    except (KeyError, TypeError):
        return False  # JSON that no projection wrote


def body_bytes(document: OrderDocument) -> bytes:
    """Write a body as it is sent; the same document gives the same bytes."""
    return orjson.dumps(document.body)


def is_whole(body: bytes) -> bool:
    """Whether a body can be shown: as far as can be seen without parsing it."""
    return body.startswith(b'{"') and body.endswith(b"}")


def encode_note(note: ParkedNote) -> bytes:
    return _note_encoder.encode(note)


def decode_note(value: bytes) -> ParkedNote:
    """Read a note; one that can't be read says so."""
    try:
        return _note_decoder.decode(value)
    except ValueError:
        return ParkedNote(0, "unknown", "its note can't be read")


def encode_position(position: int) -> str:
    """Write a position as documents begin with it: so two of them compare as texts."""
    return str(position).zfill(POSITION_DIGITS)


def _position(value: bytes) -> int:
    """Read a position as it is written: `int` would take a sign or a space for a digit, too."""
    digits = value[:POSITION_DIGITS]
    if not digits.isdigit():
        raise ValueError("a position is of digits alone")
    return int(digits)


def _value(position: int, header: Header, body: bytes) -> bytes:
    digits = encode_position(position).encode()
    return digits + _header_encoder.encode(header) + b"\n" + body
