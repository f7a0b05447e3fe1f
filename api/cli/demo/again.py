"""Trying again, as a shop's own back end does while a process is down and comes back."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import httpx

AGAIN_S = 0.2
WITHIN_S = 60.0


async def insist(send: Callable[[], Awaitable[httpx.Response]]) -> httpx.Response:
    """Send until there is an answer; after a minute give what came last.

    What is sent has to count once, however often it comes: under an idempotency key, say.

    Raises:
        httpx.TransportError: nobody has answered for a minute.
    """
    until = time.monotonic() + WITHIN_S
    while True:
        try:
            answer = await send()
        except httpx.TransportError:
            if time.monotonic() >= until:
                raise
        else:
            over = time.monotonic() >= until
            if over or answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                return answer
        await asyncio.sleep(AGAIN_S)
