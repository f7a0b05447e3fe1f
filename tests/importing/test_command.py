"""`ordertrail import`: exit codes and plain words."""

from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
import typer
from typer.testing import CliRunner, Result

from api.cli import importing
from api.importing.reading import COLUMNS
from api.importing.sending import ImportStoppedError
from tests.importing.fake_api import FakeApi, problem
from tests.importing.orders_csv import row

Write = Callable[..., Path]
Run = Callable[..., Result]


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, api: FakeApi) -> Run:
    """Run the command in an empty folder against the fake API."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(importing, "platform_client", lambda _concurrency: api.client())
    api.before = lambda request: httpx.Response(200) if request.url.path == "/healthz" else None
    app = typer.Typer()
    app.callback()(lambda: None)
    importing.register(app)
    return lambda *arguments: CliRunner().invoke(app, ["import", *map(str, arguments)])


def test_it_reports_and_leaves_the_rejects_where_it_was_called(
    command: Run, write: Write, tmp_path: Path, api: FakeApi
) -> None:
    (tmp_path / "in").mkdir()
    result = command(write(row(), row(sku="M"), name="in/orders.csv"))
    assert result.exit_code == 0, result.output
    assert "1 placed, 0 there already" in result.stdout
    assert "rejected: fee_M" in result.stdout
    assert "placing" in result.stderr
    assert "\x1b" not in result.output
    assert (tmp_path / "orders.csv.rejects.csv").read_text().splitlines() == [
        f"line_number,reason,{','.join(COLUMNS)}",
        f"3,fee_M,{','.join(str(value) for value in row(sku='M'))}",
    ]
    assert len(api.orders) == 1


def test_a_dry_run_needs_no_platform(
    command: Run, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(_concurrency: int) -> httpx.AsyncClient:
        raise ImportStoppedError("no platform")

    monkeypatch.setattr(importing, "platform_client", none)
    path = write(row())
    result = command(path, "--dry-run")
    assert (result.exit_code, "1 would be placed" in result.stdout) == (0, True)
    assert command(path).exit_code == 1


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b"\x7fELF\x00\x01\x02" * 400,
        b"InvoiceNo,StockCode\n1,2\n",
        ",".join(COLUMNS).encode("utf-16"),
        b"x" * 2_000_000,
        f"{','.join(COLUMNS)},Country\n".encode(),
    ],
    ids=["empty", "blank", "binary", "columns", "utf-16", "one line", "twice"],
)
def test_a_file_that_is_none_is_one_plain_line(
    command: Run, tmp_path: Path, content: bytes, api: FakeApi
) -> None:
    (tmp_path / "none.csv").write_bytes(content)
    _refused(command("none.csv"), api)


def test_no_file_a_folder_and_a_rejects_file_that_would_be_the_source(
    command: Run, write: Write, tmp_path: Path, api: FakeApi
) -> None:
    _refused(command("missing.csv"), api)
    _refused(command(tmp_path), api)
    path = write(row())
    _refused(command(path, "--rejects", path), api)
    _refused(command(path, "--rejects", tmp_path / "nowhere" / "rejects.csv"), api)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def _refused(result: Result, api: FakeApi) -> None:
    assert result.exit_code == 2
    assert len(result.stderr.strip().splitlines()) == 1, result.stderr
    assert api.orders == {}


def test_a_header_alone_is_a_file_without_rows(command: Run, write: Write) -> None:
    result = command(write())
    assert (result.exit_code, "0 rows" in result.stdout) == (0, True)


def test_an_import_that_stops_says_that_it_is_safe_to_repeat(
    command: Run, write: Write, api: FakeApi
) -> None:
    api.before = lambda request: (
        httpx.Response(200) if request.url.path == "/healthz" else problem(401, "token_expired")
    )
    result = command(write(row()))
    assert result.exit_code == 1
    assert "safe to run the import again" in result.stderr


def test_rejects_that_can_not_be_written_any_more_are_told_after_the_orders(
    command: Run, write: Write, tmp_path: Path, api: FakeApi
) -> None:
    api.after = lambda _request: (tmp_path / "orders.csv.rejects.csv").mkdir()
    result = command(write(row()))
    assert (result.exit_code, len(api.orders)) == (1, 1)
    assert "placed, but not the rejects written" in result.stderr


def test_a_platform_that_is_not_there_is_said_at_once(
    command: Run, write: Write, api: FakeApi
) -> None:
    def refuse(_request: httpx.Request) -> None:
        raise httpx.ConnectError("refused")

    api.before = refuse
    result = command(write(row()))
    assert (result.exit_code, api.posts) == (1, 1)
    assert "./run up" in result.stderr
