"""A fake API and files to import into it."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.importing.fake_api import FakeApi
from tests.importing.orders_csv import FIRST_DAY, csv_text


@pytest.fixture
def api() -> FakeApi:
    return FakeApi()


@pytest.fixture
def first_day(tmp_path: Path) -> Path:
    path = tmp_path / "first_day.csv"
    path.write_bytes(FIRST_DAY.read_bytes())
    return path


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def write_rows(*rows: Sequence[object], name: str = "orders.csv") -> Path:
        path = tmp_path / name
        path.write_text(csv_text(rows), encoding="utf-8", newline="")
        return path

    return write_rows
