"""Which lists a credential can read. Scope and role both decide, so each list is requested."""

import asyncio
from collections.abc import Iterable

from brex_sync.brex.client import BrexClient, Meter
from brex_sync.errors import NotAllowed, NotFound
from brex_sync.streams.declare import Stream


async def reach(client: BrexClient, streams: Iterable[Stream]) -> dict[str, str | None]:
    """For each stream by name: why it cannot be read, or None if it can.

    A list per row of another stream counts as readable if that stream is; whether its own scope is
    missing shows when it is first read.

    Raises:
        BrexError: there was no usable response.
    """
    streams = list(streams)
    alone = [stream for stream in streams if stream.parent is None]
    answers = await asyncio.gather(*(_why_not(client, stream) for stream in alone))
    found = {stream.name: answer for stream, answer in zip(alone, answers, strict=True)}
    for stream in streams:
        if stream.parent is not None:
            found[stream.name] = found.get(stream.parent.stream)
    return {stream.name: found[stream.name] for stream in streams}


async def _why_not(client: BrexClient, stream: Stream) -> str | None:
    params = {"limit": "1"} if stream.paging.limit else {}
    try:
        await client.get(stream.path, params, bytes, Meter())
    except (NotAllowed, NotFound) as refused:
        return str(refused)
    return None
