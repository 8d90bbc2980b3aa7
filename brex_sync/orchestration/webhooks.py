"""A connection's webhook events: worked off by a sensor, and shown as an asset.

The sensor does the work within its tick, and starts no run: an event costs no process, and waits
no longer than a tick (docs/decisions/0008-webhooks.md).
"""

import asyncio
from collections import Counter
from datetime import datetime

import dagster as dg
import msgspec

from brex_sync.connections.declared import Connection
from brex_sync.databases import open_warehouse
from brex_sync.errors import BrexSyncError
from brex_sync.orchestration.assets import OWNERS
from brex_sync.orchestration.connection import GROUP
from brex_sync.orchestration.metadata import column_schema
from brex_sync.runtime.events import process_events, send_notifications
from brex_sync.runtime.streams import streams_of
from brex_sync.settings import Settings
from brex_sync.streams import EventTable
from brex_sync.warehouse import Warehouse
from brex_sync.warehouse.events import inbox, outbox
from brex_sync.warehouse.prepare.tables import prepare_internal
from brex_sync.warehouse.status import runs
from brex_sync.webhooks.events import EVENT_TYPES

LOOK_EVERY = 5
"""Seconds between two ticks."""
EVENTS, NOTIFICATIONS, ALL = 25.0, 10.0, 50.0
"""Seconds in which a tick takes up events, sends notifications, and is over: Dagster's are 60."""


class Seen(msgspec.Struct, frozen=True):
    """What the sensor has shown: how the inbox stood, and when the last event shown was done."""

    shown: dict[str, int] = msgspec.field(default_factory=dict)
    done_at: datetime | None = None


def key_of(connection: Connection) -> dg.AssetKey:
    """The asset that shows the inbox."""
    return dg.AssetKey([connection.name, "webhook_events"])


def sensor_name(connection: Connection) -> str:
    """The sensor that works events off."""
    return f"{connection.name}_webhooks"


def webhook_assets(settings: Settings, connection: Connection) -> list[dg.AssetSpec]:
    """The inbox, and the tables that events fill, none of which a run makes."""
    synced = {stream.name for stream in streams_of(settings, connection)}
    told = [
        _spec_of(connection, kind.table)
        for kind in EVENT_TYPES.values()
        if kind.table is not None and kind.stream.name in synced
    ]
    return [
        dg.AssetSpec(
            key=key_of(connection),
            description="Events that Brex sent to /webhooks/" + connection.name + ": how many "
            "deliveries were received, verified and refused, and how many events wait or are "
            "parked. What they tell of is fetched again within seconds.",
            group_name=GROUP,
            owners=OWNERS,
            kinds={"brex"},
        ),
        *told,
    ]


def _spec_of(connection: Connection, table: EventTable) -> dg.AssetSpec:
    return dg.AssetSpec(
        key=dg.AssetKey([connection.name, table.name]),
        deps=[key_of(connection)],
        description=table.description,
        group_name=table.group,
        owners=OWNERS,
        kinds={"postgres", "brex"},
        metadata={
            "dagster/table_name": f"{connection.name}.{table.name}",
            "dagster/column_schema": column_schema(table),
        },
    )


def webhook_sensor(settings: Settings, connection: Connection) -> dg.SensorDefinition:
    """Processes what is due, sends notifications, and shows the result."""

    @dg.sensor(
        name=sensor_name(connection),
        minimum_interval_seconds=LOOK_EVERY,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Fetches again what webhook events of {connection.name} told of, where the "
        "service has not done so already, and shows how many came. Starts no runs.",
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        seen = msgspec.json.decode(context.cursor, type=Seen) if context.cursor else Seen()
        try:
            with open_warehouse(settings, connection.name) as warehouse:
                fault = _work(settings, connection, warehouse)
                found = _look(warehouse, seen)
                if found.shown == seen.shown:
                    return dg.SkipReason(fault or "no events came")
                news, until = _news(warehouse, connection, found)
        except BrexSyncError as error:
            return dg.SkipReason(str(error))
        cursor = msgspec.json.encode(Seen(found.shown, until)).decode()
        return dg.SensorResult(asset_events=news, cursor=cursor, skip_reason=fault)

    return sensor


def _work(settings: Settings, connection: Connection, warehouse: Warehouse) -> str | None:
    """Processes what is due; returns what prevented that, as one sentence."""

    async def work() -> None:
        async with asyncio.timeout(ALL):
            await process_events(settings, connection, warehouse, EVENTS)
            await send_notifications(settings, warehouse.engine, NOTIFICATIONS)

    try:
        prepare_internal(warehouse.engine)
        asyncio.run(work())
    except BrexSyncError as error:
        return f"{connection.name}: {error}"
    except TimeoutError:
        return f"{connection.name}: Brex was not reached in time"
    return None


def _look(warehouse: Warehouse, seen: Seen) -> Seen:
    """How things stand, to be compared with what was shown."""
    stands = inbox.standing(warehouse)
    urls = outbox.not_taken(warehouse)
    shown = {
        "received": stands.received,
        "verified": stands.verified,
        "refused": stands.refused,
        "waiting": stands.waiting,
        "done": stands.done,
        "parked": stands.parked,
        "notifications_waiting": sum(url.waiting for url in urls),
        "notifications_given_up": sum(url.given_up for url in urls),
    }
    return Seen(shown, seen.done_at)


def _news(
    warehouse: Warehouse, connection: Connection, found: Seen
) -> tuple[list[dg.AssetObservation | dg.AssetMaterialization], datetime | None]:
    """What the UI shows: the inbox, and the tables touched since the last look; and until when.

    A table that syncs fill is observed and not materialised, as it is no fresher for one row.
    """
    by_type, until = inbox.done_since(warehouse, found.done_at)
    events: Counter[str] = Counter()
    told: Counter[str] = Counter()
    for name, count in by_type.items():
        kind = EVENT_TYPES[name]
        events[kind.stream.name] += count
        if kind.table is not None:
            told[kind.table.name] += count
    news: list[dg.AssetObservation | dg.AssetMaterialization] = [
        dg.AssetObservation(key_of(connection), metadata=dict(found.shown))
    ]
    for name, count in events.items():
        key = dg.AssetKey([connection.name, name])
        news.append(dg.AssetObservation(key, metadata={"webhook_events": count}))
    for name, count in told.items():
        rows = runs.row_count(warehouse, name)
        metadata = {"webhook_events": count, "dagster/row_count": rows}
        news.append(
            dg.AssetMaterialization(dg.AssetKey([connection.name, name]), metadata=metadata)
        )
    return news, until
