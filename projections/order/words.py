"""The saga's reasons as a customer reads them; people's own are words already."""

from domain.payment.events import DeclineCode

_DECLINED = "the payment was declined"
_IN_WORDS = {
    **{str(code): _DECLINED for code in DeclineCode},
    DeclineCode.EXPIRED_CARD: "the card has expired",
    DeclineCode.ACTION_NOT_TAKEN: "the payment was not confirmed with the bank in time",
    "short_stock": "not enough of it is in stock",
    "reservation_lost": "it was not paid before its pieces were given to others",
    "reservation_ran_out": "it was not paid in time",
    "capture_failed": "a payment for a parcel failed",
}


def in_words(reason: str) -> str:
    return _IN_WORDS.get(reason, reason)
