"""JSON that is bytes already, sent with headers that are: nothing is encoded twice."""

from collections.abc import Awaitable

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api.http.whole import WHOLE, RawHeaders, takes_whole

JSON = (b"content-type", b"application/json")


class ReadyJson(Response):
    """Attributes: raw_headers: of our own making, as `whole` asks."""

    def __init__(self, body: bytes, headers: RawHeaders, *, status_code: int = 200) -> None:
        # Response's own constructor would encode each header again, for every answer.
        self.status_code = status_code
        self.body = body
        self.background = None
        self.raw_headers = [JSON, (b"content-length", b"%d" % len(body)), *headers]

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:  # type: ignore[override]  # what is awaited need be no coroutine
        if not takes_whole(scope):
            return super().__call__(scope, receive, send)
        return send(
            {
                "type": WHOLE,
                "status": self.status_code,
                "headers": self.raw_headers,
                "body": self.body,
            }
        )
