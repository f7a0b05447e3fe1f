"""What the scripts on a shard are given: documents, what is expected in their place, and lists."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeAlias

import msgspec

from domain.ids import OrderId
from infrastructure.redis import shard_keys, stored_document
from infrastructure.redis.stored_document import ParkedNote, StoredDocument
from projections.order.body import is_forgotten
from projections.order.document import OrderDocument, forget

Argument: TypeAlias = str | bytes
"""Of a script, as Redis takes it."""


def apply_keys(partition: int) -> Sequence[str]:
    """Give the keys of apply.lua, and of every other script on one shard."""
    return [shard_keys.fed_key(partition), shard_keys.prefix(partition)]


def encode_change(
    generation: int,
    old: StoredDocument | None,
    document: OrderDocument,
    *,
    note: ParkedNote | None = None,
    relist: bool = False,
    asked_anew: bool = False,
) -> Sequence[Argument]:
    """Write the arguments of apply.lua that put a document in the place of what was read.

    With a note the order is parked, and this its last good document; one that was parked before
    doesn't go back in position. List entries that stand there already, for they were written with
    what was read, are left alone; with `relist` they are written too, in case somebody has lost
    them. What was emptied when its customer was forgotten stays so: of an order that could not be
    read then no event says it, and whoever has folded it may have the key in a cache still. Who
    has asked for it since the old one was read (`asked_anew`) knows whether it was wrong.
    """
    if old is not None and stored_document.is_emptied(old):
        wrongly = asked_anew and not is_forgotten(document.body)
        document = document if wrongly else forget(document)
    parked = note is not None
    at_least = old.position if parked and old is not None and old.header.parked else 0
    value, header = stored_document.encode(document, parked=parked, at_least=at_least)
    keeps = old is not None and old.header.sort_key == header.sort_key and not relist
    stays = old.header.lists if old is not None and keeps else ()
    joins = [name for name in header.lists if name not in stays]
    leaves = [] if old is None else [n for n in old.header.lists if n not in header.lists]
    return [
        str(generation),
        document.body["order_id"],
        _expected(old),
        value,
        "" if note is None else stored_document.encode_note(note),
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
        value = stored_document.encode_stored(replace(old, header=header))
    note_value = stored_document.encode_note(note)
    return [str(generation), str(order_id), _expected(old), value, note_value, "", "0", "0"]


def encode_removal(order_id: OrderId, old: StoredDocument) -> Sequence[str | bytes]:
    """Write the arguments of remove.lua. What its header says of another order is left alone."""
    header = old.header
    lists = header.lists if header.sort_key.endswith(str(order_id)) else []
    return [str(order_id), _expected(old), header.sort_key, *lists]


def encode_filling(
    order_id: OrderId, document: OrderDocument | None, note: ParkedNote | None
) -> list[Argument]:
    """Write the arguments of fill.lua and compare.lua: what a generation is to hold of an order."""
    written = b"" if note is None else stored_document.encode_note(note)
    if document is None:
        return [str(order_id), b"", written, "", "0"]
    value, header = stored_document.encode(document, parked=note is not None)
    count = str(len(header.lists))
    return [document.body["order_id"], value, written, header.sort_key, count, *header.lists]


def encode_newest(order_id: OrderId, position: int) -> tuple[str, str]:
    """Write a pair of arguments of agree.lua."""
    return msgspec.to_builtins(order_id), stored_document.encode_position(position)


def _expected(old: StoredDocument | None) -> str | bytes:
    """Write what the script has to find in the place of a document: the beginning of its value."""
    if old is None:
        return ""
    return stored_document.encode_position(old.position) if old.damage is None else old.damage
