"""The Stripe emulator as a program: `python emulator.py PORT`. localstripe, on this machine only.

Added to it: what it was sent as idempotency keys (it ignores them), and answers that get lost after
the work was done. Taken from it: its file in /tmp, which two test runs would share.
"""

import sys

from aiohttp import web
from aiohttp.typedefs import Handler
from localstripe import resources, server

SENT_KEYS: list[str] = []
LOSE: list[int] = []
"""Status codes for answers still to be spoiled; 0 hangs up without one."""


@web.middleware
async def trouble(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Carry out the request, then perhaps spoil the answer."""
    if "Idempotency-Key" in request.headers:
        SENT_KEYS.append(request.headers["Idempotency-Key"])
    answer = await handler(request)
    if request.method == "POST" and request.path.startswith("/v1/") and LOSE:
        status = LOSE.pop()
        if status == 0 and request.transport is not None:
            request.transport.close()
        return web.Response(status=status or 200, text="nonsense")
    return answer


async def lose(request: web.Request) -> web.Response:
    LOSE.append(int(request.match_info["status"]))
    return web.Response()


async def keys(_: web.Request) -> web.Response:
    return web.json_response(SENT_KEYS)


if __name__ == "__main__":
    resources.Store.dump_to_disk = lambda _: None
    server.app.middlewares.append(trouble)
    server.app.router.add_post("/_config/lose/{status}", lose)
    server.app.router.add_get("/_config/keys", keys)
    web.run_app(server.app, host="127.0.0.1", port=int(sys.argv[1]), print=None)
