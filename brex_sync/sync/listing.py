"""One list brought up to date: what was left unfinished, a fresh window, and what vanished."""

import asyncio
from dataclasses import replace
from datetime import date

from brex_sync.sync import plan
from brex_sync.sync.backfill import MEANWHILE, backfill
from brex_sync.sync.reading import Reading
from brex_sync.sync.vanished import settle
from brex_sync.sync.walking import begin_window, walk_window
from brex_sync.warehouse import checkpoints
from brex_sync.warehouse.checkpoints import Scope


async def sync_list(reading: Reading) -> date:
    """Reads the list and returns the UTC date through which it is known.

    Raises:
        BrexError, Fenced, sqlalchemy.exc.SQLAlchemyError: it could not be read to its end; what
            was committed stays and is gone on from.
    """
    began, options, stream = reading.clock(), reading.options, reading.slice.stream
    lease = await asyncio.to_thread(checkpoints.open_lease, reading.engine, reading.slice)
    state = lease.state
    number = state.last_number
    unfinished = plan.resumable(stream, state, began, full=options.full)
    if unfinished is not None:
        window, comparison = await walk_window(reading, lease, unfinished)
        number = window.number
        state = plan.after(state, window)
        if stream.window is None:
            await settle(reading, lease, window, comparison)
            return window.opened_at.date()
    filled = None
    if plan.is_sliced(stream, state):
        filled = await backfill(reading, replace(lease, state=state))
        state = filled or state
        number = state.last_number
    span = plan.next_range(stream, state, began, MEANWHILE if filled else options.overlap)
    if options.full and not filled:
        span = plan.Range(Scope.FULL, None)
    lease = replace(lease, state=state)
    begun = await begin_window(reading, lease, number + 1, span, began)
    window, comparison = await walk_window(reading, lease, begun)
    await settle(reading, lease, window, comparison)
    return window.opened_at.date()
