"""No request body takes more memory than `BODY_LIMIT_BYTES`, whatever it declares."""

from collections.abc import Awaitable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.http.headers import sent, sent_raw
from api.http.problems import ProblemError, render

BODY_LIMIT_BYTES = 1 << 20


def too_large() -> ProblemError:
    return ProblemError(413, "body_too_large", f"a body has at most {BODY_LIMIT_BYTES} bytes")


class BodyLimit:
    """ASGI middleware: a declared length is refused unread, an undeclared one as it comes in."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] != "http" or not (
            sent_raw(scope, b"content-length") or sent_raw(scope, b"transfer-encoding")
        ):
            return self._app(scope, receive, send)  # no body (RFC 9112, 6.3)
        return self._limited(scope, receive, send)

    async def _limited(self, scope: Scope, receive: Receive, send: Send) -> None:
        declared = next(iter(sent(scope, b"content-length")), "0")
        # More digits than this can't be below the limit; int() of very many is refused by Python.
        if declared.isdecimal() and (len(declared) > 18 or int(declared) > BODY_LIMIT_BYTES):  # noqa: PLR2004
            await render(too_large())(scope, receive, send)
            return
        received = 0

        async def count() -> Message:
            nonlocal received
            message = await receive()
            if message["type"] == "http.request":
                received += len(message.get("body", b""))
                if received > BODY_LIMIT_BYTES:
                    raise too_large()
            return message

        await self._app(scope, count, send)
