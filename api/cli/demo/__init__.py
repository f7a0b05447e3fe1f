"""The demo, and the orders that it places: a cut of a real shop's first day (SOURCE.md)."""
