"""Items are gathered while earlier ones are dealt with: in order, within bounds, and cleanly."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brex_sync.sync.read.batches import in_batches


class Source:
    """Gives numbers, knows how many it gave, and whether it was closed."""

    def __init__(self, number: int, fails: bool = False, pause: float = 0) -> None:
        self.number, self.fails, self.pause = number, fails, pause
        self.given = 0
        self.closed = False

    async def __call__(self) -> AsyncGenerator[int, None]:
        try:
            for i in range(self.number):
                await asyncio.sleep(self.pause)
                self.given = i + 1
                yield i
            if self.fails:
                raise ConnectionError("the source broke")
        finally:
            self.closed = True


def run(body: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Runs to the end and sees that no task is left and no exception unheard."""
    unheard: list[Any] = []

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, told: unheard.append(told))
        await body()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())
    assert unheard == []


@settings(max_examples=100)
@given(
    st.integers(0, 12),
    st.integers(1, 5),
    st.booleans(),
    st.lists(st.integers(0, 4), max_size=12),
)
def test_all_come_in_order_and_never_more_than_allowed_wait(
    number: int, ahead: int, fails: bool, pauses: list[int]
) -> None:
    source, seen = Source(number, fails), list[int]()

    async def body() -> None:
        try:
            async for batch in in_batches(source(), ahead):
                assert 1 <= len(batch) <= ahead
                seen.extend(batch)
                for _ in range(pauses.pop() if pauses else 0):
                    await asyncio.sleep(0)
                    assert source.given - len(seen) <= ahead
            assert not fails
        except ConnectionError:
            assert fails

    run(body)
    assert seen == list(range(number)), "what came before a failure is dealt with first"
    assert source.closed


def test_what_came_meanwhile_is_taken_together() -> None:
    sizes: list[int] = []

    async def body() -> None:
        async for batch in in_batches(Source(9)(), 4):
            sizes.append(len(batch))
            await asyncio.sleep(0.01)

    run(body)
    assert sizes[1:] == [4, 4]


def test_while_one_batch_is_dealt_with_the_next_is_fetched_but_no_more() -> None:
    source = Source(50)

    async def body() -> None:
        batches = in_batches(source(), 3)
        async for batch in batches:
            await asyncio.sleep(0.01)
            assert source.given == batch[-1] + 1 + 3
            break
        await batches.aclose()

    run(body)


@pytest.mark.parametrize("pause", [0, 0.001, 60])
@pytest.mark.parametrize("fails", [False, True])
def test_who_stops_early_stops_the_source(pause: float, fails: bool) -> None:
    source = Source(2 if fails else 20, fails=fails)

    async def body() -> None:
        batches = in_batches(source(), 4)
        assert await anext(batches)
        source.pause = pause
        await asyncio.sleep(0.005)
        await batches.aclose()
        assert source.closed

    run(body)


def test_a_consumer_that_fails_stops_the_source() -> None:
    source = Source(20)

    async def body() -> None:
        batches = in_batches(source(), 4)
        await anext(batches)
        with pytest.raises(ZeroDivisionError):
            await batches.athrow(ZeroDivisionError())
        assert source.closed

    run(body)
    assert source.given <= 8
