"""The Stripe emulator as a program: `python emulator.py PORT`. localstripe, on this machine only.

Added to it: what it was sent as idempotency keys (it ignores them), answers that get lost after the
work was done, refunds of any status, and multicapture as Stripe's documentation has it, for intents
that asked for it.
Taken from it: its file in /tmp, which two test runs would share.
"""

import json
import sys
from collections.abc import Mapping
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler
from localstripe import resources, server

SENT_KEYS: list[str] = []
MULTICAPTURE: set[str] = set()
"""Intents that may be captured several times."""
ASKS_FOR_IT = "payment_method_options[card][request_multicapture]"
LOSE: list[int] = []
"""Status codes for answers still to be spoiled; 0 hangs up without one."""


@web.middleware
async def trouble(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Carry out the request, then perhaps spoil the answer."""
    if "Idempotency-Key" in request.headers:
        SENT_KEYS.append(request.headers["Idempotency-Key"])
    form = await request.post() if request.method == "POST" else {}
    reference = request.match_info.get("id", "")
    if reference in MULTICAPTURE and request.path.endswith("/capture"):
        return capture_part(reference, form)
    answer = await handler(request)
    if ASKS_FOR_IT in form and isinstance(answer, web.Response):
        MULTICAPTURE.add(json.loads(answer.text or "{}")["id"])
    if request.method == "POST" and request.path.startswith("/v1/") and LOSE:
        status = LOSE.pop()
        if status == 0 and request.transport is not None:
            request.transport.close()
        return web.Response(status=status or 200, text="nonsense")
    return answer


def capture_part(reference: str, form: Mapping[str, Any]) -> web.Response:
    """Take a part; the rest stays held unless this is the final capture, as it is by default."""
    intent = resources.PaymentIntent._api_retrieve(reference)
    taken = getattr(intent, "amount_received", 0) + int(form["amount_to_capture"])
    if taken > intent.amount or intent.status != "requires_capture":
        return web.json_response({"error": {"type": "invalid_request_error"}}, status=400)
    if form.get("final_capture") != "false":
        resources.PaymentIntent._api_capture(reference, amount_to_capture=taken)
    intent.amount_received = taken
    return web.json_response(intent._export())


async def lose(request: web.Request) -> web.Response:
    LOSE.append(int(request.match_info["status"]))
    return web.Response()


async def refund_status(request: web.Request) -> web.Response:
    refund = resources.Refund._api_retrieve(request.match_info["id"])
    refund.status = request.match_info["status"]
    return web.Response()


async def keys(_: web.Request) -> web.Response:
    return web.json_response(SENT_KEYS)


if __name__ == "__main__":
    resources.Store.dump_to_disk = lambda _: None
    server.app.middlewares.append(trouble)
    server.app.router.add_post("/_config/lose/{status}", lose)
    server.app.router.add_post("/_config/refunds/{id}/{status}", refund_status)
    server.app.router.add_get("/_config/keys", keys)
    web.run_app(server.app, host="127.0.0.1", port=int(sys.argv[1]), print=None)
