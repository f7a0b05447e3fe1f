"""Every word that Shopify, AfterShip and EasyPost publish has one of ours."""

import pytest

from domain.shipment.events import TrackingStatus as T
from domain.shipment.tracking_words import Vocabulary, translate

SHOPIFY = """
    LABEL_PURCHASED LABEL_PRINTED CONFIRMED CARRIER_PICKED_UP IN_TRANSIT DELAYED OUT_FOR_DELIVERY
    ATTEMPTED_DELIVERY READY_FOR_PICKUP PICKED_UP DELIVERED FAILURE
""".split()
AFTERSHIP = """
    Pending InfoReceived InTransit OutForDelivery AttemptFail AvailableForPickup Delivered
    Exception Expired
""".split()
EASYPOST = """
    pre_transit in_transit out_for_delivery available_for_pickup delivered return_to_sender failure
    cancelled
""".split()


@pytest.mark.parametrize(
    ("vocabulary", "word"),
    [
        *((Vocabulary.SHOPIFY, word) for word in SHOPIFY),
        *((Vocabulary.AFTERSHIP, word) for word in AFTERSHIP),
        *((Vocabulary.EASYPOST, word) for word in EASYPOST),
    ],
)
def test_each_published_word_is_known(vocabulary: Vocabulary, word: str) -> None:
    assert translate(vocabulary, word) is not T.UNKNOWN


@pytest.mark.parametrize(
    ("vocabulary", "word", "ours"),
    [
        (Vocabulary.SHOPIFY, "picked_up", T.DELIVERED),
        (Vocabulary.SHOPIFY, "CARRIER_PICKED_UP", T.IN_TRANSIT),
        (Vocabulary.AFTERSHIP, "AttemptFail", T.ATTEMPTED_DELIVERY),
        (Vocabulary.AFTERSHIP, "Expired", T.EXPIRED),
        (Vocabulary.EASYPOST, "failure", T.EXCEPTION),
        (Vocabulary.EASYPOST, "error", T.UNKNOWN),
    ],
)
def test_words_mean_what_their_owners_say(vocabulary: Vocabulary, word: str, ours: T) -> None:
    assert translate(vocabulary, word) is ours


@pytest.mark.parametrize("vocabulary", Vocabulary)
def test_a_word_that_is_added_later_is_unknown(vocabulary: Vocabulary) -> None:
    assert translate(vocabulary, "beamed_up", "by_scotty") is T.UNKNOWN


def test_a_detail_says_more_than_the_status() -> None:
    assert translate(Vocabulary.AFTERSHIP, "Exception", "Exception_004") is T.DELAYED
    assert translate(Vocabulary.AFTERSHIP, "Exception", "Exception_012") is T.EXCEPTION
    assert translate(Vocabulary.EASYPOST, "unknown", "expired") is T.EXPIRED


def test_what_is_delivered_stays_so_unless_it_was_on_its_way_back() -> None:
    assert translate(Vocabulary.EASYPOST, "delivered", "delayed") is T.DELIVERED
    assert translate(Vocabulary.EASYPOST, "delivered", "return") is T.RETURN_TO_SENDER
