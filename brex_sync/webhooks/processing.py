"""Events processed: each is a hint to fetch rows again, and the warehouse takes what Brex has now.

Many events are processed together: a row that several tell of is fetched once, rows are fetched
side by side, and what several processes do at once is divided between them by the inbox.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from brex_sync.brex.client import BrexClient
from brex_sync.brex.strict_json import read_item
from brex_sync.errors import (
    BrexError,
    CredentialRefused,
    Fenced,
    MalformedEvent,
    NotAllowed,
    PostgresUnavailable,
    RateLimited,
    Unreachable,
    UnusableAnswer,
)
from brex_sync.streams.declare import EventTable, Stream
from brex_sync.sync.notices import Change, of_change
from brex_sync.sync.read.refetch import refetch
from brex_sync.sync.read.walking import prepare
from brex_sync.warehouse import Warehouse
from brex_sync.warehouse.database import clock
from brex_sync.warehouse.events import inbox
from brex_sync.warehouse.events.inbox import Disposition, EventOutcome, InboxEvent
from brex_sync.warehouse.events.outbox import Notice
from brex_sync.warehouse.load import commit as load
from brex_sync.warehouse.load.staged import Staged, together
from brex_sync.warehouse.state import checkpoints, unavailable
from brex_sync.warehouse.state.checkpoints import Counts, Slice
from brex_sync.warehouse.workflows import waits
from brex_sync.webhooks.events import EVENT_TYPES, EventType

log = logging.getLogger(__name__)

USERS = "users"
"""The stream whose changes workflows wait for, such as that somebody accepts an invitation."""
KIND = "webhook"
"""What others are told that rows changed by."""
BATCH = 100
"""Events taken up together."""
BATCH_SECONDS = 20.0
"""For which a batch is worked at, well within its lease; what is not done then waits."""
ROWS_AT_ONCE = 8
"""Rows fetched side by side."""
OUTAGES = (Unreachable, RateLimited, CredentialRefused)
"""Faults that concern the whole connection, for which no event is to blame."""

Row = tuple[str, str]
"""A stream's name, and the key of one of its rows."""


@dataclass(frozen=True, slots=True)
class EventProcessor:
    """Processes the events of one connection.

    `streams` are the names of those synced; `tell` are the URLs to be told of changed rows.
    """

    client: BrexClient
    warehouse: Warehouse
    streams: Collection[str]
    tell: tuple[str, ...] = ()


@dataclass(slots=True)
class Batch:
    """Events taken up together, and what was found out about them.

    `wanted` are the rows each event needs, `faults` what became of those that were not fetched,
    and `settled` the outcomes that are known without.
    """

    began: datetime
    wanted: dict[str, list[Row]] = field(default_factory=dict)
    settled: dict[str, EventOutcome] = field(default_factory=dict)
    told: dict[str, list[tuple[str, Staged]]] = field(default_factory=lambda: defaultdict(list))
    faults: dict[Row, EventOutcome] = field(default_factory=dict)
    counts: dict[str, Counts] = field(default_factory=lambda: defaultdict(Counts))
    gone: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def rows(self) -> list[Row]:
        """The rows to fetch, each once."""
        return list(dict.fromkeys(row for rows in self.wanted.values() for row in rows))


async def process(processor: EventProcessor, seconds: float = 30.0) -> int:
    """Processes what is due, in batches, for about `seconds`; returns how many events there were.

    Raises:
        PostgresError: the warehouse failed; what was taken up waits for others.
    """
    end, count = asyncio.get_running_loop().time() + seconds, 0
    while (left := end - asyncio.get_running_loop().time()) > 0:
        events = await processor.warehouse.call(inbox.claim, BATCH)
        if not events:
            break
        await _process_batch(processor, events, min(left, BATCH_SECONDS))
        count += len(events)
    return count


async def _process_batch(
    processor: EventProcessor, events: list[InboxEvent], seconds: float
) -> None:
    batch = Batch(await processor.warehouse.call(clock))
    closed = await processor.warehouse.call(_closed, processor.streams)
    for event in events:
        _look(processor, batch, event, closed)
    for name, rows in batch.told.items():
        stored = await processor.warehouse.call(_store_told, name, [row for _, row in rows])
        batch.counts[name] += stored
    await _fetch_all(processor, batch, seconds)
    outcomes = [_outcome(batch, event) for event in events]
    for one in outcomes:
        if one.fate is not Disposition.DONE:
            log.warning("%s: event %s: %s", processor.warehouse.schema, one.id, one.note)
    news = list(_news(processor, batch, datetime.now(UTC)))
    await processor.warehouse.call(inbox.conclude, outcomes, news)
    if any(stream == USERS for stream, _ in batch.rows()):
        await processor.warehouse.call(_look_at_workflows)


def _closed(warehouse: Warehouse, streams: Collection[str]) -> dict[str, str]:
    """The streams that are not kept up to date here, and why."""
    why = {}
    for one in EVENT_TYPES.values():
        name = one.stream.name
        if name not in streams:
            why[name] = f"{name} is not synced"
        elif fact := unavailable.found(warehouse, name):
            why[name] = f"{name} is unavailable: {fact.reason}"
    return why


def _look(
    processor: EventProcessor, batch: Batch, event: InboxEvent, closed: dict[str, str]
) -> None:
    """Finds out what an event needs, without asking anyone."""
    kind = EVENT_TYPES.get(event.type)
    if kind is None:
        note = f"nothing is known of events of type {event.type}"
        batch.settled[event.id] = EventOutcome(event.id, note=note)
        return
    try:
        keys = kind.keys(event.body)
        row = _row_told(kind, event) if kind.stream.name in processor.streams else None
    except (MalformedEvent, UnusableAnswer) as error:
        batch.settled[event.id] = EventOutcome(event.id, Disposition.PARKED, str(error))
        return
    if kind.table is not None and row is not None:
        batch.told[kind.table.name].append((event.id, row))
    if why := closed.get(kind.stream.name):
        batch.settled[event.id] = EventOutcome(event.id, note=why)
    else:
        batch.wanted[event.id] = [(kind.stream.name, key) for key in keys]


def _row_told(kind: EventType, event: InboxEvent) -> Staged | None:
    """The row that an event's body is, where its type has a table."""
    if kind.table is None:
        return None
    _, staged = prepare(kind.table, read_item(event.body.encode()), None)
    if staged.rejects:
        raise MalformedEvent(f"no row of {kind.table.name}: {staged.rejects[0].reason}")
    return staged


def _store_told(warehouse: Warehouse, name: str, rows: Sequence[Staged]) -> Counts:
    """Stores rows that events told; a later state stays where an earlier one comes late."""
    lease = checkpoints.share_lease(warehouse, Slice(warehouse.schema, _TABLES[name]))
    return load.store_item(warehouse, lease, together(rows))


def _look_at_workflows(warehouse: Warehouse) -> None:
    waits.make_due(warehouse.engine, warehouse.schema)


async def _fetch_all(processor: EventProcessor, batch: Batch, seconds: float) -> None:
    """Fetches the rows side by side; what takes too long is left for another time."""
    places = asyncio.Semaphore(ROWS_AT_ONCE)
    tasks = {
        asyncio.create_task(_fetch(processor, batch, row, places)): row for row in batch.rows()
    }
    if not tasks:
        return
    _, late = await asyncio.wait(tasks, timeout=seconds)
    for task in late:
        task.cancel()
        batch.faults[tasks[task]] = EventOutcome(
            "", Disposition.LATER, "Brex did not answer in time"
        )
    await asyncio.gather(*late, return_exceptions=True)


async def _fetch(
    processor: EventProcessor, batch: Batch, row: Row, places: asyncio.Semaphore
) -> None:
    name, key = row
    try:
        async with places:
            done = await refetch(processor.client, processor.warehouse, _STREAMS[name], [key])
    except NotAllowed as error:
        batch.faults[row] = EventOutcome("", note=f"{name} is unavailable: {error}")
    except OUTAGES as error:
        batch.faults[row] = EventOutcome("", Disposition.LATER, str(error))
    except (BrexError, Fenced) as error:
        batch.faults[row] = EventOutcome("", Disposition.AGAIN, str(error))
    except PostgresUnavailable:
        batch.faults[row] = EventOutcome("", Disposition.LATER, "the warehouse was out of reach")
    except Exception as error:
        log.exception("%s: row %s of %s", processor.warehouse.schema, key, name)
        batch.faults[row] = EventOutcome(
            "", Disposition.AGAIN, f"unforeseen: {type(error).__name__}"
        )
    else:
        batch.counts[name] += done.counts
        batch.gone[name] += len(done.gone)


_WORST_LAST = (Disposition.DONE, Disposition.LATER, Disposition.AGAIN, Disposition.PARKED)
_STREAMS: dict[str, Stream] = {one.stream.name: one.stream for one in EVENT_TYPES.values()}
_TABLES: dict[str, EventTable] = {
    one.table.name: one.table for one in EVENT_TYPES.values() if one.table
}


def _outcome(batch: Batch, event: InboxEvent) -> EventOutcome:
    """What came of an event: the worst that became of its rows."""
    if event.id in batch.settled:
        return batch.settled[event.id]
    faults = [batch.faults[row] for row in batch.wanted[event.id] if row in batch.faults]
    worst = max(faults, key=lambda one: _WORST_LAST.index(one.fate), default=EventOutcome(""))
    return EventOutcome(event.id, worst.fate, worst.note)


def _news(processor: EventProcessor, batch: Batch, now: datetime) -> Iterator[Notice]:
    """What to tell of the rows that changed."""
    for name in {**batch.counts, **batch.gone}:
        counts, gone = batch.counts[name], batch.gone[name]
        change = Change(
            processor.warehouse.schema,
            name,
            KIND,
            counts.inserted,
            counts.updated,
            gone,
            batch.began,
        )
        yield from of_change(processor.tell, change, now)
