"""Events to stored bytes and back: the envelope, the payload, and personal data sealed.

`state` is one JSON object: the envelope's members, `previous_hash`, `data` (the payload
without what is personal) and, where something is, `sealed`: whose, and the box. In the box is
the payload's personal part or, where `texts` names some, those free texts. The bytes are
stored, published and hashed as they are, and never written again.

The hash of an event is SHA-256 over its stream, version, name and state; `state` holds the
hash before it, so each stream is a chain, and an event can't be changed alone.
"""

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from eventsourcing.persistence import StoredEvent

from domain.envelope import Actor, Envelope, Recorded
from domain.errors import DomainError
from domain.events import DomainEvent
from domain.ids import CustomerId, OrderId, StreamId
from domain.personal import FORGOTTEN, SEALED, PersonalData, free_texts
from infrastructure.event_store.catalog import CATALOG, Catalog
from infrastructure.event_store.sealing import CustomerForgottenError, DataKeys, KeyMissingError


class _Sealed(msgspec.Struct, omit_defaults=True):
    """What is sealed of an event.

    Attributes:
        box: '' where the customer was forgotten before: then the texts were not kept at all.
        texts: which free texts are in the box; none: the personal part is.
    """

    customer_id: str
    box: str
    texts: tuple[str, ...] = ()


class _State(msgspec.Struct, omit_defaults=True):
    event_id: UUID
    occurred_at: datetime
    actor: Actor
    correlation_id: str
    causation_id: str
    command_id: str
    previous_hash: str
    data: dict[str, Any]
    sealed: _Sealed | None = None
    traceparent: str | None = None


class Contents(msgspec.Struct, gc=False):
    """What a state holds, but for the hash; the payload's bytes are read by its own decoder."""

    event_id: UUID
    occurred_at: datetime
    actor: Actor
    correlation_id: str
    causation_id: str
    command_id: str
    data: msgspec.Raw
    sealed: _Sealed | None = None
    traceparent: str | None = None

    def envelope(self) -> Envelope:
        return Envelope(
            self.event_id,
            self.occurred_at,
            self.actor,
            self.correlation_id,
            self.causation_id,
            self.command_id,
            self.traceparent,
        )


class LogEntry(msgspec.Struct, frozen=True):
    """One row of the log, or one message of it, as stored."""

    position: int
    stream: StreamId
    version: int
    type: str
    state: bytes
    recorded_at: datetime
    order_id: OrderId | None


LARGEST_STATE = 2 * 1_024 * 1_024
"""Bytes. What a body of 1 MiB becomes is well below; Kafka's topics take twice as much."""

_encoder = msgspec.json.Encoder()
_contents_decoder = msgspec.json.Decoder(Contents)


def event_hash(stream: str, version: int, event_type: str, state: bytes) -> bytes:
    """Hash one stored event, 32 bytes. Lengths stand before the texts, so no two events collide."""
    head = f"{len(stream)}:{stream}:{version}:{len(event_type)}:{event_type}:".encode()
    return hashlib.sha256(head + state).digest()


def read_contents(entry: LogEntry) -> Contents:
    """Take an entry's state apart. Raises ValueError where that can't be done."""
    try:
        return _contents_decoder.decode(entry.state)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def sealed_for(contents: Contents) -> CustomerId | None:
    """Whose key the personal data needs, if there is any."""
    return None if contents.sealed is None else CustomerId(contents.sealed.customer_id)


class EventMapper:
    """Writes and reads stored events. `keys` must know every customer whose data is touched."""

    def __init__(self, keys: DataKeys, catalog: Catalog = CATALOG) -> None:
        self._keys = keys
        self._catalog = catalog
        self._decoders: Mapping[str, msgspec.json.Decoder[DomainEvent]] = {
            name: msgspec.json.Decoder(event_class) for name, event_class in catalog.current.items()
        }

    def to_stored(
        self,
        stream: StreamId,
        version: int,
        envelope: Envelope,
        event: DomainEvent,
        *,
        customer_id: CustomerId | None,
        previous_hash: bytes,
    ) -> StoredEvent:
        """Write one event.

        Raises:
            KeyMissingError: something is personal, and the customer's key was not fetched.
            CustomerForgottenError: it has a personal part, and the customer was forgotten.
            DomainError: `event_too_large`: Kafka would not take it, nor anything behind it.
        """
        data = msgspec.to_builtins(event)
        personal = data.pop("personal", None)
        texts = free_texts(event)
        for name in texts:
            del data[name]
        state = _State(
            event_id=envelope.event_id,
            occurred_at=envelope.occurred_at,
            actor=envelope.actor,
            correlation_id=envelope.correlation_id,
            causation_id=envelope.causation_id,
            command_id=envelope.command_id,
            previous_hash=previous_hash.hex(),
            data=data,
            sealed=self._seal(customer_id, personal, texts, envelope.event_id),
            traceparent=envelope.traceparent,
        )
        encoded = _encoder.encode(state)
        if len(encoded) > LARGEST_STATE:
            raise DomainError("event_too_large", f"an event takes at most {LARGEST_STATE:,} bytes")
        return StoredEvent(
            originator_id=stream,
            originator_version=version,
            topic=self._catalog.name_of(type(event)),
            state=encoded,
        )

    def to_recorded(
        self, entry: LogEntry, contents: Contents | None = None, *, open_sealed: bool = True
    ) -> Recorded[DomainEvent]:
        """Read one event, upcast to its newest version; `contents`, where it was read already.

        Raises:
            KeyMissingError: `open_sealed`, and the customer's key was not fetched.
            UnknownEventTypeError: the catalog has no such name.
        """
        if contents is None:
            contents = read_contents(entry)
        data: bytes | msgspec.Raw = contents.data
        if contents.sealed is not None:
            # More members, spliced in as JSON: so one decoder makes the event, in one go.
            members = self._members(contents.sealed, contents.event_id, open_sealed=open_sealed)
            data = bytes(data)
            data = data[:-1] + b"," * (data != b"{}") + members + b"}"
        return Recorded(
            entry.position,
            entry.stream,
            entry.version,
            entry.type,
            entry.order_id,
            entry.recorded_at,
            contents.envelope(),
            self._event(entry.type, data),
        )

    def _event(self, name: str, data: bytes | msgspec.Raw) -> DomainEvent:
        decoder = self._decoders.get(name)
        if decoder is not None:
            return decoder.decode(data)
        event_class, upcast = self._catalog.upcast(name, msgspec.json.decode(data))
        return msgspec.convert(upcast, event_class)

    def _seal(
        self,
        customer_id: CustomerId | None,
        personal: object,
        texts: Mapping[str, str],
        event_id: UUID,
    ) -> _Sealed | None:
        if personal is None and not texts:
            return None
        if customer_id is None:
            raise KeyMissingError("nobody said whose personal data it is")
        plain = _encoder.encode(texts or personal)
        try:
            box = self._keys.seal(customer_id, plain, bound_to=event_id.bytes)
        except CustomerForgottenError:
            if not texts:
                raise
            box = ""  # what happens to their parcels goes on, without a word of theirs
        return _Sealed(customer_id=customer_id, box=box, texts=tuple(texts))

    def _members(self, sealed: _Sealed, event_id: UUID, *, open_sealed: bool) -> bytes:
        """Give what is sealed as members of a JSON object, opened or masked."""
        if not open_sealed:
            return _masked(sealed, SEALED)
        customer = CustomerId(sealed.customer_id)
        plain = self._keys.open(customer, sealed.box, bound_to=event_id.bytes)
        if plain is None:
            return _masked(sealed, FORGOTTEN)
        return plain[1:-1] if sealed.texts else b'"personal":' + plain


def _masked(sealed: _Sealed, instead: PersonalData) -> bytes:
    if sealed.texts:
        return _encoder.encode(dict.fromkeys(sealed.texts, instead.name))[1:-1]
    return b'"personal":' + _encoder.encode(instead)
