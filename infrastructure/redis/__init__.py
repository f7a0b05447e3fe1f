"""The read models in Redis: documents ready to send, lists, and how far each shard has come."""
