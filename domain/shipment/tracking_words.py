"""Other people's words for where a parcel is, in ours.

Sources: Shopify's GraphQL enum FulfillmentEventStatus; AfterShip's delivery statuses (tags) and
sub-statuses; EasyPost's tracker `status` and `status_detail`. Looked up without regard to case. A
word that they add later is `unknown`: a scan is never lost for its wording.
"""

from collections.abc import Mapping
from enum import StrEnum

from domain.shipment.events import TrackingStatus as T


class Vocabulary(StrEnum):
    """Whose words they are."""

    SHOPIFY = "shopify"
    AFTERSHIP = "aftership"
    EASYPOST = "easypost"


_STATUSES: Mapping[Vocabulary, Mapping[str, T]] = {
    Vocabulary.SHOPIFY: {
        "label_purchased": T.PRE_TRANSIT,
        "label_printed": T.PRE_TRANSIT,
        "confirmed": T.PRE_TRANSIT,
        "carrier_picked_up": T.IN_TRANSIT,
        "in_transit": T.IN_TRANSIT,
        "delayed": T.DELAYED,
        "out_for_delivery": T.OUT_FOR_DELIVERY,
        "attempted_delivery": T.ATTEMPTED_DELIVERY,
        "ready_for_pickup": T.AVAILABLE_FOR_PICKUP,
        "ready_for_recipient_pickup": T.AVAILABLE_FOR_PICKUP,
        "picked_up": T.DELIVERED,  # by its customer; by the carrier is carrier_picked_up
        "delivered": T.DELIVERED,
        "buyer_action_required": T.EXCEPTION,
        "failure": T.EXCEPTION,
        "returning_to_sender": T.RETURN_TO_SENDER,
    },
    Vocabulary.AFTERSHIP: {
        "pending": T.PRE_TRANSIT,
        "inforeceived": T.PRE_TRANSIT,
        "intransit": T.IN_TRANSIT,
        "outfordelivery": T.OUT_FOR_DELIVERY,
        "attemptfail": T.ATTEMPTED_DELIVERY,
        "availableforpickup": T.AVAILABLE_FOR_PICKUP,
        "delivered": T.DELIVERED,
        "exception": T.EXCEPTION,
        "expired": T.EXPIRED,
    },
    Vocabulary.EASYPOST: {
        "unknown": T.UNKNOWN,
        "pre_transit": T.PRE_TRANSIT,
        "in_transit": T.IN_TRANSIT,
        "out_for_delivery": T.OUT_FOR_DELIVERY,
        "available_for_pickup": T.AVAILABLE_FOR_PICKUP,
        "delivered": T.DELIVERED,
        "return_to_sender": T.RETURN_TO_SENDER,
        "failure": T.EXCEPTION,
        "cancelled": T.EXCEPTION,
        "error": T.UNKNOWN,  # the carrier's answer could not be read: it says nothing of the parcel
    },
}
_DETAILS: Mapping[Vocabulary, Mapping[str, T]] = {
    Vocabulary.SHOPIFY: {},
    Vocabulary.AFTERSHIP: {
        "exception_004": T.DELAYED,  # at customs
        "exception_005": T.DELAYED,  # by outer causes
        "exception_010": T.RETURN_TO_SENDER,  # on its way back
        "exception_011": T.RETURN_TO_SENDER,  # back
    },
    Vocabulary.EASYPOST: {
        "address_correction": T.EXCEPTION,
        "awaiting_information": T.EXCEPTION,
        "damaged": T.EXCEPTION,
        "delayed": T.DELAYED,
        "delivery_exception": T.EXCEPTION,
        "expired": T.EXPIRED,
        "lost": T.EXCEPTION,
        "missorted": T.DELAYED,
        "refused": T.EXCEPTION,
        "return": T.RETURN_TO_SENDER,
        "transit_exception": T.EXCEPTION,
        "weather_delay": T.DELAYED,
    },
}


def translate(vocabulary: Vocabulary, status: str, detail: str = "") -> T:
    """Give our word: the detail's where that says more than the status, else the status's.

    A parcel that is `delivered` stays so, except on its way back: that end is the sender's door.
    """
    word = _STATUSES[vocabulary].get(status.lower(), T.UNKNOWN)
    finer = _DETAILS[vocabulary].get(detail.lower(), word)
    if word is T.DELIVERED and finer is not T.RETURN_TO_SENDER:
        return word
    return finer
