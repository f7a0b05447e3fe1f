"""Who charges a card and never gets to hear of it: `charge_and_hang.py URL SECRET ORDER`."""

import asyncio
import sys
from uuid import UUID

from domain.ids import OrderId
from infrastructure.payments.sandbox import open_sandbox
from tests.payments.providers import Sandbox, authorize

NEVER_S = 600.0


async def main(database_url: str, secret: str, order_id: str) -> None:
    async with open_sandbox(database_url, secret) as gateway:
        gateway._timeout_s = NEVER_S
        await authorize(Sandbox(gateway), OrderId(UUID(order_id)), token="tok_timeoutAfterCharging")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
