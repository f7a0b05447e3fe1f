"""The report for people: plain lines that are read the same on a terminal and in a log."""

from collections.abc import Iterator
from decimal import Decimal

from api.importing.report import Report, Requests, Tally

SHORTEST_MEASURED_S = 0.001


def report_lines(report: Report) -> Iterator[str]:
    """Give the report line by line."""
    if report.dry_run:
        yield f"{report.file}: {report.total.rows:,} rows, dry run: no platform was asked"
        yield f"  orders         {_would_be(report.orders, 'placed')}"
        yield f"  cancellations  {_would_be(report.cancellations, 'sent')}"
    else:
        yield f"{report.file}: {report.total.rows:,} rows"
        yield f"  orders         {_requests(report.orders, 'placed')}"
        yield f"  cancellations  {_requests(report.cancellations, 'sent')}"
    yield ""
    yield f"  {'where the rows went':<36} {'rows':>9} {'quantity x price, GBP':>24}"
    yield _row("in orders", report.in_orders)
    yield _row("in cancellations", report.in_cancellations)
    for reason, tally in report.rejected.items():
        yield _row(f"rejected: {reason}", tally)
    yield _row("the file", report.total)
    yield ""
    for name, orders in sorted(report.without_country.items()):
        yield f"  warning: {name or '(empty)'!r} has no ISO code: {orders:,} orders without country"
    if report.rejected_rows:
        yield f"  rejected rows, with line number and reason: {report.rejects}"
    speed = ""
    if not report.dry_run and report.orders.done and report.placing_s > SHORTEST_MEASURED_S:
        answered = report.orders.done + report.orders.already
        speed = f", {answered / report.placing_s:,.0f} orders/s"
    yield f"  {report.duration_s:.1f} s{speed}"


def _would_be(requests: Requests, done: str) -> str:
    return f"{requests.done:,} would be {done}, or are there already; {requests.refused:,} refused"


def _requests(requests: Requests, done: str) -> str:
    return (
        f"{requests.done:,} {done}, {requests.already:,} there already, "
        f"{requests.refused:,} refused"
    )


def _row(name: str, tally: Tally) -> str:
    return f"  {name:<36} {tally.rows:>9,} {_amount(tally.amount):>24}"


def _amount(amount: Decimal) -> str:
    """Write at least pennies, and all digits where a price had a fraction of one."""
    exact = amount.normalize() if amount else Decimal(0)
    digits = max(2, -int(exact.as_tuple().exponent))
    return f"{amount:,.{digits}f}"
