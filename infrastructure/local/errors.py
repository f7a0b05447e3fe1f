"""What can go wrong on this machine, in words for the one who sits at it.

Every expected fault of the local platform (a port that is taken, a full disk, a child that dies)
is a LocalError: the CLI prints its message and exits with 1, and never shows a traceback for it.
"""


class LocalError(Exception):
    """The local platform can't do what was asked; the message says why and what helps."""
