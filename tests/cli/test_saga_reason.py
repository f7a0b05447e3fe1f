"""A step is skipped for a reason that can be stored, and shown on any terminal."""

import pytest
from typer.testing import CliRunner

from api.cli.main import app
from api.cli.saga import intervening
from tests.domain.orders import ORDER_ID

NO_TEXT = "\udcff"
"""A byte of a command line that is not UTF-8, as Python gives it."""


@pytest.mark.parametrize("reason", ["", "x" * 501, "a\x1b[31mred", NO_TEXT])
def test_a_reason_is_held_to_what_is_taken_over_http(
    monkeypatch: pytest.MonkeyPatch, reason: str
) -> None:
    monkeypatch.setattr(intervening, "load_environment", lambda: None)
    command = ["saga", "skip", str(ORDER_ID), "capture", "--reason", reason]
    ended = CliRunner().invoke(app, command)
    said = "a reason has 1 to 500 characters, and no control characters\n"
    assert (ended.exit_code, ended.stderr) == (1, said)
