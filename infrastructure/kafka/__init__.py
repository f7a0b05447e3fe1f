"""Kafka: topics, messages, and whose incarnation of a topic it is."""
