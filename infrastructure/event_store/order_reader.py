"""Reads one order from the event store: its events with personal data opened, or its fold.

Blocking; safe to use from several threads.
"""

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import TypeAlias, TypeVar

from eventsourcing.persistence import InterfaceError, OperationalError
from eventsourcing.postgres import PostgresDatastore

from domain.envelope import Recorded
from domain.errors import UnavailableError
from domain.events import DomainEvent
from domain.ids import CustomerId, OrderId
from domain.order.events import OrderPersonalDataForgotten
from infrastructure.event_store.mapper import (
    Contents,
    EventMapper,
    LogEntry,
    read_contents,
    sealed_for,
)
from infrastructure.event_store.recorder import EventLogRecorder
from infrastructure.event_store.sealing import DataKeys, MasterKeyWrongError
from projections.order.body import is_forgotten
from projections.order.document import GapError, OrderDocument, fold, forget, project
from projections.order.past import forgotten

T = TypeVar("T")


class UnreadableEventError(Exception):
    """A stored event that this version can't read or apply.

    Attributes: entry: the event; reason: what went wrong, without values from the event;
    before: the order's document without it, where it was folded and there is one; of a customer who
    was forgotten later, as of any other who was, it shows nothing personal.
    """

    def __init__(self, entry: LogEntry, cause: Exception) -> None:
        self.entry = entry
        self.before: OrderDocument | None = None
        self.reason = type(cause).__name__
        super().__init__(f"{entry.type} at position {entry.position}: {self.reason}")


Opened: TypeAlias = Recorded[DomainEvent] | UnreadableEventError


class OrderReader:
    """The event store as readers see it."""

    def __init__(self, open_datastore: Callable[[], PostgresDatastore], keys: DataKeys) -> None:
        """Take what opens the one datastore: the first use connects, so a reader can start without.

        It has a pool, with threads of its own, whether PostgreSQL is there or not.
        """
        self._open_datastore = open_datastore
        self._datastore: PostgresDatastore | None = None
        self._recorder: EventLogRecorder | None = None
        self._keys = keys
        self._mapper = EventMapper(keys)
        self._lock = threading.Lock()
        self._opening = threading.Lock()

    def events(
        self, order_id: OrderId, *, open_sealed: bool = True
    ) -> Sequence[Recorded[DomainEvent]]:
        """Read every event of an order in log order, without what was forgotten later.

        Raises:
            UnreadableEventError: one of them can't be read.
            UnavailableError: the event store can't be reached.
        """
        return forgotten(self.open(self.entries(order_id), open_sealed=open_sealed))

    def events_of(
        self, order_ids: Sequence[OrderId]
    ) -> Mapping[OrderId, Sequence[Recorded[DomainEvent]] | UnreadableEventError]:
        """Read every event of several orders, as `events` does, in one round trip.

        Raises UnavailableError. Where an event can't be read, that is told for its order alone.
        """
        entries = self.entries_of(order_ids)
        found: dict[OrderId, list[Recorded[DomainEvent]]] = {one: [] for one in order_ids}
        unreadable: dict[OrderId, UnreadableEventError] = {}
        for entry, opened in zip(entries, self.open_each(entries), strict=True):
            if entry.order_id is None:
                continue
            if isinstance(opened, UnreadableEventError):
                unreadable.setdefault(entry.order_id, opened)
            else:
                found[entry.order_id].append(opened)
        return {one: unreadable.get(one) or forgotten(events) for one, events in found.items()}

    def entries(self, order_id: OrderId) -> Sequence[LogEntry]:
        """Read every event of an order as it is stored. Raises UnavailableError."""
        return self.entries_of([order_id])

    def entries_of(self, order_ids: Sequence[OrderId]) -> Sequence[LogEntry]:
        """Read every event of several orders, in log order. Raises UnavailableError."""
        return self._ask(lambda recorder: recorder.read_orders(order_ids))

    def fold(self, order_id: OrderId) -> OrderDocument | None:
        """Fold an order from its beginning; None if there is no such order.

        Raises:
            UnreadableEventError: an event can't be applied.
            UnavailableError: the event store can't be reached.
        """
        folded = self.fold_many([order_id]).get(order_id)
        if isinstance(folded, UnreadableEventError):
            raise folded
        return folded

    def fold_many(
        self, order_ids: Sequence[OrderId]
    ) -> Mapping[OrderId, OrderDocument | UnreadableEventError]:
        """Fold several orders in one round trip; those that don't exist are left out."""
        if not order_ids:
            return {}
        return self.fold_entries(self.entries_of(order_ids))

    def fold_entries(
        self, entries: Sequence[LogEntry]
    ) -> Mapping[OrderId, OrderDocument | UnreadableEventError]:
        """Fold the orders of these entries, each from its beginning."""
        # By number: a UUID is hashed and compared by code in Python, each time.
        orders: dict[int, tuple[OrderId, list[LogEntry], list[Opened]]] = {}
        for entry, opened in zip(entries, self.open_each(entries), strict=True):
            if entry.order_id is None:
                continue
            order = orders.get(entry.order_id.int)
            if order is None:
                order = orders[entry.order_id.int] = (entry.order_id, [], [])
            order[1].append(entry)
            order[2].append(opened)
        return {order_id: _fold(its, opened) for order_id, its, opened in orders.values()}

    def open(
        self, entries: Sequence[LogEntry], *, open_sealed: bool = True
    ) -> Sequence[Recorded[DomainEvent]]:
        """Read stored entries. Raises UnreadableEventError at the first that can't be read."""
        opened = []
        for recorded in self.open_each(entries, open_sealed=open_sealed):
            if isinstance(recorded, UnreadableEventError):
                raise recorded
            opened.append(recorded)
        return opened

    def open_each(
        self, entries: Sequence[LogEntry], *, open_sealed: bool = True
    ) -> Sequence[Opened]:
        """Read stored entries, each by itself, fetching the keys they need in one round trip."""
        contents = [_contents(entry) for entry in entries]
        if not open_sealed:
            return self._opened(entries, contents, open_sealed=False)
        owners = {
            owner
            for one in contents
            if isinstance(one, Contents) and (owner := sealed_for(one)) is not None
        }
        # One thread at a time: between fetching a key and using it, nobody may push it out.
        with self._lock:
            self._fetch_keys(owners)
            return self._opened(entries, contents, open_sealed=True)

    def _opened(
        self,
        entries: Sequence[LogEntry],
        contents: Sequence[Contents | UnreadableEventError],
        *,
        open_sealed: bool,
    ) -> Sequence[Opened]:
        opened: list[Opened] = []
        for entry, one in zip(entries, contents, strict=True):
            if isinstance(one, UnreadableEventError):
                opened.append(one)
                continue
            try:
                opened.append(self._mapper.to_recorded(entry, one, open_sealed=open_sealed))
            except Exception as error:  # noqa: BLE001 - reading bytes; nothing else can fail here
                opened.append(UnreadableEventError(entry, error))
        return opened

    def ask_keys_anew(self) -> None:
        """Look up again, when it is needed next, whose key is there and who was forgotten."""
        with self._lock:
            self._keys.drop_all()

    def head(self) -> int:
        """Give the position of the log's newest entry."""
        return self._ask(lambda recorder: recorder.head())

    def clock(self) -> datetime:
        """Give the time by the clock that `recorded_at` is from."""
        return self._ask(lambda recorder: recorder.clock())

    def find_order(self, order_number: str) -> OrderId | None:
        """Look up whose number this is; None if it is nobody's."""
        return self._ask(lambda recorder: recorder.find_order(order_number))

    def count_orders(self) -> int:
        """Count the orders in the log."""
        return self._ask(lambda recorder: recorder.count_orders())

    def order_ids(self) -> Iterable[OrderId]:
        return self._ask(lambda recorder: recorder.order_ids())

    def close(self) -> None:
        with self._opening:
            if self._datastore is not None:
                self._datastore.close()

    def _fetch_keys(self, owners: set[CustomerId]) -> None:
        # A text with a NUL is none of PostgreSQL: no key is stored under it.
        unknown = sorted(one for one in self._keys.unknown(owners) if "\0" not in one)
        if not unknown:
            return
        stored = self._ask(lambda recorder: recorder.read_data_keys(unknown))
        learned = [self._keys.learn(*one) for one in stored.items()]
        if not all(learned) and not self._keys.is_right:
            self._require_master_key()

    def _require_master_key(self) -> None:
        """Tell a damaged key from a wrong master key, by which every order would be parked.

        Raises MasterKeyWrongError. New customers' keys are made with the wrong one, so some open.
        """
        stored = self._ask(lambda recorder: recorder.read_some_data_keys())
        opened = sum(self._keys.learn(*one) for one in stored.items())
        if 2 * opened < len(stored):
            raise MasterKeyWrongError(
                f"the master key opens {opened} of {len(stored)} customers' keys"
            )
        self._keys.is_right = True

    def _ask(self, question: Callable[[EventLogRecorder], T]) -> T:
        # Twice: after a restart of the database, the first finds out that its connection is dead.
        try:
            return self._ask_once(question)
        except UnavailableError:
            return self._ask_once(question)

    def _ask_once(self, question: Callable[[EventLogRecorder], T]) -> T:
        try:
            with self._opening:
                if self._datastore is None:
                    self._datastore = self._open_datastore()
            if self._recorder is None:
                self._recorder = EventLogRecorder(self._datastore)  # this connects
            return question(self._recorder)
        except (OperationalError, InterfaceError) as error:
            raise UnavailableError("postgres", str(error)) from error


def _fold(
    entries: Sequence[LogEntry], opened: Sequence[Opened]
) -> OrderDocument | UnreadableEventError:
    """Fold an order in one go; if that fails, event by event up to the one that can't be taken."""
    readable = [one for one in opened if isinstance(one, Recorded)]
    document: OrderDocument | None = None
    if len(readable) == len(opened):
        with suppress(Exception):  # the same is met below, and then it is known where
            document = fold(readable)
    if document is not None:
        return document
    for entry, recorded in zip(entries, opened, strict=True):
        try:
            folded = take_in(document, entry, recorded)
        except GapError as gap:
            folded = UnreadableEventError(entry, gap)  # the store itself has lost an event
        if isinstance(folded, UnreadableEventError):
            folded.before = _as_it_may_be_shown(document, opened)
            return folded
        document = folded
    if document is None:
        raise AssertionError("an order has at least one event")
    return document


def _as_it_may_be_shown(
    before: OrderDocument | None, opened: Sequence[Opened]
) -> OrderDocument | None:
    """Take from a document what was forgotten behind it.

    The key may be in a cache still; and where it is gone, there are words in the log's clear text.
    """
    if before is None:
        return None
    is_told = any(
        isinstance(one, Recorded) and isinstance(one.event, OrderPersonalDataForgotten)
        for one in opened
    )
    return forget(before) if is_told or is_forgotten(before.body) else before


def take_in(
    document: OrderDocument | UnreadableEventError | None,
    entry: LogEntry,
    recorded: Opened,
) -> OrderDocument | UnreadableEventError | None:
    """Take one more event into a fold; after one that can't be, the fold is that error.

    Raises:
        GapError: the event before it is missing.
    """
    if isinstance(document, UnreadableEventError):
        return document
    if isinstance(recorded, UnreadableEventError):
        known = 0 if document is None else document.versions.get(entry.stream, 0)
        return document if entry.version <= known else recorded
    try:
        return project(document, recorded)
    except GapError:
        raise
    except Exception as error:  # noqa: BLE001 - a pure function; nothing else can fail here
        return UnreadableEventError(entry, error)


def _contents(entry: LogEntry) -> Contents | UnreadableEventError:
    try:
        return read_contents(entry)
    except ValueError as error:
        return UnreadableEventError(entry, error)
