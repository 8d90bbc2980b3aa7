"""Which lists a credential may read: scope and role both decide, so each is tried."""

import asyncio
from collections.abc import Iterable

from brex_sync.brex.client import BrexClient, Meter
from brex_sync.errors import NotAllowed, NotFound
from brex_sync.streams.declare import Stream


async def reach(client: BrexClient, streams: Iterable[Stream]) -> dict[str, str | None]:
    """For each stream by name: why it may not be read, or None if it may.

    A list that exists once per row of another is as good as that other one, unless its own scope
    is found to be missing when it is first read.

    Raises:
        BrexError: Brex could not be asked.
    """
    streams = list(streams)
    alone = [stream for stream in streams if stream.per is None]
    answers = await asyncio.gather(*(_why_not(client, stream) for stream in alone))
    found = {stream.name: answer for stream, answer in zip(alone, answers, strict=True)}
    for stream in streams:
        if stream.per is not None:
            found[stream.name] = found.get(stream.per.stream)
    return {stream.name: found[stream.name] for stream in streams}


async def _why_not(client: BrexClient, stream: Stream) -> str | None:
    params = {"limit": "1"} if stream.paging.limit else {}
    try:
        await client.get(stream.path, params, bytes, Meter())
    except (NotAllowed, NotFound) as refused:
        return str(refused)
    return None
