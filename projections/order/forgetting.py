"""A document once its customer was forgotten: without what was personal, and without free text.

Rule: it is what folding the events anew would give, of which the free texts are forgotten too. So
the words that people or carriers wrote are taken out of the timeline's steps, where they stand
behind ours.
"""

from collections.abc import Mapping

from domain.order.events import HoldReason
from domain.personal import FORGOTTEN
from domain.shipment.events import TrackingStatus
from projections.order.body import Body
from projections.order.placing import address, customer
from projections.order.words import in_words

_BEHIND: Mapping[str, str] = {
    **dict.fromkeys(
        (
            "lines_cancelled",
            "order_revised",
            "cancellation_requested",
            "order_cancelled",
            "return_requested",
            "return_cancelled",
        ),
        ": ",
    ),
    **{str(status): " in " for status in TrackingStatus},
}
"""By the code of a step: what stands before the words in its text; it is in none of ours."""
OUR_HOLD_REASONS = frozenset(in_words(code) for code in HoldReason if code is not HoldReason.OTHER)
"""They stay. The document does not tell who wrote them, so nobody else may: see `HoldBody`."""


def without_personal_data(body: Body) -> Body:
    """Give the document as it is once its customer was forgotten."""
    return body | {
        "customer": customer(body["customer"]["id"], FORGOTTEN),
        "shipping_address": address(FORGOTTEN.shipping_address),
        "hold_reason": _text(body["hold_reason"], kept=OUR_HOLD_REASONS),
        "shipments": [
            one | {"proof": _text(one["proof"]), "scans": [_scan(scan) for scan in one["scans"]]}
            for one in body["shipments"]
        ],
        "returns": [one | {"reason": _text(one["reason"])} for one in body["returns"]],
        "timeline": [_step(step) for step in body["timeline"]],
    }


def _scan(scan: Body) -> Body:
    return scan | {"place": _text(scan["place"]), "detail": _text(scan["detail"])}


def _step(step: Body) -> Body:
    before, behind, _ = step["text"].partition(_BEHIND.get(step["code"], "\0"))
    return step | {"text": f"{before}{behind}{FORGOTTEN.name}"} if behind else step


def _text(text: str | None, *, kept: frozenset[str] = frozenset()) -> str | None:
    return text if text is None or text in kept else FORGOTTEN.name
