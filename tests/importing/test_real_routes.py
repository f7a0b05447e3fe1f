"""The import against the command API itself, over fakes: what it sends is what the API takes."""

import asyncio
from pathlib import Path

import httpx

from api.importing.report import Report
from api.importing.run import Options, run
from tests.api.api import Api


def test_the_first_day_goes_in_once_over_the_real_routes(first_day: Path) -> None:
    with asyncio.Runner() as runner:
        api = Api(runner)
        first = runner.run(_import(api, first_day))
        second = runner.run(_import(api, first_day))
        api.views.catch_up()
        listed = api.get("/v1/orders?external_reference=536488").json()["items"]
    assert (first.orders.done, first.orders.refused) == (80, 0)
    assert (first.cancellations.done, first.cancellations.refused) == (1, 0)
    assert (second.orders.done, second.orders.already) == (0, 80)
    assert (second.cancellations.done, second.cancellations.already) == (0, 1)
    assert second.rejected == first.rejected
    [order] = listed
    assert order["placed_at"].startswith("2010-12-01T12:31:00")
    assert order["customer"]["id"] == "c-17897"
    assert order["shipping_address"]["country"] == "GB"
    assert [line["sku"] for line in order["lines"] if line["cancelled"]] == ["22960"]


def test_a_changed_invoice_is_refused_by_the_real_routes(first_day: Path) -> None:
    changed = first_day.with_name("changed.csv")
    text = first_day.read_bytes()
    changed.write_bytes(text.replace(b"HOLDER,6,12-01-2010 08:26", b"HOLDER,7,12-01-2010 08:26"))
    with asyncio.Runner() as runner:
        api = Api(runner)
        runner.run(_import(api, first_day))
        again = runner.run(_import(api, changed))
    assert again.rejected["already_imported_differently"].rows == 7
    assert again.orders.already == 79


async def _import(api: Api, path: Path) -> Report:
    headers = {"Authorization": f"Bearer {api.issuer.token('service', 'import')}"}
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(api.command_app),
        base_url="http://ordertrail.test",
        headers=headers,
    ) as client:
        report = await run(client, path, Options(rejects=path.with_suffix(".rejects")))
    assert report.faults == ()
    return report
