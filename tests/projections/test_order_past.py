"""An order's past: told without what was forgotten, and folded as it was at any point."""

import copy
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.order.events import OrderPersonalDataForgotten
from domain.personal import SEALED
from infrastructure.redis import stored_document
from projections.order import history
from projections.order.difference import Change, difference
from projections.order.document import fold
from projections.order.history import compare, history_page
from projections.order.past import Events, fold_until, forgotten
from projections.ports import HistoryItem
from tests.projections.test_order_document import (
    ORDER_ID,
    RECORDED,
    folded,
    placed,
    recorded,
)

ALL: Events = [
    one._replace(recorded_at=one.recorded_at + timedelta(days=one.version))
    for one in [*RECORDED, recorded(4, OrderPersonalDataForgotten(ORDER_ID))]
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from(["", "a", "b"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "b", "a/b", "~", "~1", ""]), inner, max_size=3)
    ),
    max_leaves=8,
)


def applied(document: Any, changes: Sequence[Change]) -> Any:
    """Apply changes as RFC 6902 says, in their order."""
    holder: Any = {"": copy.deepcopy(document)}
    for change in changes:
        parts = change["path"].split("/")
        names = ["", *(p.replace("~1", "/").replace("~0", "~") for p in parts[1:])]
        target: Any = holder
        for name in names[:-1]:
            target = target[int(name) if isinstance(target, list) else name]
        last: Any = int(names[-1]) if isinstance(target, list) else names[-1]
        if change["op"] != "add":
            assert target[last] == change["from"]
        if change["op"] == "remove":
            del target[last]
        elif isinstance(target, list) and change["op"] == "add":
            target.insert(last, change["to"])
        else:
            target[last] = change["to"]
    return holder[""]


@given(JSON, JSON)
def test_changes_applied_to_the_first_value_give_the_second(before: Any, after: Any) -> None:
    changes = list(difference(before, after))
    assert exact(applied(before, changes)) == exact(after)
    assert (not changes) == (exact(before) == exact(after))


def exact(value: Any) -> Any:
    """Tell true from 1, as JSON does, and ignore the order of members."""
    if isinstance(value, dict):
        return {name: exact(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [exact(inner) for inner in value]
    return (type(value), value)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_the_past_is_the_same_bytes_as_the_view_had_then(count: int) -> None:
    before = ALL[:count]
    expected = stored_document.encode(folded(list(before)))
    for point in (before[-1].position, before[-1].position + 9, before[-1].recorded_at):
        document = fold_until(ALL, point)
        assert document is not None
        assert stored_document.encode(document) == expected


def test_before_it_was_placed_there_is_no_order() -> None:
    assert fold_until(ALL, ALL[0].position - 1) is None
    assert fold_until(ALL, ALL[0].recorded_at - timedelta(microseconds=1)) is None


def test_what_was_forgotten_is_forgotten_at_every_point_of_the_past() -> None:
    assert b"Ada" in stored_document.encode(folded(list(ALL[:1])))[0]
    told = forgotten(ALL)
    for point in (ALL[0].position, ALL[1].recorded_at, None):
        document = fold_until(told, point)
        assert document is not None
        assert document.body["customer"]["name"] == "[forgotten]"
    page = history_page(told)
    assert page is not None
    assert page.items[0].data["personal"] == "[forgotten]"
    assert "Ada" not in repr(page)


def test_what_was_not_forgotten_is_told_as_it_is() -> None:
    assert forgotten(ALL[:3]) == ALL[:3]
    assert forgotten([]) == []


def test_a_history_says_why_and_what_changed() -> None:
    page = history_page(ALL[:3])
    assert page is not None
    assert [item.reason for item in page.items] == [None, "damaged", "changed my mind"]
    assert page.items[0].changes == [{"op": "add", "path": ""}]
    assert page.items[1].changes == [
        {"op": "replace", "path": "/lines/0/cancelled", "from": 0, "to": 2},
        {"op": "replace", "path": "/money/cancelled_minor", "from": 0, "to": 200},
    ]
    assert page.items[2].changes[0] == {
        "op": "replace",
        "path": "/status",
        "from": "pending",
        "to": "cancelled",
    }


def test_who_sees_no_personal_data_sees_none_in_the_changes() -> None:
    sealed = [ALL[0]._replace(event=replace(placed(), personal=SEALED)), *ALL[1:]]
    page = history_page(sealed)
    assert page is not None
    assert "Ada" not in repr(page)
    assert {"op": "replace", "path": "/customer/name", "from": "[sealed]", "to": "[forgotten]"} in (
        page.items[3].changes
    )


def test_no_history_shows_the_payment_token() -> None:
    assert "tok_visa" in repr(ALL)
    assert "tok_visa" not in repr(history_page(ALL))


def test_a_long_history_is_told_page_by_page_with_the_same_changes() -> None:
    whole = history_page(ALL)
    assert whole is not None
    items: list[HistoryItem] = []
    after, has_more = 0, True
    while has_more:
        with mock.patch.object(history, "difference", wraps=difference) as compared:
            page = history_page(ALL, after=after, limit=1)
        assert compared.call_count <= 1, "a page costs what it tells, however long the order's life"
        assert page is not None
        items += page.items
        after, has_more = page.items[-1].position, page.has_more
    assert items == whole.items
    assert not whole.has_more


def test_two_points_compare_to_what_changed_between_them() -> None:
    first, last = fold(ALL[:1]), fold(ALL[:2])
    found = compare(first, last)
    assert first is not None
    assert last is not None
    assert found is not None
    assert (found.from_position, found.to_position) == (10, 20)
    assert applied(first.body, found.changes) == last.body
    since_before = compare(None, last)
    assert since_before is not None
    assert applied(None, since_before.changes) == last.body
    assert compare(None, None) is None
