"""Every error is a problem document (RFC 9457), and its code decides its status, here only.

Rule: a problem holds our words only. What the caller sent may be personal data or hostile, so
it is named by pointer and never repeated.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import orjson
from starlette.responses import Response

from commands.ports import StreamUnreadableError
from domain.errors import DomainError, UnavailableError
from projections.ports import OrderParkedError, TooManyFoldsError

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 1
REFUSED = 422
"""The status of a domain error that is not in `STATUSES`."""
STATUSES: Mapping[str, int] = {
    "order_not_found": 404,
    "stock_item_not_found": 404,
    "unknown_parcel": 404,
    "bad_signature": 401,
    "stale_webhook": 401,
    "unreadable_webhook": 400,
    "shipment_not_found": 404,
    "return_not_found": 404,
    "payment_not_found": 404,
    "unknown_shipment": 404,
    "unknown_return": 404,
    "external_reference_taken": 409,
    "customer_forgotten": 409,
    "illegal_transition": 409,
    "stock_not_received": 409,
    "too_much_contention": 409,
    "stale_view": 412,
    "idempotency_key_reused": 422,
}


class ProblemError(Exception):
    """An answer other than success.

    Attributes:
        code: stable, machine-readable, `snake_case`; also the last part of `type`.
        errors: what is wrong where: `pointer` (RFC 6901) or `parameter` or `header`, and `detail`.
        extra: further members of the document.
    """

    def __init__(
        self,
        status: int,
        code: str,
        detail: str | None = None,
        *,
        errors: Sequence[Mapping[str, str]] = (),
        extra: Mapping[str, object] = MappingProxyType({}),
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        super().__init__(code)
        self.status = status
        self.code = code
        self.detail = detail
        self.errors = tuple(errors)
        self.extra = dict(extra)
        self.headers = dict(headers)


def render(problem: ProblemError) -> Response:
    """Write the document. Never cached: the next try may well succeed."""
    document: dict[str, object] = {
        **problem.extra,
        "type": f"urn:ordertrail:problem:{problem.code}",
        "title": problem.code.replace("_", " ").capitalize(),
        "status": problem.status,
        "code": problem.code,
    }
    if problem.detail is not None:
        document["detail"] = problem.detail
    if problem.errors:
        document["errors"] = [dict(error) for error in problem.errors]
    return Response(
        orjson.dumps(document),
        status_code=problem.status,
        headers={"Cache-Control": "no-store", **problem.headers},
        media_type=MEDIA_TYPE,
    )


def refused(error: DomainError) -> ProblemError:
    """Say a domain error in HTTP."""
    errors = [] if error.field is None else [{"pointer": error.field, "detail": error.detail}]
    return ProblemError(
        STATUSES.get(error.code, REFUSED),
        error.code,
        error.detail,
        errors=errors,
        extra=error.extra,
    )


def unavailable(error: UnavailableError) -> ProblemError:
    """Say that a part does not answer, and when to try again."""
    code = "store_unavailable" if error.part == "postgres" else "views_unavailable"
    return ProblemError(
        503,
        code,
        "this can't be served just now; the same request may be sent again",
        headers={"Retry-After": str(RETRY_AFTER_S)},
    )


def too_many_folds(_error: TooManyFoldsError) -> ProblemError:
    return ProblemError(
        503,
        "too_many_folds",
        "too many orders are being read from the event store",
        headers={"Retry-After": str(RETRY_AFTER_S)},
    )


def order_parked(_error: OrderParkedError | StreamUnreadableError) -> ProblemError:
    return ProblemError(
        503,
        "order_parked",
        "an event of this order can't be read or applied; the people on call can see which",
    )


def not_found() -> ProblemError:
    """One answer for an order that is missing and for one that is somebody else's."""
    return refused(DomainError("order_not_found", "there is no such order"))
