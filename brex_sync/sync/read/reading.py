"""What it takes to bring one list up to date, handed from one part of the engine to the next."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from brex_sync.brex.client import BrexClient, Meter
from brex_sync.sync.report import StreamReport
from brex_sync.warehouse import Warehouse
from brex_sync.warehouse.state.checkpoints import Counts, Slice

Clock = Callable[[], datetime]
Progress = Callable[[StreamReport], None]


@dataclass(frozen=True, slots=True)
class Options:
    """How far back to read: `full` from the beginning, `overlap` in place of the declared one.

    `compare` and `backfill` read once more, from the date `since` on or from the beginning: one
    notes what differs while it is mended, the other is gone on with by whoever reads the list next
    if it is interrupted. `accept_deletions` marks missing rows as deleted however many they are.
    """

    full: bool = False
    since: date | None = None
    compare: bool = False
    backfill: bool = False
    overlap: timedelta | None = None
    accept_deletions: bool = False


@dataclass(frozen=True, slots=True)
class SyncContext:
    """One list of one connection, where it comes from, where it goes, and who is told.

    `orphaned` says that the row whose list it is is marked as deleted here. `report` is added to as
    pages land, and `progress` is told of it.
    """

    client: BrexClient
    warehouse: Warehouse
    slice: Slice
    options: Options
    clock: Clock
    report: StreamReport
    progress: Progress
    meter: Meter
    run_id: str
    orphaned: bool

    def tell(self, counts: Counts) -> None:
        """Adds what became of some rows to the report."""
        self.report.fetched += counts.fetched
        self.report.inserted += counts.inserted
        self.report.updated += counts.updated
        self.report.quarantined += counts.quarantined
        self.report.requests = self.meter.requests
        self.progress(self.report)
