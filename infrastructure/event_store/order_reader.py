"""Reads one order from the event store: its events with personal data opened, or its fold.

Blocking; safe to use from several threads.
"""

import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from eventsourcing.persistence import InterfaceError, OperationalError

from domain.envelope import Recorded
from domain.errors import UnavailableError
from domain.ids import CustomerId, OrderId
from domain.order.events import OrderEvent
from infrastructure.event_store.mapper import EventMapper, LogEntry, sealed_for
from infrastructure.event_store.recorder import EventLogRecorder
from infrastructure.event_store.sealing import DataKeys
from projections.order.document import OrderDocument, fold

T = TypeVar("T")


class OrderReader:
    """The event store as readers see it."""

    def __init__(self, recorder: Callable[[], EventLogRecorder], keys: DataKeys) -> None:
        """Take a maker of recorders: the first use connects, so a reader can start without."""
        self._make_recorder = recorder
        self._recorder: EventLogRecorder | None = None
        self._keys = keys
        self._mapper = EventMapper(keys)
        self._lock = threading.Lock()

    def events(
        self, order_id: OrderId, *, open_sealed: bool = True
    ) -> Sequence[Recorded[OrderEvent]]:
        """Read every event of an order in log order. Raises UnavailableError."""
        entries = self._ask(lambda recorder: recorder.read_orders([order_id]))
        return self.open(entries, open_sealed=open_sealed)

    def fold(self, order_id: OrderId) -> OrderDocument | None:
        """Fold an order from its beginning; None if there is no such order."""
        return fold(self.events(order_id))

    def fold_many(self, order_ids: Sequence[OrderId]) -> Mapping[OrderId, OrderDocument]:
        """Fold several orders in one round trip; those that don't exist are left out."""
        if not order_ids:
            return {}
        entries = self._ask(lambda recorder: recorder.read_orders(order_ids))
        by_order: dict[OrderId, list[Recorded[OrderEvent]]] = defaultdict(list)
        for recorded in self.open(entries):
            if recorded.order_id is not None:
                by_order[recorded.order_id].append(recorded)
        folds = {order_id: fold(events) for order_id, events in by_order.items()}
        return {order_id: one for order_id, one in folds.items() if one is not None}

    def open(
        self, entries: Iterable[LogEntry], *, open_sealed: bool = True
    ) -> Sequence[Recorded[OrderEvent]]:
        """Read stored entries, fetching the keys they need in one round trip."""
        entries = list(entries)
        if not open_sealed:
            return [self._mapper.to_recorded(entry, open_sealed=False) for entry in entries]
        owners = {owner for owner in map(sealed_for, entries) if owner is not None}
        # One thread at a time: between fetching a key and using it, nobody may push it out.
        with self._lock:
            self._fetch_keys(owners)
            return [self._mapper.to_recorded(entry) for entry in entries]

    def head(self) -> int:
        """Give the position of the log's newest entry."""
        return self._ask(lambda recorder: recorder.head())

    def find_order(self, order_number: str) -> OrderId | None:
        """Look up whose number this is; None if it is nobody's."""
        return self._ask(lambda recorder: recorder.find_order(order_number))

    def count_orders(self) -> int:
        """Count the orders in the log."""
        return self._ask(lambda recorder: recorder.count_orders())

    def order_ids(self) -> Iterable[OrderId]:
        return self._ask(lambda recorder: recorder.order_ids())

    def close(self) -> None:
        if self._recorder is not None:
            self._recorder.datastore.close()

    def _fetch_keys(self, owners: set[CustomerId]) -> None:
        unknown = sorted(self._keys.unknown(owners))
        if not unknown:
            return
        for customer, wrapped in self._ask(lambda r: r.read_data_keys(unknown)).items():
            self._keys.learn(customer, wrapped)

    def _ask(self, question: Callable[[EventLogRecorder], T]) -> T:
        try:
            if self._recorder is None:
                self._recorder = self._make_recorder()
            return question(self._recorder)
        except (OperationalError, InterfaceError) as error:
            raise UnavailableError("postgres", str(error)) from error
