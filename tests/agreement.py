"""Holds the money, the stock and the parcels of orders against their statuses, and against others.

Rules: what is over owes nothing to anybody; no piece and no penny is anywhere twice or nowhere; and
the provider's own ledger says of each order what our log says.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import psycopg
from psycopg.rows import DictRow, dict_row

from commands.inventory.stock import load_streams
from commands.order.file import OrderFile, load_files
from commands.ports import Ports, Stream
from domain.ids import OrderId, Sku, StreamId
from domain.inventory.location import Location
from domain.inventory.state import StockItem
from domain.order.state import Order, OrderStatus
from domain.payment.shares import value_minor
from domain.payment.state import Payment
from domain.returns.status import returned_pieces

OFF = (OrderStatus.REJECTED, OrderStatus.EXPIRED, OrderStatus.CANCELLED)
OVER = (*OFF, OrderStatus.COMPLETED)
LED = "SELECT DISTINCT order_id FROM events WHERE topic = 'fulfilment.started.v1'"
STOCK = "SELECT DISTINCT originator_id FROM events WHERE topic = 'stock.item_listed.v1'"
PIECES = """
SELECT originator_id AS stream,
       sum(CASE topic
           WHEN 'stock.received.v1' THEN quantity WHEN 'stock.restocked.v1' THEN quantity
           WHEN 'stock.shipped.v1' THEN -quantity WHEN 'stock.adjusted.v1' THEN change
           ELSE 0 END)::bigint AS on_hand
FROM (SELECT originator_id, topic,
             (convert_from(state, 'UTF8')::jsonb #>> '{data,quantity}')::bigint AS quantity,
             (convert_from(state, 'UTF8')::jsonb #>> '{data,change}')::bigint AS change
      FROM events WHERE topic LIKE 'stock.%%') e
GROUP BY 1
"""
LEDGER = """
SELECT order_id, sum(captured_minor)::bigint AS captured, sum(refunded_minor)::bigint AS refunded,
       sum(amount_minor - captured_minor) FILTER (WHERE status = 'authorized')::bigint AS held
FROM sandbox.authorizations GROUP BY order_id
"""


@dataclass(frozen=True, slots=True)
class Books:
    """What there is: the files of the orders that the saga leads, and the stock."""

    files: Mapping[OrderId, OrderFile]
    items: Sequence[Stream[StockItem]]
    ledger: Mapping[OrderId, DictRow]
    pieces: Mapping[StreamId, int]

    def statuses(self) -> Counter[str]:
        return Counter(str(_order(file).status) for file in self.files.values())


async def read_books(database_url: str, ports: Ports) -> Books:
    """Read everything, once nobody writes any more."""
    async with await psycopg.AsyncConnection.connect(
        database_url, row_factory=dict_row, autocommit=True
    ) as connection:
        led = [row["order_id"] for row in await (await connection.execute(LED)).fetchall()]
        stock = await (await connection.execute(STOCK)).fetchall()
        pieces = await (await connection.execute(PIECES)).fetchall()
        ledger = await (await connection.execute(LEDGER)).fetchall()
    files: dict[OrderId, OrderFile] = {}
    for begin in range(0, len(led), 100):
        some = led[begin : begin + 100]
        files |= dict(zip(some, await load_files(some, ports), strict=True))
    return Books(
        files,
        await load_streams([row["originator_id"] for row in stock], ports.store),
        {row["order_id"]: row for row in ledger},
        {row["stream"]: row["on_hand"] for row in pieces},
    )


def assert_agreement(books: Books) -> None:
    """Hold everything against everything. Orders need not be over, only at rest."""
    for order_id, file in books.files.items():
        _assert_order(file)
        _assert_ledger(file.payment.state, books.ledger.get(order_id))
    _assert_stock(books)


def _assert_order(file: OrderFile) -> None:
    order, facts = _order(file), file.facts
    where = f"{order.order_id} is {order.status}"
    payment, allocation = facts.payment, facts.allocation
    gone = facts.gone()
    for line in order.lines:
        assert gone.get(line.line_number, 0) <= order.remaining(line), where
    if order.status in OVER:
        assert not allocation.holds_any, f"{where} and holds stock"
        assert payment.held_minor == 0, f"{where} and holds money"
        assert not payment.pending, f"{where} and waits for a provider"
    if order.status in OFF:
        assert payment.captured_minor == payment.refunded_minor, f"{where} and kept money"
        assert not gone, f"{where} and was sent"
    if order.status is OrderStatus.COMPLETED:
        for line in order.lines:
            assert gone.get(line.line_number, 0) == order.remaining(line), where
        if payment.authorized:
            back = sum(receipt.refund_minor for one in facts.returns for receipt in one.receipts)
            by_hand = sum(
                amount for name, amount in payment.refunds.items() if name.startswith("manual/")
            )
            kept = payment.captured_minor - payment.refunded_minor
            assert kept == order.owed_minor - back - by_hand, where
            fair = _fair_minor(order, file)
            given_before = by_hand or payment.charged_back_minor
            # A cent more for what came back before lines were canceled: that rounds once more.
            assert back in (fair, fair + 1) or (given_before and back < fair), (
                f"{where}: {back} of {fair}"
            )


def _fair_minor(order: Order, file: OrderFile) -> int:
    """Give what is owed for all that came back of an order of which all was sent."""
    wanted = value_minor(
        order.lines, {one.line_number: order.remaining(one) for one in order.lines}
    )
    if not wanted:
        return 0
    returned = value_minor(order.lines, returned_pieces(file.returns.state))
    return order.owed_minor * returned // (wanted + order.shipping_minor)


def _assert_ledger(payment: Payment | None, row: DictRow | None) -> None:
    taken = (0, 0, 0) if row is None else (row["captured"], row["refunded"], row["held"] or 0)
    if payment is None:
        assert taken == (0, 0, 0)
        return
    ours = (payment.captured_minor, payment.refunded_minor, payment.capturable_minor)
    assert ours == taken, f"{payment.order_id}: {ours} of ours, {taken} of the provider's"


def _assert_stock(books: Books) -> None:
    held: Counter[tuple[Sku, Location]] = Counter()
    for file in books.files.values():
        allocation = file.allocation.state
        for part in () if allocation is None else allocation.parts:
            held[part.sku, part.location] += part.held
    for stream in books.items:
        item = stream.state
        assert item is not None
        assert item.on_hand == books.pieces[stream.stream], f"pieces of {item.sku} got lost"
        assert item.promised == held[item.sku, item.location], f"holds of {item.sku} differ"
        assert item.on_hand >= 0
        assert item.available >= 0 or item.allow_backorder, f"{item.sku} was promised twice"


def _order(file: OrderFile) -> Order:
    assert file.order.state is not None
    return file.order.state
