"""What can be asked of an order."""
