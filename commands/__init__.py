"""What can be asked of the system: messages and their handlers.

Rule: a handler loads what a decision needs, decides, and appends; it imports no driver.
"""
