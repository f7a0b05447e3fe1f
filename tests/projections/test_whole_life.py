"""The document over an order's whole life: whatever its streams' order in the log, one truth."""

import typing
from collections.abc import Sequence
from itertools import pairwise
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.order.order_document import OrderDocument as OrderModel
from domain.envelope import Recorded
from domain.events import DomainEvent, EventOfOrder
from domain.order.events import HoldReason, OrderHeld, OrderPersonalDataForgotten
from domain.personal import FORGOTTEN, free_texts, mask
from infrastructure.redis import stored_document
from projections.order.body import MOST_STEPS
from projections.order.document import OrderDocument, fold, project
from projections.order.history import history_page
from projections.order.past import forgotten
from tests.projections.life import ENDINGS, ORDER, PLACED, STREAMS, logged
from tests.projections.test_order_document import recorded

ALWAYS = {"updated_at", "position", "timeline", "actions"}
CHANGED_BY = {
    "order": {
        *("version", "status", "on_hold", "hold_reason", "cancel_reason", "reject_reason"),
        *("customer", "lines", "money", "shipping_address", "fulfillment_status"),
        "payment_status",  # with what is owed
    },
    "payment": {"payment", "payment_status"},
    "allocation": {"lines"},
    "shipments": {"shipments", "lines", "fulfillment_status"},
    "returns": {"returns", "lines", "return_status"},
    "fulfilment": {"fulfilment"},
}


def interleaved(random: Random, ending: str) -> list[Recorded[DomainEvent]]:
    """Put the streams into one log as it may be: each in its own order, the first event first."""
    streams: dict[str, list[EventOfOrder]] = {name: [*its] for name, its in STREAMS.items()}
    streams["order"] = [*ORDER[1:], *ENDINGS[ending]]
    kinds = [kind for kind, its in streams.items() for _ in its]
    random.shuffle(kinds)
    return logged([("order", PLACED), *((kind, streams[kind].pop(0)) for kind in kinds)])


LOGS = st.builds(interleaved, st.randoms(use_true_random=False), st.sampled_from(list(ENDINGS)))


def step_by_step(log: Sequence[Recorded[DomainEvent]]) -> list[OrderDocument]:
    documents: list[OrderDocument] = []
    for one in log:
        document = project(documents[-1] if documents else None, one)
        assert document is not None
        documents.append(document)
    return documents


def test_the_example_has_every_event_that_an_order_can_have() -> None:
    told = {type(event) for its in STREAMS.values() for event in its}
    told |= {type(event) for its in (ORDER, *ENDINGS.values()) for event in its}
    assert told == set(typing.get_args(EventOfOrder))


@given(LOGS)
@settings(max_examples=30, deadline=None)
def test_in_any_order_of_the_streams_the_document_is_as_the_api_describes_it(
    log: list[Recorded[DomainEvent]],
) -> None:
    for document in step_by_step(log):
        OrderModel.model_validate_json(stored_document.body_bytes(document))


@given(LOGS, st.data())
@settings(max_examples=30, deadline=None)
def test_live_rebuilt_and_stored_documents_are_the_same_bytes(
    log: list[Recorded[DomainEvent]], data: st.DataObject
) -> None:
    live = step_by_step(log)
    known = data.draw(st.integers(1, len(log)))
    rebuilt = fold(log[:known])
    assert rebuilt is not None
    assert stored_document.encode(rebuilt) == stored_document.encode(live[known - 1])
    document = stored_document.to_document(
        stored_document.decode(stored_document.encode(rebuilt)[0])
    )
    for one in log[known:]:
        document = project(document, one)
    assert document is not None
    assert stored_document.encode(document) == stored_document.encode(live[-1])


@given(LOGS)
@settings(max_examples=30, deadline=None)
def test_an_event_changes_only_what_is_of_its_context(log: list[Recorded[DomainEvent]]) -> None:
    for (before, after), one in zip(pairwise(step_by_step(log)), log[1:], strict=True):
        changed = {name for name in after.body if after.body[name] != before.body[name]}
        expected = CHANGED_BY[one.stream.split("-")[0]] | ALWAYS
        if isinstance(one.event, OrderPersonalDataForgotten):
            expected = {"version", "customer", "shipping_address", "hold_reason", *ALWAYS}
            expected |= {"shipments", "returns"}  # their free texts
        assert changed <= expected, one.type
        assert list(before.body) == list(after.body)


@given(st.randoms(use_true_random=False))
@settings(max_examples=30, deadline=None)
def test_a_forgotten_life_is_the_same_bytes_whether_or_not_its_texts_were_still_known(
    random: Random,
) -> None:
    log = interleaved(random, "completed")
    [at] = [n for n, one in enumerate(log) if isinstance(one.event, OrderPersonalDataForgotten)]
    unknown = [one._replace(event=mask(one.event, FORGOTTEN)) for one in log]
    live, rebuilt = fold([*log[:at], *unknown[at:]]), fold(unknown)
    assert live is not None
    assert rebuilt is not None
    assert stored_document.encode(live) == stored_document.encode(rebuilt)


@pytest.mark.parametrize("ending", list(ENDINGS))
def test_no_text_of_people_or_carriers_outlives_its_customer(ending: str) -> None:
    order_id = PLACED.order_id
    held = OrderHeld(order_id, HoldReason.OTHER, "asks for Ada")
    its = (*ORDER[1:], *ENDINGS[ending], held, OrderPersonalDataForgotten(order_id))
    streams: dict[str, Sequence[EventOfOrder]] = {**STREAMS, "order": its}
    events = [(kind, event) for kind, stream in streams.items() for event in stream]
    log = logged([("order", PLACED), *events])
    texts = {text for one in log for text in free_texts(one.event).values()}
    assert {"asks for Ada", "sig-1", "Leeds", "nobody there", "broken", "too many"} <= texts
    document, page = fold(log), history_page(forgotten(log))
    assert document is not None
    assert document.body["hold_reason"] == "[forgotten]"
    read = str(stored_document.body_bytes(document)), repr(page)
    for text in texts:
        assert not any(f"'{text}'" in one or f'"{text}"' in one for one in read), text
        assert not any(f" {text}'" in one or f' {text}"' in one for one in read), text


@given(LOGS)
@settings(max_examples=10, deadline=None)
def test_a_document_stays_as_it_was_when_more_is_folded_over_it(
    log: list[Recorded[DomainEvent]],
) -> None:
    before: OrderDocument | None = None
    for one in log:
        value = None if before is None else stored_document.encode(before)
        after = project(before, one)
        assert before is None or stored_document.encode(before) == value
        before = after


@given(LOGS)
@settings(max_examples=10, deadline=None)
def test_the_version_is_the_orders_own_and_the_position_that_of_its_last_event(
    log: list[Recorded[DomainEvent]],
) -> None:
    for known, document in enumerate(step_by_step(log), 1):
        own = [one for one in log[:known] if one.stream.startswith("order-")]
        assert document.body["version"] == own[-1].version
        assert document.position == log[known - 1].position


def test_a_timeline_is_bounded_and_keeps_its_beginning() -> None:
    held, released = ORDER[2], ORDER[3]
    log = logged([("order", PLACED), *[("order", held), ("order", released)] * MOST_STEPS])
    timeline = step_by_step(log)[-1].body["timeline"]
    assert len(timeline) == MOST_STEPS
    assert timeline[0]["text"] == "Order placed"
    assert [step["text"] for step in timeline[-2:]] == ["Order on hold", "Order goes on"]


@pytest.mark.parametrize("ending", list(ENDINGS))
def test_every_history_is_told_without_secrets(ending: str) -> None:
    log = interleaved(Random(1), ending)
    page = history_page(log)
    assert page is not None
    assert [item.type for item in page.items] == [one.type for one in log]
    for secret in ("tok_visa", "bank.example"):
        assert secret in repr(log)
        assert secret not in repr(page)


def test_a_forgotten_customers_address_stays_forgotten_whatever_comes_after() -> None:
    forget = ENDINGS["completed"][1]
    change = ORDER[4]
    log = [recorded(n, one) for n, one in enumerate((PLACED, change, forget, change), 1)]
    assert step_by_step(log)[1].body["shipping_address"]["city"] == "Lyon"
    assert step_by_step(log)[3].body["shipping_address"] is None
    told: Any = history_page(forgotten(log[:3]))
    assert "Lyon" not in repr(told)
    assert told.items[1].data["personal"] == FORGOTTEN.name
