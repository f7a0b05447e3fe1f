"""A platform for the tests of the supervisor, run as `python stand_in_platform.py PLAN`.

Everything is the real thing but what the supervisor starts: `small` has two stand-ins, and its
variants one that misbehaves; `servers` has the real servers and the edge around stand-ins.
"""

import dataclasses
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from infrastructure.local.control import run_platform
from infrastructure.local.edge import http_status
from infrastructure.local.errors import LocalError
from infrastructure.local.home import Home
from infrastructure.local.plan import platform_plan
from infrastructure.local.program import Program
from infrastructure.local.supervisor import Plan, Tier

STAND_IN = Path(__file__).with_name("stand_in.py")


@dataclasses.dataclass(eq=False)
class StandIn(Program):
    name: str
    port: int
    behavior: str = "good"
    # What takes a minute shall take a second here.
    first_ready_within_s: float = 5.0
    stop_grace_s: float = 1.0

    def command(self) -> Sequence[str]:
        return [sys.executable, "-u", str(STAND_IN), str(self.port), self.behavior]

    def ready(self) -> bool:
        return self.behavior != "deaf" and http_status(self.port, "/readyz", 1.0) == 200


def small(home: Home, behavior: str) -> Plan:
    ports = home.remembered_ports(("first", "second"), avoid=0)
    first, second = StandIn("first", ports["first"]), StandIn("second", ports["second"], behavior)
    return Plan(f"http://127.0.0.1:{second.port}", (Tier((first,)), Tier((second,))))


def servers(home: Home) -> Plan:
    plan = platform_plan(home)
    stand_ins = tuple(StandIn(service.name, service.port) for service in plan.tiers[1].programs)
    return dataclasses.replace(plan, tiers=(plan.tiers[0], Tier(stand_ins), plan.tiers[2]))


def main() -> None:
    wanted = sys.argv[1]

    def tell(state: Mapping[str, Any]) -> None:
        sys.stdout.write(f"{state['phase']}\n")
        sys.stdout.flush()

    try:
        run_platform(
            Home.current(),
            servers if wanted == "servers" else lambda home: small(home, wanted),
            tell,
        )
    except LocalError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
