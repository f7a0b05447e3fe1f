"""What the commands on orders say: they take an order's number as well as its id."""

import asyncio

import pytest
from typer.testing import CliRunner, Result

from api.cli.main import app
from tests.integration.pipeline.conftest import Pipeline
from tests.integration.pipeline.test_dead_letters import poisoned


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


@pytest.fixture(autouse=True)
def _environment(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "POSTGRES_URL": pipeline.store.postgres_url.get_secret_value(),
        "MASTER_KEY_FILE": str(pipeline.store.master_key_file),
        "REDIS_URL": pipeline.redis_url,
    }.items():
        monkeypatch.setenv(f"ORDERTRAIL_{name}", value)


async def test_a_parked_order_is_shown_retried_and_discarded_by_its_number(
    pipeline: Pipeline,
) -> None:
    bad = await pipeline.place(0)
    await pipeline.cancel(bad.order_id)
    number = bad.order_number.lower()
    with poisoned(pipeline, bad.order_id):
        with pipeline.relay(), pipeline.projector():
            last = await pipeline.place(1)
            await asyncio.to_thread(pipeline.await_complete, last.position)

        for named in (number, str(bad.order_id)):
            shown = run("dead-letters", "show", named)
            assert shown.stdout.startswith(f"{bad.order_id}  order.eaten.v1 at position 2")
            assert (
                "1 orders would be tried" in run("dead-letters", "retry", named, "--dry-run").stdout
            )
        assert (
            f"not parked: {last.order_id}"
            in run("dead-letters", "discard", number, last.order_number).stderr
        )
        assert run("dead-letters", "discard", number).stdout == "1 notes were discarded\n"
    unknown = run("dead-letters", "show", "0000-0000")
    assert (unknown.exit_code, unknown.stderr) == (1, "there is no order 0000-0000\n")


async def test_an_order_is_rebuilt_by_its_number(pipeline: Pipeline) -> None:
    with pipeline.relay(), pipeline.projector():
        placed = await pipeline.place(0)
        await asyncio.to_thread(pipeline.await_complete, placed.position)
    for named in (placed.order_number.lower(), str(placed.order_id)):
        assert run("rebuild", "--order", named).stdout == f"{placed.order_id} was right\n"
    unknown = run("rebuild", "--order", "0000-0000")
    assert (unknown.exit_code, unknown.stderr) == (1, "there is no order 0000-0000\n")


async def test_verifying_counts_the_orders_that_are_parked(pipeline: Pipeline) -> None:
    bad = await pipeline.place(0)
    await pipeline.cancel(bad.order_id)
    with poisoned(pipeline, bad.order_id):
        with pipeline.relay(), pipeline.projector():
            last = await pipeline.place(1)
            await asyncio.to_thread(pipeline.await_complete, last.position)
        verified = await asyncio.to_thread(run, "rebuild", "--verify", "--workers", "1")
        assert verified.stdout == (
            "1 orders are parked: `dead-letters list` says why\n2 orders are as the log says\n"
        )
    assert run("dead-letters", "retry").exit_code == 0
    verified = await asyncio.to_thread(run, "rebuild", "--verify", "--workers", "1")
    assert verified.stdout == "2 orders are as the log says\n"
