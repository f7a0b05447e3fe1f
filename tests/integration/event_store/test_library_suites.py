"""The eventsourcing library's own persistence suites, unchanged, on our recorder."""

from collections.abc import Iterator
from uuid import uuid4

import pytest
from eventsourcing.tests.persistence import (
    ApplicationRecorderTestCase,
    NonInterleavingNotificationIDsBaseCase,
)

from infrastructure.event_store.recorder import EventLogRecorder, open_datastore


class _OnOurLog:
    """Give each test of a suite a new database."""

    @pytest.fixture(autouse=True)
    def _recorder(self, database_url: str) -> Iterator[None]:
        datastore = open_datastore(database_url, pool_size=10, connect_timeout_s=10)
        self._made = EventLogRecorder(datastore)
        yield
        datastore.close()

    def new_originator_id(self) -> str:
        return str(uuid4())

    def create_recorder(self) -> EventLogRecorder:
        return self._made


class TestApplicationRecorder(_OnOurLog, ApplicationRecorderTestCase[EventLogRecorder]):
    def test_insert_subscribe(self) -> None:
        self.optional_test_insert_subscribe()


class TestNonInterleavingNotificationIDs(_OnOurLog, NonInterleavingNotificationIDsBaseCase):
    pass


del ApplicationRecorderTestCase, NonInterleavingNotificationIDsBaseCase
