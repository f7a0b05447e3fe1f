"""Writing a file of orders and importing it into the fake API."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from api.importing.reading import COLUMNS
from api.importing.report import Report
from api.importing.run import Options, run
from api.importing.sending import Patience
from tests.importing.fake_api import FakeApi

FIRST_DAY = Path(__file__).parents[2] / "api" / "cli" / "demo" / "first_day.csv"
IMPATIENT = Patience(attempts=3, first_wait_s=0.0, longest_wait_s=0.0)


def csv_text(rows: Sequence[Sequence[object]], header: Sequence[str] = COLUMNS) -> str:
    text = io.StringIO()
    csv.writer(text).writerows([header, *rows])
    return text.getvalue()


def row(  # noqa: PLR0917 - the columns of the file, in its order
    invoice: str = "1",
    sku: str = "22086",
    name: str = "PAPER CHAIN",
    quantity: object = 2,
    at: str = "2010-12-01 08:26:00",
    price: object = "2.55",
    customer: str = "17850.0",
    country: str = "United Kingdom",
) -> list[object]:
    return [invoice, sku, name, quantity, at, price, customer, country]


class Imported:
    """The report and the rejects of an import."""

    def __init__(self, report: Report, rejects: Path) -> None:
        self.report = report
        with rejects.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
            self.rejects = list(csv.reader(file))[1:]

    @property
    def reasons(self) -> dict[int, str]:
        return {int(line): reason for line, reason, *_ in self.rejects}


async def import_path(path: Path, api: FakeApi, *, dry_run: bool = False) -> Imported:
    rejects = path.with_name(f"{path.name}.rejects.csv")
    options = Options(rejects=rejects, dry_run=dry_run, patience=IMPATIENT)
    async with api.client() as client:
        report = await run(client, path, options)
    assert report.faults == ()
    return Imported(report, rejects)
