"""The saga that leads an order from placed to completed, or back to nothing owed."""
