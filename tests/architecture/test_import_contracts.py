"""Each import contract fails when it is broken: planted here, one violation at a time."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("domain", "commands", "projections", "infrastructure", "api")
PURE = "the domain imports the standard library only"
NO_DRIVER = "commands and projections import no driver"
CONTRACT = "tests/architecture/standard_library_only.py"
NO_BYTECODE = shutil.ignore_patterns("__pycache__")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Copy the packages and their contracts."""
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=NO_BYTECODE)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / CONTRACT).parent.mkdir(parents=True)
    shutil.copy(ROOT / CONTRACT, tmp_path / CONTRACT)
    return tmp_path


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).parent / "lint-imports"
    return subprocess.run(
        [program, "--no-cache"], cwd=folder, capture_output=True, text=True, check=False
    )


def test_the_code_as_it_is_keeps_every_contract(copy: Path) -> None:
    assert lint(copy).returncode == 0


@pytest.mark.parametrize(
    ("module", "planted", "contract"),
    [
        ("domain/order/events.py", "import commands.ports", "api -> infrastructure"),
        ("commands/ports.py", "import projections.ports", "api -> infrastructure"),
        ("projections/ports.py", "import commands.ports", "api -> infrastructure"),
        ("infrastructure/settings.py", "import api.command_app", "api -> infrastructure"),
        ("domain/money.py", "import pydantic", PURE),
        ("domain/order/events.py", "import psutil", PURE),
        ("commands/ports.py", "import psycopg", NO_DRIVER),
        ("commands/order/place.py", "import aiohttp.client", NO_DRIVER),
        ("projections/ports.py", "from redis import Redis", NO_DRIVER),
        ("api/order/schemas.py", "import infrastructure.settings", "routes and schemas"),
        ("api/http/auth.py", "import infrastructure.settings", "routes and schemas"),
        ("api/importing/run.py", "import infrastructure.settings", "routes and schemas"),
        ("infrastructure/rebuild/run.py", "import infrastructure.kafka.topics", "sends nothing"),
        ("infrastructure/rebuild/fill.py", "import confluent_kafka", "sends nothing"),
        ("infrastructure/redis/shard.py", "import infrastructure.kafka.messages", "sends nothing"),
    ],
)
def test_a_planted_violation_is_named(copy: Path, module: str, planted: str, contract: str) -> None:
    file = copy / module
    file.write_text(f"{file.read_text()}\n{planted}\n")

    done = lint(copy)

    assert done.returncode != 0
    broken = done.stdout[done.stdout.index("Broken contracts") :]
    assert contract in broken
