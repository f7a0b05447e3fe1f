"""Each import contract fails when it is broken: planted here, one violation at a time."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("domain", "commands", "projections", "infrastructure", "api")
NO_BYTECODE = shutil.ignore_patterns("__pycache__")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Copy the packages and their contracts."""
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=NO_BYTECODE)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
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
        ("domain/money.py", "import pydantic", "the domain imports the standard library only"),
        ("domain/money.py", "import msgspec", "the domain imports the standard library only"),
        ("commands/ports.py", "import psycopg", "commands and projections import no driver"),
        ("projections/ports.py", "import redis", "commands and projections import no driver"),
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


def test_the_domain_imports_nothing_that_is_installed() -> None:
    """Any third-party module counts, not only those that the contract lists."""
    code = (
        "import pkgutil, sys, importlib, domain\n"
        "for module in pkgutil.walk_packages(domain.__path__, 'domain.'):\n"
        "    importlib.import_module(module.name)\n"
        "print([n for n in sys.modules if '.' not in n and n not in sys.stdlib_module_names"
        " and n not in ('domain', '__main__')])"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
