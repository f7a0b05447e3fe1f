"""Reads that come together travel together; one that comes later is never given an older value."""

import asyncio
from collections.abc import Sequence

import pytest

from infrastructure.gathered import MOST_KEYS, Gathered


class Store:
    """Answers a trip when it is let; counts them."""

    def __init__(self) -> None:
        self.trips: list[Sequence[str]] = []
        self.value = b"old"
        self.answers = asyncio.Event()
        self.answers.set()

    async def get_all(self, keys: Sequence[str]) -> Sequence[bytes | None]:
        self.trips.append(keys)
        value = self.value
        await self.answers.wait()
        if value == b"broken":
            raise ConnectionError("gone")
        return [value + key.encode() for key in keys]


async def test_keys_asked_for_in_one_turn_make_one_trip() -> None:
    store = Store()
    gets = Gathered(store.get_all)
    assert await asyncio.gather(*map(gets.get, "abc")) == [b"olda", b"oldb", b"oldc"]
    assert store.trips == [["a", "b", "c"]]


async def test_who_asks_during_a_trip_gets_what_is_there_after_it() -> None:
    store = Store()
    gets = Gathered(store.get_all)
    store.answers.clear()
    first = gets.get("a")
    await asyncio.sleep(0.01)
    store.value = b"new"
    second = gets.get("a")
    store.answers.set()
    assert await first == b"olda"
    assert await second == b"newa"


async def test_a_trip_is_bounded() -> None:
    store = Store()
    gets = Gathered(store.get_all)
    await asyncio.gather(*(gets.get(str(n)) for n in range(MOST_KEYS + 1)))
    assert [len(trip) for trip in store.trips] == [MOST_KEYS, 1]


async def test_a_fault_is_everybodys_who_waits_and_nobodys_after() -> None:
    store = Store()
    gets = Gathered(store.get_all)
    store.value = b"broken"
    store.answers.clear()
    first = gets.get("a")
    await asyncio.sleep(0.01)
    second = gets.get("b")
    store.answers.set()
    for waiting in (first, second):
        with pytest.raises(ConnectionError):
            await waiting
    assert store.trips == [["a"]]
    store.value = b"good "
    assert await gets.get("c") == b"good c"


async def test_a_caller_who_has_gone_is_nobodys_trouble() -> None:
    store = Store()
    gets = Gathered(store.get_all)
    gone, stays = gets.get("a"), gets.get("b")
    gone.cancel()
    assert await stays == b"oldb"
