"""Free ports on the loopback address: drawn once, remembered by the home, re-drawn if taken.

They are drawn from below Linux's ephemeral range (32768 and up): a port from inside it could be
taken by anybody's outgoing connection in the instant that a killed server leaves it.
"""

import errno
import random
import socket
from collections.abc import Collection

from infrastructure.local.errors import LocalError

LOOPBACK = "127.0.0.1"
DRAWN_FROM = range(20_000, 32_000)
ATTEMPTS = 200


def is_free(port: int) -> bool:
    """Say whether a server could listen on this port now.

    Raises:
        LocalError: this user may not listen there (ports below 1024).
    """
    with socket.socket() as probe:
        # As servers do: connections that linger in TIME_WAIT are no hindrance, a listener is.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
            probe.listen(1)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
            raise LocalError(f"port {port} can't be used: {error.strerror}") from error
    return True


def free_port(avoid: Collection[int] = ()) -> int:
    """Draw a port that is free now and not among `avoid`."""
    for _ in range(ATTEMPTS):
        port = random.SystemRandom().choice(DRAWN_FROM)
        if port not in avoid and is_free(port):
            return port
    raise LocalError(f"no free port was found between {DRAWN_FROM.start} and {DRAWN_FROM.stop - 1}")


def answers(port: int, timeout_s: float = 1.0) -> bool:
    """Say whether something accepts connections on this port."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=timeout_s):
            return True
    except OSError:
        return False
