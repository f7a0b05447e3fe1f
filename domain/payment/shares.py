"""What part of the money belongs to a parcel or to a received return: exact, in minor units.

Rule: shares are taken cumulatively. Everything that was shipped so far is worth one amount, rounded
down once; a parcel's share is what that amount grows by. So rounding never adds up, the last parcel
takes the rest to the cent, and the sum is never above what is owed.
"""

from collections.abc import Iterable, Mapping

from domain.order.events import OrderLine


def value_minor(lines: Iterable[OrderLine], quantities: Mapping[int, int]) -> int:
    """Give the price of some pieces, before shipping, tax and discount; pieces by line number."""
    return sum(line.unit_price_minor * quantities.get(line.line_number, 0) for line in lines)


def due_minor(
    *, owed_minor: int, authorized_minor: int, wanted_value_minor: int, shipped_value_minor: int
) -> int:
    """Give what is to be taken, by and by, for all that was shipped.

    Args:
        owed_minor: see `Order.owed_minor`.
        authorized_minor: the most that can be taken.
        wanted_value_minor: value of all pieces that are wanted, shipped or not.
        shipped_value_minor: value of the pieces shipped so far.
    """
    due = min(owed_minor, authorized_minor)
    if shipped_value_minor < wanted_value_minor:
        due = due * shipped_value_minor // wanted_value_minor
    return due


def capture_minor(
    *,
    owed_minor: int,
    authorized_minor: int,
    wanted_value_minor: int,
    shipped_value_minor: int,
    claimed_minor: int,
) -> int:
    """Give the amount to capture for a parcel, which counts as shipped; see `due_minor`.

    `claimed_minor` is what was asked for with earlier parcels, and was taken or still may be.
    """
    due = due_minor(
        owed_minor=owed_minor,
        authorized_minor=authorized_minor,
        wanted_value_minor=wanted_value_minor,
        shipped_value_minor=shipped_value_minor,
    )
    return max(0, due - claimed_minor)


def refund_minor(
    *,
    due_minor: int,
    wanted_value_minor: int,
    shipping_minor: int,
    shipped_value_minor: int,
    returned_value_minor: int,
    claimed_minor: int,
) -> int:
    """Give the amount that is owed to the customer for a receipt of returned pieces.

    Shipping is not given back for returns. Tax and discount lie on goods and shipping alike, so the
    goods' part of what is due is value / (value + shipping).

    Args:
        due_minor: what was taken for all that was shipped, or will be.
        wanted_value_minor: value of all pieces that are wanted, shipped or not.
        shipping_minor: the order's shipping costs.
        shipped_value_minor: value of the pieces that were shipped.
        returned_value_minor: value of the pieces received back so far, this receipt's included.
        claimed_minor: what is owed for earlier receipts.
    """
    gross = (wanted_value_minor + shipping_minor) * shipped_value_minor
    if gross == 0:
        return 0
    returned = min(returned_value_minor, shipped_value_minor)
    due = due_minor * wanted_value_minor * returned // gross
    return max(0, due - claimed_minor)
