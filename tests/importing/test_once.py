"""Importing twice, in another order, differently, or after a kill: as if it had run once."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.importing.fake_api import FakeApi, MachineDiedError, kill_once
from tests.importing.orders_csv import FIRST_DAY, csv_text, import_path, row

Write = Callable[..., Path]


async def test_the_first_day_adds_up_and_a_second_run_changes_nothing(
    first_day: Path, api: FakeApi
) -> None:
    first = await import_path(first_day, api)
    state, stored = api.state(), api.position
    assert (first.report.orders.done, first.report.cancellations.done) == (80, 1)
    assert first.report.total.rows == 897
    assert {name: tally.rows for name, tally in first.report.rejected.items()} == {
        "discount_in_cancellation": 1,
        "no_single_match": 24,
        "price_not_positive": 9,
    }
    second = await import_path(first_day, api)
    assert (second.report.orders.done, second.report.orders.already) == (0, 80)
    assert (second.report.cancellations.done, second.report.cancellations.already) == (0, 1)
    assert second.rejects == first.rejects
    assert (api.state(), api.position) == (state, stored)


async def test_a_dry_run_tells_the_same_and_sends_nothing(first_day: Path, api: FakeApi) -> None:
    dry = await import_path(first_day, api, dry_run=True)
    assert api.posts == 0
    wet = await import_path(first_day, api)
    assert dry.rejects == wet.rejects
    assert dry.report.orders == wet.report.orders
    assert dry.report.in_cancellations == wet.report.in_cancellations


async def test_the_order_of_the_rows_does_not_matter(first_day: Path, api: FakeApi) -> None:
    await import_path(first_day, api)
    _shuffle(first_day)
    again = await import_path(first_day, api)
    assert (again.report.orders.done, again.report.orders.already) == (0, 80)
    assert again.report.cancellations.already == 1
    assert again.report.rejected["no_single_match"].rows == 24


def _shuffle(path: Path) -> None:
    header, *rows = path.read_bytes().splitlines(keepends=True)
    random.Random(3).shuffle(rows)
    path.write_bytes(b"".join([header, *rows]))


async def test_an_invoice_with_other_content_is_refused_whole(write: Write, api: FakeApi) -> None:
    await import_path(write(row("1"), row("1", "71053"), row("2")), api)
    before = api.state()
    path = write(row("1"), row("1", "71053", quantity=3), row("2"), row("1", "M"))
    imported = await import_path(path, api)
    assert imported.reasons == {
        2: "already_imported_differently",
        3: "already_imported_differently",
        5: "fee_M",
    }
    assert imported.report.orders.already == 1
    assert api.state() == before


async def test_a_reference_that_another_order_has_is_refused(write: Write, api: FakeApi) -> None:
    path = write(row("1"))
    await import_path(path, api)
    api.answers.clear()
    assert (await import_path(path, api)).reasons == {2: "already_imported_differently"}


async def test_a_cancellation_with_other_content_is_refused(write: Write, api: FakeApi) -> None:
    later = "2010-12-02 09:00:00"
    await import_path(write(row("1"), row("C9", quantity=-1, at=later)), api)
    imported = await import_path(write(row("1"), row("C9", quantity=-2, at=later)), api)
    assert imported.reasons == {3: "already_imported_differently"}
    assert api.orders["1"].cancelled == {1: 1}


@pytest.mark.parametrize("after", [False, True], ids=["before the API", "before the answer"])
@pytest.mark.parametrize("at_post", [1, 40, 80, 81])
async def test_killed_and_started_again_it_ends_as_if_it_had_run_once(
    first_day: Path, api: FakeApi, at_post: int, *, after: bool
) -> None:
    kill_once(api, at_post, after=after)
    with pytest.raises(ExceptionGroup) as died:
        await import_path(first_day, api)
    assert died.group_contains(MachineDiedError)
    assert [file.name for file in first_day.parent.iterdir()] == [first_day.name]
    undisturbed = FakeApi()
    await import_path(first_day, undisturbed)
    again = await import_path(first_day, api)
    assert again.report.orders.done + again.report.orders.already == 80
    assert api.state() == undisturbed.state()


def _rows() -> st.SearchStrategy[list[list[object]]]:
    """Rows that are near enough to each other to meet in invoices, lines and cancellations."""
    return st.lists(
        st.tuples(
            st.sampled_from(["1", "2", "3", "C8", "C9", ""]),
            st.sampled_from(["22086", "71053", "POST", "D", "M"]),
            st.sampled_from(["PAPER", "CHAIN", "", "a\x00", 'é,\n"x"']),
            st.sampled_from([1, 2, 5, -1, -2, 0, "x", 10**18]),
            st.sampled_from(["2010-12-01 08:26:00", "12-02-2010 09:00", "never"]),
            st.sampled_from(["2.55", "1", "0", "-3", "0.001", "y"]),
            st.sampled_from(["17850.0", "17850", "", "12583"]),
            st.sampled_from(["United Kingdom", "United Kingdom", "Unspecified"]),
        ).map(list),
        max_size=40,
    )


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(rows=_rows(), seed=st.integers(0, 1000))
async def test_every_row_ends_in_exactly_one_place(
    tmp_path: Path, rows: list[list[object]], seed: int
) -> None:
    api = FakeApi()
    path = tmp_path / "any.csv"
    path.write_text(csv_text(rows), encoding="utf-8", newline="")
    imported = await import_path(path, api)  # which asserts that it adds up
    report = imported.report
    assert report.total.rows == len(rows)
    assert len(imported.rejects) == report.rejected_rows
    assert report.in_orders.rows + report.in_cancellations.rows + report.rejected_rows == len(rows)
    state = api.state()
    random.Random(seed).shuffle(rows)
    path.write_text(csv_text(rows), encoding="utf-8", newline="")
    again = await import_path(path, api)
    assert (again.report.orders.done, again.report.cancellations.done) == (0, 0)
    assert again.report.rejected == report.rejected
    assert api.state() == state


def test_the_cut_that_is_shipped_names_its_source() -> None:
    source = FIRST_DAY.with_name("SOURCE.md").read_text()
    for words in ("Daqing Chen", "10.24432/C5BW33", "CC BY 4.0", "cut"):
        assert words in source
