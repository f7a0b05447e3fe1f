"""A caller's mistake, with a code that never changes once it is published.

An outcome that others react to (a declined card) is an event, not an error. A part that does not
answer is neither: `UnavailableError`.
"""

from collections.abc import Mapping
from types import MappingProxyType


class DomainError(Exception):
    """A refused decision.

    Attributes:
        code: stable, machine-readable, `snake_case`; one table in `api/http` maps it to a status.
        field: JSON Pointer (RFC 6901) of the offending part of the request, where there is one.
        extra: further members for the caller, such as the current status. JSON values only.
    """

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        field: str | None = None,
        extra: Mapping[str, object] = MappingProxyType({}),
    ) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.field = field
        self.extra = dict(extra)


class UnavailableError(Exception):
    """A part that this needs does not answer; asking again later may help.

    Attributes:
        part: which one, as `/readyz` names it: `postgres`, `redis` or `kafka`.
    """

    def __init__(self, part: str, detail: str = "does not answer") -> None:
        super().__init__(f"{part}: {detail}")
        self.part = part
