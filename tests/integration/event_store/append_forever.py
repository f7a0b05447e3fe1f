"""A writer for the drills: append batches of events until killed. Run as a process."""

import sys
from uuid import uuid4

from eventsourcing.persistence import StoredEvent

from infrastructure.event_store.recorder import EventLogRecorder, open_datastore


def main(database_url: str) -> None:
    recorder = EventLogRecorder(open_datastore(database_url, pool_size=1, connect_timeout_s=10))
    while True:
        stream, state = str(uuid4()), b"x" * 200
        events = [StoredEvent(stream, version, "drill", state) for version in range(1, 6)]
        positions = recorder.insert_events(events)
        # What is printed was acknowledged: the drill looks for all of it.
        sys.stdout.write(f"{stream} {' '.join(map(str, positions or ()))}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1])
