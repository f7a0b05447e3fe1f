"""Events to read models, as pure functions; no driver, no clock.

Rule: the same events give the same document, byte for byte, wherever they are folded.
"""
