"""How much is drilled: a short form in `./run test`, a long one in `./run chaos`."""

import os
from typing import TypeVar

T = TypeVar("T", int, float)

EXTENT = "ORDERTRAIL_CHAOS"
LONG = "long"


def extent(short: T, long: T) -> T:
    """Give the number for this run's form."""
    return long if os.environ.get(EXTENT) == LONG else short
