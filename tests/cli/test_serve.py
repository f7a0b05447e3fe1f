"""`serve` by hand: a service gets from the home what the supervisor would give it, and no more."""

import json
import os
from pathlib import Path
from unittest import mock

import pytest

from api.cli.services import SERVICES, load_settings
from infrastructure.local.ports import free_port
from infrastructure.local.service import Service
from infrastructure.processes.worker import Health, _serving

SETTINGS = {
    "ORDERTRAIL_POSTGRES_URL": "postgresql://service@127.0.0.1/ordertrail",
    "ORDERTRAIL_POSTGRES_OWNER_URL": "postgresql://owner@127.0.0.1/ordertrail",
    "ORDERTRAIL_SIGNING_KEY_FILE": "/signing.jwk",
    "ORDERTRAIL_SEAL_KEY_FILE": "/seal.key",
}


def given(service: str, home: Path, **environment: str) -> set[str]:
    """Load a service's settings, and give the names of those that there are then."""
    with mock.patch.dict(os.environ, {"ORDERTRAIL_HOME": str(home), **environment}, clear=True):
        load_settings(service)
        return set(os.environ) - {"ORDERTRAIL_HOME"}


@pytest.mark.parametrize("service", SERVICES)
def test_no_service_is_given_what_only_others_may_have(service: str, tmp_path: Path) -> None:
    (tmp_path / "environment.json").write_text(json.dumps(SETTINGS))
    expected = {"ORDERTRAIL_POSTGRES_URL"}
    if service == "sealer":
        expected.add("ORDERTRAIL_SEAL_KEY_FILE")
    assert given(service, tmp_path) == expected


def test_where_the_environment_has_settings_the_home_adds_none(tmp_path: Path) -> None:
    (tmp_path / "environment.json").write_text(json.dumps(SETTINGS))
    name = "ORDERTRAIL_POSTGRES_URL"
    assert given("sealer", tmp_path, **{name: "postgresql://elsewhere"}) == {name}


def test_without_a_home_nothing_is_loaded(tmp_path: Path) -> None:
    assert given("relay", tmp_path / "nowhere") == set()


def test_a_sealer_that_has_a_fault_to_tell_does_not_keep_the_platform_from_starting() -> None:
    health, port = Health(), free_port()
    health.bad("nothing is sealed")
    sealer, relay = Service("sealer", port, {}), Service("relay", port, {})
    assert not sealer.started()
    with _serving(health, "127.0.0.1", port):
        assert (sealer.started(), sealer.ready()) == (True, False)
        assert not relay.started()
