"""The history of a running platform is sealed, copied and proven, whoever is killed meanwhile."""

import json

import psutil

from tests.live_platform import LivePlatform
from tests.shop import Shop


def test_with_sealer_and_s3_killed_every_acknowledged_event_is_still_sealed_and_proven(
    platform: LivePlatform, shop: Shop
) -> None:
    shop.place()
    sealed = platform.run("audit", "seal")
    assert sealed.returncode == 0, sealed.stderr

    for victim in ("sealer", "s3"):
        platform.kill(victim)
    placed = shop.place()
    platform.await_ready("sealer", "s3")

    sealed = platform.run("audit", "seal")
    assert sealed.returncode == 0, sealed.stderr
    found = platform.run("audit", "verify", "--full", "--json")
    report = json.loads(found.stdout)
    assert report["faults"] == []
    assert found.returncode == 0
    assert report["proven_to"] >= placed["position"]
    assert report["seals"] >= 2


def test_a_memory_that_cannot_be_read_is_as_good_as_none(
    platform: LivePlatform, shop: Shop
) -> None:
    shop.place()
    assert platform.run("audit", "seal").returncode == 0
    for memory in (b'{"seal": "1", "digest": 2, "last_position": []}', b"not JSON", b'"\xff"'):
        (platform.home.path / "verified.json").write_bytes(memory)
        found = platform.run("audit", "verify", "--json")
        assert (found.returncode, found.stderr) == (0, "")
        assert json.loads(found.stdout)["first_position"] == 1


def test_only_the_sealer_is_given_the_key_that_signs(platform: LivePlatform) -> None:
    name = "ORDERTRAIL_SEAL_KEY_FILE="
    told = {
        service: name in _environment(platform, service)
        for service in ("command-api", "query-api", "relay", "projector", "sealer")
    }
    assert [service for service, has in told.items() if has] == ["sealer"]


def _environment(platform: LivePlatform, service: str) -> str:
    environment = psutil.Process(platform.process(service)["pid"]).environ()
    return "\n".join(f"{name}={value}" for name, value in environment.items())
