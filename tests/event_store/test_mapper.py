"""Stored events: golden files that are only ever added to, sealing, the chain, upcasting."""

import json
import os
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from domain.envelope import Actor, Envelope, Role
from domain.errors import DomainError
from domain.events import DomainEvent
from domain.ids import ClientId, CustomerId, OrderId, OrderNumber, ReturnId, Sku, StreamId
from domain.money import Currency
from domain.order.events import (
    CancelledLine,
    CancelReason,
    HoldReason,
    OrderCancelled,
    OrderHeld,
    OrderLine,
    OrderLinesCancelled,
    OrderPersonalDataForgotten,
    OrderPlaced,
    PaymentMethod,
)
from domain.personal import FORGOTTEN, SEALED, Address, PersonalData, free_texts, mask
from domain.returns.events import ReceivedLine, ReturnReceived
from infrastructure.event_store import mapper, sealing
from infrastructure.event_store.catalog import CATALOG, Catalog, UnknownEventTypeError
from infrastructure.event_store.mapper import EventMapper, LogEntry, event_hash
from infrastructure.event_store.sealing import (
    CustomerForgottenError,
    DataKeys,
    KeyDamagedError,
    KeyMissingError,
)
from tests.event_store.examples import example

GOLDEN = Path(__file__).parent / "golden"
ORDER_ID = OrderId(UUID(int=1))
STREAM = StreamId(f"order-{ORDER_ID}")
CUSTOMER = CustomerId("c-17850")
PLACED = OrderPlaced(
    order_id=ORDER_ID,
    order_number=OrderNumber("7K3M-92QX"),
    client_id=ClientId("shop"),
    external_reference="536365",
    customer_id=CUSTOMER,
    personal=PersonalData(
        "Ada Byron",
        "ada@example.com",
        "+441632960000",
        Address("GB", "Ada Byron", "1 High St", None, "London", None, "N1 1AA"),
        "tok_visa",
    ),
    currency=Currency("GBP"),
    lines=(OrderLine(1, Sku("85123A"), "White hanging heart", 6, 255),),
    shipping_minor=499,
    tax_minor=0,
    discount_minor=29,
    total_minor=2000,
    payment=PaymentMethod.TOKEN,
    fulfilled_here=True,
)
EXPECTED: dict[str, DomainEvent] = {
    **{name: example(event_class) for name, event_class in CATALOG.current.items()},
    "order.placed.v1": replace(PLACED, fulfilled_here=False),
    "order.placed.v2": PLACED,
    "order.lines_cancelled.v1": OrderLinesCancelled(
        ORDER_ID, (CancelledLine(1, Sku("85123A"), 2),), "damaged", CancelReason.OTHER
    ),
    "order.lines_cancelled.v2": OrderLinesCancelled(
        ORDER_ID, (CancelledLine(1, Sku("85123A"), 2),), "damaged", CancelReason.INVENTORY
    ),
    "order.cancelled.v1": OrderCancelled(ORDER_ID, "changed my mind", CancelReason.OTHER),
    "order.cancelled.v2": OrderCancelled(ORDER_ID, "changed my mind", CancelReason.CUSTOMER),
    "order.held.v1": OrderHeld(ORDER_ID, HoldReason.OTHER, "some reason"),
    "return.received.v1": ReturnReceived(
        ORDER_ID, ReturnId(UUID(int=2)), 14, (ReceivedLine(11, Sku("some sku"), 8, 7),), 12, 0
    ),
    "order.personal_data_forgotten.v1": OrderPersonalDataForgotten(ORDER_ID),
}
"""What each golden file is read as, by this version's classes."""


@pytest.fixture
def keys() -> DataKeys:
    made = DataKeys(os.urandom(32))
    made.create(CUSTOMER)
    return made


def envelope(number: int = 1) -> Envelope:
    return Envelope(
        event_id=UUID(int=number),
        occurred_at=datetime(2010, 12, 1, 8, 26, tzinfo=UTC),
        actor=Actor("shop", Role.SERVICE),
        correlation_id="correlation",
        causation_id="command",
        command_id="command",
        traceparent=None,
    )


def stored(keys: DataKeys, event: DomainEvent, *, previous_hash: bytes = b"\0" * 32) -> LogEntry:
    made = EventMapper(keys).to_stored(
        STREAM, 1, envelope(), event, customer_id=CUSTOMER, previous_hash=previous_hash
    )
    return LogEntry(1, STREAM, 1, made.topic, made.state, datetime.now(UTC), ORDER_ID)


def golden(name: str) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((GOLDEN / f"{name}.json").read_text())
    return read


def texts(keys: DataKeys, state: dict[str, Any]) -> dict[str, str]:
    """Open the free texts that are sealed in a state."""
    sealed = state.get("sealed", {})
    if "texts" not in sealed:
        return {}
    plain = keys.open(CUSTOMER, sealed["box"], bound_to=envelope().event_id.bytes)
    assert plain is not None
    read: dict[str, str] = json.loads(plain)
    assert [*read] == sealed["texts"]
    return read


def test_every_event_type_has_a_golden_file() -> None:
    known = set(CATALOG.current) | set(CATALOG.upcasters)
    assert {file.stem for file in GOLDEN.glob("*.json")} == known == set(EXPECTED)


@pytest.mark.parametrize("name", CATALOG.current)
def test_an_event_is_written_as_its_golden_file_says(name: str, keys: DataKeys) -> None:
    entry = stored(keys, EXPECTED[name])
    assert entry.type == name
    state = json.loads(entry.state)
    assert state["data"] | texts(keys, state) == golden(name)["data"]


@pytest.mark.parametrize("name", EXPECTED)
def test_a_golden_event_of_any_version_still_means_the_same(name: str, keys: DataKeys) -> None:
    entry = stored(keys, EXPECTED[name])
    state = json.loads(entry.state)
    # Read from the golden file itself, sealed as it would have been then: free texts were not.
    state["data"] = golden(name)["data"]
    state.pop("sealed", None)
    if "personal" in golden(name):
        plain = json.dumps(golden(name)["personal"]).encode()
        box = keys.seal(CUSTOMER, plain, bound_to=envelope().event_id.bytes)
        state["sealed"] = {"customer_id": CUSTOMER, "box": box}
    old = LogEntry(1, STREAM, 1, name, json.dumps(state).encode(), entry.recorded_at, ORDER_ID)

    recorded = EventMapper(keys).to_recorded(old)
    assert (recorded.type, recorded.event) == (name, EXPECTED[name])


def test_a_golden_personal_part_is_what_is_sealed(keys: DataKeys) -> None:
    sealed = json.loads(stored(keys, PLACED).state)["sealed"]

    plain = keys.open(CUSTOMER, sealed["box"], bound_to=envelope().event_id.bytes)
    assert plain is not None
    assert json.loads(plain) == golden("order.placed.v2")["personal"]


def test_no_personal_value_is_in_the_stored_bytes(keys: DataKeys) -> None:
    state = stored(keys, PLACED).state
    for value in (b"Ada", b"ada@", b"+4416", b"High St", b"London", b"N1 1AA", b"tok_visa"):
        assert value not in state


def test_who_may_not_see_personal_data_needs_no_key(keys: DataKeys) -> None:
    entry = stored(keys, PLACED)
    without = EventMapper(DataKeys(os.urandom(32)))

    event = without.to_recorded(entry, open_sealed=False).event
    assert isinstance(event, OrderPlaced)
    assert event.personal == SEALED
    with pytest.raises(KeyMissingError):
        without.to_recorded(entry)


def test_without_the_key_personal_data_is_forgotten_and_the_rest_is_not(keys: DataKeys) -> None:
    entry = stored(keys, PLACED)
    keys.learn(CUSTOMER, None)

    event = EventMapper(keys).to_recorded(entry).event
    assert isinstance(event, OrderPlaced)
    assert event.personal == FORGOTTEN
    assert event.total_minor == PLACED.total_minor


TEXTS = {name: event for name, event in EXPECTED.items() if free_texts(event)}
"""Events in which somebody may have written of a person."""


def test_free_text_is_what_people_and_carriers_write() -> None:
    assert {
        name: {*free_texts(event)} for name, event in TEXTS.items() if name in CATALOG.current
    } == {
        "fulfilment.step_skipped.v1": {"reason"},
        "order.held.v2": {"reason"},
        "order.hold_released.v1": {"reason"},
        "order.cancellation_requested.v1": {"reason"},
        "order.revised.v1": {"reason"},
        "order.lines_cancelled.v2": {"reason"},
        "order.cancelled.v2": {"reason"},
        "payment.refund_requested.v1": {"reason"},
        "return.requested.v1": {"reason"},
        "return.cancelled.v1": {"reason"},
        "shipment.tracking_updated.v1": {"place", "detail"},
        "shipment.out_for_delivery.v1": {"place"},
        "shipment.delivery_attempted.v1": {"place", "detail"},
        "shipment.delivery_exception_raised.v1": {"place", "detail"},
        "shipment.delivered.v1": {"place", "proof"},
        "shipment.proof_of_delivery_received.v1": {"proof"},
        "shipment.returned_to_sender.v1": {"place"},
        "shipment.cancelled.v1": {"reason"},
    }


@pytest.mark.parametrize("name", [name for name in TEXTS if name in CATALOG.current])
def test_free_text_is_sealed_and_forgotten_with_the_key(name: str, keys: DataKeys) -> None:
    event = TEXTS[name]
    entry = stored(keys, event)
    for text in free_texts(event).values():
        assert text.encode() not in entry.state
    assert EventMapper(keys).to_recorded(entry).event == event
    without = EventMapper(DataKeys(os.urandom(32)))
    assert without.to_recorded(entry, open_sealed=False).event == mask(event, SEALED)

    keys.learn(CUSTOMER, None)
    assert EventMapper(keys).to_recorded(entry).event == mask(event, FORGOTTEN)


def test_free_text_of_who_was_forgotten_is_not_kept_and_the_event_is(keys: DataKeys) -> None:
    """Their parcel is still on its way, or comes back."""
    event = TEXTS["shipment.delivered.v1"]
    keys.learn(CUSTOMER, None)
    entry = stored(keys, event)
    assert json.loads(entry.state)["sealed"]["box"] == ""
    assert EventMapper(keys).to_recorded(entry).event == mask(event, FORGOTTEN)
    with pytest.raises(CustomerForgottenError):
        stored(keys, PLACED)


def test_a_hold_of_ours_is_known_by_its_words_before_there_was_a_code(keys: DataKeys) -> None:
    state = json.loads(stored(keys, EXPECTED["order.held.v2"]).state)
    del state["sealed"]
    state["data"] = {"order_id": str(ORDER_ID), "reason": "authorization_let_go"}
    now = datetime.now(UTC)
    old = LogEntry(1, STREAM, 1, "order.held.v1", json.dumps(state).encode(), now, ORDER_ID)
    read = EventMapper(keys).to_recorded(old).event
    assert read == OrderHeld(ORDER_ID, HoldReason.AUTHORIZATION_LET_GO, None)


def test_a_key_is_asked_for_again_as_it_may_be_deleted_since(
    keys: DataKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    customers = {CustomerId("c-1"), CustomerId("c-2")}
    for customer in customers:
        keys.create(customer)
    assert keys.unknown(customers) == set()
    later = time.monotonic() + sealing.ASKED_AGAIN_S + 1
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert keys.unknown(customers) == customers
    keys.learn(CustomerId("c-1"), None)
    assert keys.unknown(customers) == {CustomerId("c-2")}
    with pytest.raises(CustomerForgottenError):
        keys.seal(CustomerId("c-1"), b"x", bound_to=b"y")


def test_a_data_key_is_bound_to_its_customer(keys: DataKeys) -> None:
    another = CustomerId("somebody-else")
    assert not keys.learn(another, keys.wrapped(CUSTOMER))
    with pytest.raises(KeyDamagedError):
        keys.seal(another, b"x", bound_to=b"y")
    with pytest.raises(KeyDamagedError):
        keys.open(another, keys.seal(CUSTOMER, b"x", bound_to=b"y"), bound_to=b"y")


def test_two_seals_of_one_text_differ(keys: DataKeys) -> None:
    one, two = (keys.seal(CUSTOMER, b"same", bound_to=b"event") for _ in range(2))
    assert one != two


def test_an_event_that_kafka_would_not_take_is_refused(
    keys: DataKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stored, it would hold up the relay, and all that comes behind it."""
    largest = len(stored(keys, EXPECTED["order.cancelled.v2"]).state)
    monkeypatch.setattr(mapper, "LARGEST_STATE", largest)
    stored(keys, EXPECTED["order.cancelled.v2"])
    monkeypatch.setattr(mapper, "LARGEST_STATE", largest - 1)
    with pytest.raises(DomainError) as refused:
        stored(keys, EXPECTED["order.cancelled.v2"])
    assert refused.value.code == "event_too_large"


def test_the_hash_covers_stream_version_name_and_bytes() -> None:
    one = event_hash("order-1", 1, "order.placed.v1", b"{}")
    others = [
        event_hash("order-2", 1, "order.placed.v1", b"{}"),
        event_hash("order-1", 2, "order.placed.v1", b"{}"),
        event_hash("order-1", 1, "order.cancelled.v1", b"{}"),
        event_hash("order-1", 1, "order.placed.v1", b"{ }"),
    ]
    assert one not in others
    assert len({*others}) == 4


def test_each_event_names_the_hash_before_it(keys: DataKeys) -> None:
    entry = stored(keys, EXPECTED["order.cancelled.v2"], previous_hash=b"\1" * 32)
    assert json.loads(entry.state)["previous_hash"] == "01" * 32


def test_an_old_version_is_led_to_the_newest_step_by_step(keys: DataKeys) -> None:
    def reason_became_required(data: dict[str, Any]) -> dict[str, Any]:
        return {**data, "reason": data.get("why", "not said")}

    def why_became_reason(data: dict[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in data.items() if key != "why"}

    catalog = Catalog(
        current={"order.cancelled.v3": OrderCancelled},
        upcasters={
            "order.cancelled.v1": ("order.cancelled.v2", reason_became_required),
            "order.cancelled.v2": ("order.cancelled.v3", why_became_reason),
        },
    )
    state = json.loads(stored(keys, EXPECTED["order.cancelled.v2"]).state)
    state["data"] = {"order_id": str(ORDER_ID), "why": "too late", "reason_code": "fraud"}
    entry = LogEntry(
        1, STREAM, 1, "order.cancelled.v1", json.dumps(state).encode(), datetime.now(UTC), ORDER_ID
    )

    recorded = EventMapper(keys, catalog).to_recorded(entry)
    assert recorded.event == OrderCancelled(ORDER_ID, "too late", CancelReason.FRAUD)
    assert recorded.type == "order.cancelled.v1"


def test_a_name_that_is_in_no_catalog_is_refused(keys: DataKeys) -> None:
    entry = stored(keys, EXPECTED["order.cancelled.v2"])
    unknown = LogEntry(1, STREAM, 1, "order.eaten.v1", entry.state, entry.recorded_at, ORDER_ID)
    with pytest.raises(UnknownEventTypeError):
        EventMapper(keys).to_recorded(unknown)
