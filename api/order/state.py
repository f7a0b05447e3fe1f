"""What the two apps are made with, and how their routes get at it."""

from collections.abc import Mapping
from dataclasses import dataclass

from starlette.requests import Request

from api.http.auth import Authenticator
from api.http.observe import AccessLog, log_access
from api.http.operations import Refreshes
from api.http.readiness import Checks
from commands.payment.gateway import PaymentGateway
from commands.ports import Ports
from commands.shipment.carrier import CarrierWebhooks
from projections.ports import QueryPorts


@dataclass(frozen=True, slots=True)
class CommandState:
    """Attributes: checks: of the parts it talks to; `postgres` among them."""

    ports: Ports
    gateway: PaymentGateway
    carriers: Mapping[str, CarrierWebhooks]
    authenticator: Authenticator
    checks: Checks
    access_log: AccessLog = log_access


@dataclass(frozen=True, slots=True)
class QueryState:
    """Attributes: checks: of the parts it talks to; `postgres` and `redis` among them."""

    ports: QueryPorts
    authenticator: Authenticator
    checks: Checks
    refreshes: Refreshes = ()
    access_log: AccessLog = log_access


def query_ports(request: Request) -> QueryPorts:
    ports: QueryPorts = request.app.state.ports
    return ports
