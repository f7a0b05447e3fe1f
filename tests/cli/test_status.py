"""`status` says for people and for programs how far each hop is behind."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from api.cli import behind
from api.cli.behind import Behind
from api.cli.main import app
from infrastructure.local import control
from infrastructure.local.ports import free_port
from infrastructure.observability import lag, service_lag
from infrastructure.observability.lag import HopLag
from infrastructure.observability.service_lag import (
    QUEUES,
    SERVICES,
    QueueLag,
    ServiceLag,
    Services,
)
from infrastructure.processes.worker import Health, _serving

URL = "http://127.0.0.1:8000"
ROW = {"name": "relay", "pid": 7, "port": 8101, "state": "ready", "restarts": 0, "last_end": None}
BEHIND = Behind(
    [HopLag("log→kafka", 0, 0.0, None), HopLag("kafka→redis", 1203, 61.25, None)],
    Services(
        [ServiceLag("fulfilment", 0), ServiceLag("inventory", 0), ServiceLag("payment", 17)],
        [QueueLag("fulfilment.timers", 0, 0.0, 0), QueueLag("payment.calls", 4, 31.5, 2)],
    ),
)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ORDERTRAIL_HOME", str(tmp_path))
    return tmp_path


def status(
    monkeypatch: pytest.MonkeyPatch, found: Behind | None, *options: str, charset: str = ""
) -> Result:
    """Run `status` with the platform up; `found` None: ask for it really."""
    state: dict[str, Any] = {"url": URL, "phase": "ready", "processes": [ROW]}
    monkeypatch.setattr(control, "current_state", lambda _home: state)
    if found is not None:
        monkeypatch.setattr(behind, "ask", lambda: found)
    return CliRunner(charset=charset or "utf-8").invoke(app, ["status", *options])


def test_json_has_the_lag_of_each_hop(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = status(monkeypatch, BEHIND, "--json")
    assert shown.exit_code == 0
    assert json.loads(shown.stdout) == {
        "url": URL,
        "processes": [{name: ROW[name] for name in ("name", "pid", "port", "state", "restarts")}],
        "lag": [
            {"hop": "log→kafka", "events": 0, "seconds": 0.0},
            {"hop": "kafka→redis", "events": 1203, "seconds": 61.25},
        ],
        "services": [
            {"service": "fulfilment", "messages": 0, "problem": None},
            {"service": "inventory", "messages": 0, "problem": None},
            {"service": "payment", "messages": 17, "problem": None},
        ],
        "tasks": [
            {"queue": q, "due": due, "seconds": age, "failing": failing, "problem": None}
            for q, due, age, failing in (
                ("fulfilment.timers", 0, 0, 0),
                ("payment.calls", 4, 31.5, 2),
            )
        ],
    }


def test_what_can_not_be_told_is_null_and_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = "postgres: OperationalError"
    found = Behind(lag.unknown(problem), service_lag.unknown(problem))
    shown = json.loads(status(monkeypatch, found, "--json").stdout)
    assert [(row["events"], row["seconds"]) for row in shown["lag"]] == [(None, None)] * 2
    assert [row["messages"] for row in shown["services"]] == [None] * len(SERVICES)
    assert [row["due"] for row in shown["tasks"]] == [None] * len(QUEUES)
    table = status(monkeypatch, found).stdout
    assert table.count("unknown") == table.count(problem) == 2 + len(SERVICES) + len(QUEUES)


@pytest.mark.parametrize("charset", ["utf-8", "ascii"])
def test_the_table_shows_events_and_the_age_of_the_oldest(
    monkeypatch: pytest.MonkeyPatch, charset: str
) -> None:
    shown = status(monkeypatch, BEHIND, charset=charset)
    assert shown.exit_code == 0, shown.output
    first, second, *services = (line for line in shown.stdout.splitlines() if " to " in line)
    assert "log to kafka" in first
    assert " 0 " in first
    assert " s " not in first
    assert "kafka to redis" in second
    assert "1203" in second
    assert "61.2 s" in second
    assert ["17" in line for line in services] == [False, False, True]
    [calls] = (line for line in shown.stdout.splitlines() if "payment.calls" in line)
    assert all(shown in calls for shown in (" 4 ", "31.5 s", " 2 "))


def test_a_platform_that_has_no_settings_yet_has_no_known_lag(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("ORDERTRAIL_POSTGRES_URL", "ORDERTRAIL_POSTGRES_OWNER_URL"):
        monkeypatch.delenv(name, raising=False)
    shown = status(monkeypatch, None)
    assert shown.exit_code == 0, shown.output
    assert "no settings yet" in shown.stdout


@pytest.mark.parametrize("not_ready", ["unready", "starting"])
def test_a_service_that_is_not_ready_is_shown_with_its_reason(
    monkeypatch: pytest.MonkeyPatch, not_ready: str
) -> None:
    health = Health()
    health.bad("nothing is sealed: position 9 is missing")
    port = free_port()
    rows = [
        ROW,
        ROW | {"name": "sealer", "port": port, "state": not_ready},
        ROW | {"name": "projector", "port": free_port([port]), "state": not_ready},
    ]
    state: dict[str, Any] = {"url": URL, "phase": "ready", "processes": rows}
    monkeypatch.setattr(control, "current_state", lambda _home: state)
    monkeypatch.setattr(behind, "ask", lambda: BEHIND)
    with _serving(health, "127.0.0.1", port):
        shown = CliRunner().invoke(app, ["status"]).stdout
    assert "sealer is not ready: nothing is sealed: position 9 is missing\n" in shown
    assert "projector is not ready: it does not say why (ConnectError)\n" in shown
    assert "relay is not ready" not in shown
