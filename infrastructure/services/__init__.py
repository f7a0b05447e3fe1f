"""What every service that reacts to events shares: a consumer group, tasks, and a way to fail."""
