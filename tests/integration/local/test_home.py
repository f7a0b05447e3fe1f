"""A home is private, refuses what it can't read, and keeps its secrets for good."""

import base64
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import jwt
import pytest

from infrastructure.local.errors import LocalError
from infrastructure.local.home import Home, load_home_environment, write_whole
from infrastructure.local.keys import ensure_keys
from infrastructure.local.plan import platform_plan
from infrastructure.local.ports import free_port

from .conftest import Platform


class Usage(NamedTuple):
    total: int
    used: int
    free: int


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    home.open()
    return home


def test_the_home_and_every_secret_are_for_their_owner_only(home: Home) -> None:
    keys = ensure_keys(home)
    assert home.path.stat().st_mode & 0o777 == 0o700
    for file in (keys.master_key_file, keys.signing_key_file, home.keys / "passwords.json"):
        assert file.stat().st_mode & 0o777 == 0o600
    assert len(base64.b64decode(keys.master_key_file.read_text())) == 32


def test_secrets_are_drawn_once_and_differ_between_homes(home: Home, tmp_path: Path) -> None:
    drawn = ensure_keys(home)
    before = {file.name: file.read_bytes() for file in home.keys.iterdir()}
    assert ensure_keys(home) == drawn
    assert {file.name: file.read_bytes() for file in home.keys.iterdir()} == before
    other = Home(tmp_path / "other")
    other.open()
    assert ensure_keys(other).postgres_password != drawn.postgres_password


def test_the_public_keys_hold_no_private_part(home: Home) -> None:
    (key,) = json.loads(ensure_keys(home).jwks_file.read_text())["keys"]
    assert set(key) == {"kty", "crv", "alg", "use", "kid", "x"}
    assert (key["alg"], key["crv"]) == ("EdDSA", "Ed25519")


@pytest.mark.parametrize("old", ["0", "2", "", "none"])
def test_data_of_another_format_is_refused_with_the_way_out(platform: Platform, old: str) -> None:
    platform.home.open()
    (platform.home.path / "format").write_text(old)
    up = platform.run("up")
    assert up.returncode == 1
    assert f"rm -r {platform.home.path}" in up.stderr
    assert "Traceback" not in up.stderr


def test_somebody_elses_folder_is_refused_and_left_as_it_is(platform: Platform) -> None:
    platform.home.path.mkdir()
    (platform.home.path / "thesis.txt").write_text("mine")
    up = platform.run("up", "-d")
    assert (up.returncode, "is no home of Ordertrail" in up.stderr) == (1, True)
    assert [entry.name for entry in platform.home.path.iterdir()] == ["thesis.txt"]


def test_a_full_disk_is_told_before_anything_starts(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**9, 10**9 - 10**6, 10**6))
    with pytest.raises(LocalError, match=r"is full: 1 MB are free, 500 MB are needed"):
        home.open()


def test_a_home_that_cannot_be_made_is_told_plainly(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LocalError, match=r"can't be used: Not a directory"):
        Home(tmp_path / "file" / "home").open()


def test_a_relative_home_is_made_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ORDERTRAIL_HOME", raising=False)
    assert Home.current().path == tmp_path / ".ordertrail"
    monkeypatch.setenv("ORDERTRAIL_HOME", "here")
    assert Home.current().path == tmp_path / "here"


def test_the_shell_outranks_what_the_home_says(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    values = {"ORDERTRAIL_REDIS_URL": "redis://home", "ORDERTRAIL_PUBLIC_URL": "http://home"}
    write_whole(home.environment_file, json.dumps(values))
    monkeypatch.setenv("ORDERTRAIL_HOME", str(home.path))
    monkeypatch.setenv("ORDERTRAIL_PUBLIC_URL", "http://shell")
    monkeypatch.delenv("ORDERTRAIL_REDIS_URL", raising=False)
    environment = {"ORDERTRAIL_HOME": str(home.path), "ORDERTRAIL_PUBLIC_URL": "http://shell"}
    monkeypatch.setattr("os.environ", environment)
    load_home_environment()
    assert environment["ORDERTRAIL_REDIS_URL"] == "redis://home"
    assert environment["ORDERTRAIL_PUBLIC_URL"] == "http://shell"


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    file = tmp_path / "state.json"
    write_whole(file, "old")
    with pytest.raises(UnicodeEncodeError):
        write_whole(file, "new, but \ud800 can't be written")
    assert file.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["state.json"]


def test_a_token_verifies_with_the_public_keys_and_stands_alone(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    early = platform.run("token", "--subject", "c-17850")
    assert (early.returncode, "./run up" in early.stderr, early.stdout) == (1, True, "")
    platform.home.open()
    monkeypatch.setenv("ORDERTRAIL_PORT", str(free_port()))
    platform_plan(platform.home)
    made = platform.run("token", "--role", "customer", "--subject", "c-17850", "--ttl", "90s")
    assert made.returncode == 0, made.stderr
    (key,) = json.loads((platform.home.keys / "jwks.json").read_text())["keys"]
    claims = jwt.decode(
        made.stdout.rstrip("\n"),
        jwt.PyJWK(key),
        algorithms=["EdDSA"],
        audience="ordertrail",
        issuer="ordertrail-local",
    )
    assert (claims["sub"], claims["role"]) == ("c-17850", "customer")
    assert claims["exp"] - claims["iat"] == 90
    assert jwt.get_unverified_header(made.stdout.rstrip("\n"))["kid"] == key["kid"]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("token", "--subject", "x", "--ttl", "soon"), 2),
        (("token", "--subject", "x", "--ttl", "0h"), 2),
        (("serve", "nobody", "--port", "1"), 1),
        (("down",), 0),
        (("status",), 3),
        (("--help",), 0),
    ],
)
def test_the_command_line_never_shows_a_traceback(
    platform: Platform, arguments: tuple[str, ...], code: int
) -> None:
    done = platform.run(*arguments)
    assert done.returncode == code
    assert "Traceback" not in done.stderr


def test_help_is_instant_because_it_imports_no_driver() -> None:
    program = "import sys, api.cli.main; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.split())
    assert not loaded & {"psycopg", "redis", "confluent_kafka", "fastapi", "cryptography"}


def test_a_remembered_port_is_kept(home: Home) -> None:
    names = ("postgres", "redis")
    drawn = home.remembered_ports(names, avoid=0)
    assert len(set(drawn.values())) == 2
    assert home.remembered_ports(names, avoid=0) == drawn
    assert home.remembered_ports(names, avoid=drawn["redis"])["redis"] != drawn["redis"]
