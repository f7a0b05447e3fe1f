"""What the people on call see: logs and metrics."""
