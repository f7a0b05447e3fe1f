"""The workers: the relay, which publishes the log, and the projector, which builds the views."""
