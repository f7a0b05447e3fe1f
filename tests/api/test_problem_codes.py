"""Each code that a rule refuses with has the status that `docs/http.md` tells callers."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from api.http.problems import REFUSED, STATUSES

ROOT = Path(__file__).parents[2]
SPEAKERS = ("domain", "commands", "infrastructure/carriers", "api/order", "projections")
OUR_OWN = {
    "capture_above_authorized": "between the saga and the payment service",
    "capture_changed": "the same",
    "nothing_to_retry": "the command line, `ordertrail saga`",
    "quantity_above_shipped": "between the saga and the inventory service",
    "refund_changed": "between the saga and the payment service",
    "step_not_skippable": "the command line, `ordertrail saga`",
    "step_not_stuck": "the same",
    "unknown_step": "the same",
}
"""Codes that no call over HTTP is refused with, and who hears them."""


def codes_in_source() -> Iterator[str]:
    for folder in SPEAKERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if not isinstance(node, ast.Call) or not node.args:
                    continue
                name, first = ast.unparse(node.func), node.args[0]
                if name == "DomainError" and isinstance(first, ast.Constant):
                    yield str(first.value)


def documented() -> dict[str, int]:
    text = (ROOT / "docs" / "http.md").read_text()
    rows = re.findall(r"^\| (\d{3}) \| ([^|]+) \|", text, flags=re.MULTILINE)
    return {code: int(status) for status, codes in rows for code in re.findall(r"`(\w+)`", codes)}


def test_each_code_of_a_rule_is_documented_with_its_status() -> None:
    told = documented()
    raised = set(codes_in_source()) - set(OUR_OWN)
    assert len(raised) > 40
    assert {code: told.get(code) for code in raised} == {
        code: STATUSES.get(code, REFUSED) for code in raised
    }


def test_the_table_of_statuses_names_no_code_that_is_never_used() -> None:
    everywhere = "".join(
        path.read_text()
        for folder in ("domain", "commands", "infrastructure", "api")
        for path in (ROOT / folder).rglob("*.py")
        if path.name != "problems.py"
    )
    made = {f"{thing}_not_found" for thing in ("order", "shipment", "return")}
    assert {code for code in STATUSES if f'"{code}"' not in everywhere} <= made
