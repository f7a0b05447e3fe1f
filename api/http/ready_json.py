"""JSON that is bytes already, sent with headers that are: nothing is encoded twice."""

from collections.abc import Sequence

from starlette.responses import Response

JSON = (b"content-type", b"application/json")

RawHeaders = Sequence[tuple[bytes, bytes]]
"""Names in lower case, and values in Latin-1, as ASGI has them."""


class ReadyJson(Response):
    def __init__(self, body: bytes, headers: RawHeaders, *, status_code: int = 200) -> None:
        # Response's own constructor would encode each header again, for every answer.
        self.status_code = status_code
        self.body = body
        self.background = None
        self.raw_headers = [JSON, (b"content-length", b"%d" % len(body)), *headers]
