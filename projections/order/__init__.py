"""What people see of an order."""
