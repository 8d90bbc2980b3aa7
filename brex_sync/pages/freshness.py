"""How fresh and how sure a connection's data is: what `brex-sync status` says, for a moment."""

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from brex_sync import cron
from brex_sync.connections.declared import Connection
from brex_sync.connections.health import Health
from brex_sync.runtime.health import check_health, last_run
from brex_sync.runtime.streams import streams_of
from brex_sync.settings import Settings
from brex_sync.sync import standing
from brex_sync.warehouse import Warehouse
from brex_sync.warehouse.database import clock
from brex_sync.warehouse.status import runs
from brex_sync.warehouse.status.reconciled import LastReconciliation, last_reconciliation

KEPT = 20.0
"""Seconds for which an answer is shown again: it takes hundreds of queries."""


@dataclass(frozen=True, slots=True)
class Freshness:
    """How a connection stands at a moment; `faults` are sentences, none where all is well."""

    at: datetime
    run: runs.LastRun | None
    streams: list[runs.StreamStatus]
    faults: list[str]
    health: Health
    reconciled: LastReconciliation | None

    @property
    def is_synced(self) -> bool:
        """Whether any stream was ever read to its end."""
        return any(stream.synced_at for stream in self.streams)

    @property
    def synced_at(self) -> datetime | None:
        """When the stream that is most behind was last synced; None where one never was."""
        moments = [one.synced_at for one in self.streams if not one.unavailable]
        known = [moment for moment in moments if moment is not None]
        return min(known) if known and len(known) == len(moments) else None

    @property
    def quarantined(self) -> int:
        """Items, fields and elements that could not be stored."""
        return sum(stream.quarantined for stream in self.streams)


def read_freshness(settings: Settings, connection: Connection, warehouse: Warehouse) -> Freshness:
    """Asks the warehouse.

    Raises:
        SettingsError: a stream that is named is none.
        PostgresError: the warehouse cannot be asked.
    """
    now = clock(warehouse)
    streams = streams_of(settings, connection)
    rows = [runs.status(warehouse, stream) for stream in streams]
    run = last_run(warehouse)
    pairs = zip(streams, rows, strict=True)
    return Freshness(
        now,
        run,
        rows,
        standing.faults(pairs, run, cron.longest_gap(settings.schedule), now),
        check_health(settings, connection, warehouse),
        last_reconciliation(warehouse),
    )


class FreshnessKeeper:
    """Answers from memory for KEPT seconds; one thread at a time asks the warehouse."""

    def __init__(
        self, settings: Settings, connections: Mapping[str, Connection], engine: sa.Engine
    ) -> None:
        self._settings = settings
        self._connections = connections
        self._engine = engine
        self._known: dict[str, tuple[float, Freshness]] = {}
        self._asking = threading.Lock()

    def of(self, connection: str) -> Freshness:
        """How a connection stands.

        Raises:
            SettingsError, PostgresError: as `read_freshness`.
        """
        with self._asking:
            until, found = self._known.get(connection, (0.0, None))
            if found is None or time.monotonic() >= until:
                warehouse = Warehouse(self._engine, connection)
                found = read_freshness(self._settings, self._connections[connection], warehouse)
                self._known[connection] = (time.monotonic() + KEPT, found)
            return found
