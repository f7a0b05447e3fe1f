"""The event store: how events are named, sealed, written in one order, and read back."""
