"""Reading ahead: what comes is gathered while what came before is dealt with."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TypeVar

Item = TypeVar("Item")

_END = object()


async def in_batches(
    source: AsyncGenerator[Item, None], ahead: int
) -> AsyncGenerator[list[Item], None]:
    """Yields what `source` has given so far, whenever it is asked: at most `ahead` items.

    Never more than `ahead` items wait. When `source` fails, what it gave before is yielded first.
    Closing it closes `source`.
    """
    given: asyncio.Queue[object] = asyncio.Queue()
    room = asyncio.Semaphore(ahead)

    async def gather() -> None:
        try:
            async with aclosing(source):
                await room.acquire()
                async for item in source:
                    given.put_nowait(item)
                    await room.acquire()
        finally:
            given.put_nowait(_END)

    gathering = asyncio.create_task(gather())
    try:
        ended = False
        while not ended:
            found = [await given.get()]
            while not given.empty():
                found.append(given.get_nowait())
            ended = found[-1] is _END
            batch: list[Item] = [item for item in found if item is not _END]  # type: ignore[misc]
            for _ in batch:
                room.release()
            if batch:
                yield batch
        await gathering
    finally:
        gathering.cancel()
        await asyncio.gather(gathering, return_exceptions=True)
