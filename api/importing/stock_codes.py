"""What a stock code stands for. Only goods become lines of an order.

The fees are those of the shop's own data, where each was looked up: `PADS` (pads for cushions),
`DCGS...` (goods of the Dotcom gift shop) and `gift_...` (vouchers) were sold by the piece and are
goods. A code that isn't in the table is goods too: better an order with an odd line than a sale
that is lost.
"""

from enum import StrEnum


class Kind(StrEnum):
    GOODS = "goods"
    SHIPPING = "shipping"
    DISCOUNT = "discount"
    FEE = "fee"


_KINDS = {
    "POST": Kind.SHIPPING,  # postage
    "DOT": Kind.SHIPPING,  # postage of the Dotcom channel
    "C2": Kind.SHIPPING,  # carriage
    "D": Kind.DISCOUNT,
    "M": Kind.FEE,  # manual corrections
    "S": Kind.FEE,  # samples
    "B": Kind.FEE,  # bad debt
    "BANK CHARGES": Kind.FEE,
    "AMAZONFEE": Kind.FEE,
    "CRUK": Kind.FEE,  # commission to Cancer Research UK
    "ADJUST": Kind.FEE,
    "ADJUST2": Kind.FEE,
}


def kind_of(stock_code: str) -> Kind:
    """Tell what the code stands for; capitals don't matter, as the data has `m` and `M`."""
    return _KINDS.get(stock_code.upper(), Kind.GOODS)
