"""How an order goes out: the bytes that the projection wrote, their tag, and where from."""

from starlette.requests import Request
from starlette.responses import Response

from api.http.headers import entity_tag, none_match
from api.http.ready_json import ReadyJson
from api.order.for_customers import shown_body
from domain.envelope import Actor
from projections.ports import OrderView

PRIVATE = (b"cache-control", b"private, no-cache")
BY_READER = (b"vary", b"authorization")
"""Customers are not shown all that staff are: nobody may be told that he has what another got."""
FROM = {"redis": (b"order-view", b"redis"), "event-store": (b"order-view", b"event-store")}


def answer_view(request: Request, view: OrderView, reader: Actor) -> Response:
    """Send a document, or say that the caller has it."""
    tag = entity_tag(view.position)
    headers = [(b"etag", tag.encode()), FROM[view.source], PRIVATE, BY_READER]
    if none_match(request, tag):
        unchanged = Response(status_code=304)
        unchanged.raw_headers += headers
        return unchanged
    return ReadyJson(shown_body(view.body, reader), headers)
