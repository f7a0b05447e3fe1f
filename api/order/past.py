"""One order as it was: at a time, at a log position, or what changed since then.

Rule: an answer about the past stays the same for good, but for what was forgotten since. So a
point that lies beyond the log is refused.
"""

from typing import Annotated

import orjson
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from api.http.access import owner
from api.http.fields import Moment, Position, PositionOrMoment
from api.http.problems import ProblemError, not_found
from api.http.ready_json import ReadyJson
from api.order.for_customers import shown_changes
from api.order.state import query_ports
from api.order.views import FROM, PRIVATE, answer_view
from domain.envelope import Actor, Role
from domain.errors import DomainError
from domain.ids import OrderId
from projections.order.past import Point


class OrderParameters(BaseModel):
    """What one order may be asked for: as it is now, or as it was."""

    model_config = ConfigDict(extra="forbid")

    min_position: Annotated[
        Position, Field(description="The answer has seen at least this log position")
    ] = 0
    as_of: Annotated[
        Moment | None, Field(description="As it was at this time, by when events were recorded")
    ] = None
    at_position: Annotated[Position | None, Field(description="As it was at this log position")] = (
        None
    )
    diff_from: Annotated[
        PositionOrMoment | None,
        Field(description="What changed since this log position or time, until then or now"),
    ] = None

    def is_about_the_past(self) -> bool:
        return (self.as_of, self.at_position, self.diff_from) != (None, None, None)

    def point(self) -> Point:
        """Give the point that is asked for; None: now. Raises ProblemError 422."""
        if self.as_of is not None and self.at_position is not None:
            raise _senseless("at_position", "as_of names the point already")
        if self.min_position:
            raise _senseless("min_position", "it is for the order as it is now")
        return self.at_position if self.as_of is None else self.as_of


async def answer_past(
    request: Request, actor: Actor, order_id: OrderId, asked: OrderParameters
) -> Response:
    """Give the order as it was, or what changed; auditors see no personal data in it."""
    point = asked.point()
    past = query_ports(request).history
    show_personal = shows_personal(actor)
    if asked.diff_from is None:
        view = await past.as_of(order_id, point, show_personal=show_personal)
        if view is None or owner(actor) not in (None, view.customer_id):
            raise not_found()
        return answer_view(request, view, actor)
    found = await past.difference(order_id, asked.diff_from, point, show_personal=show_personal)
    if found is None or owner(actor) not in (None, found.customer_id):
        raise not_found()
    if found.from_position is not None and found.from_position > found.to_position:
        raise DomainError("points_reversed", "diff_from is after the other point")
    body = {
        "order_id": order_id,
        "from_position": found.from_position,
        "to_position": found.to_position,
        "changes": shown_changes(found.changes, actor),
    }
    return ReadyJson(orjson.dumps(body), [FROM["event-store"], PRIVATE])


def shows_personal(actor: Actor) -> bool:
    """Say whether this reader of the past may see personal data: all but auditors."""
    return actor.role is not Role.AUDITOR


def _senseless(parameter: str, detail: str) -> ProblemError:
    return ProblemError(
        422,
        "invalid_request",
        "some of the request is not valid",
        errors=[{"parameter": parameter, "detail": detail}],
    )
