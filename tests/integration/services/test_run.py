"""A service begins again when one of its parts fails, whatever the others are just doing."""

import asyncio

import pytest

from infrastructure.services import run


async def test_a_part_that_loses_its_cancellation_is_ended_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(run, "CANCEL_AGAIN_S", 0.01)
    lost = 0

    async def goes_on() -> None:
        nonlocal lost
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                lost += 1  # as a pool of connections may, just when it has one to give
                if lost > 2:
                    raise

    async def fails() -> None:
        raise RuntimeError("away")

    async with asyncio.timeout(5):
        with pytest.raises(RuntimeError, match="away"):
            await run._until_one_fails([goes_on(), fails()])
    assert lost > 2


async def test_a_call_that_fails_beside_its_chore_ends_the_service() -> None:
    ended = asyncio.Event()

    async def goes_on() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    async def fails() -> None:
        raise RuntimeError("away")

    async def serve() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(fails())
            await run._until_one_fails([goes_on()])

    async with asyncio.timeout(5):
        with pytest.raises(ExceptionGroup) as caught:
            await serve()
    assert isinstance(caught.value.exceptions[0], RuntimeError)
    assert ended.is_set()
