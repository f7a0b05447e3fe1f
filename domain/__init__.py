"""What an order is and what may happen to it: pure functions over frozen dataclasses.

Rule: the standard library only; no I/O, no clock, no randomness. Import contracts hold it.
"""
