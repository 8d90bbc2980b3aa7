"""A connection's tables and views as assets, all made by one step in one process."""

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import dagster as dg
from pydantic import Field

from brex_sync.connections.declared import Connection
from brex_sync.databases import open_warehouse
from brex_sync.errors import BrexSyncError, ConnectionBusy, SettingsError
from brex_sync.marts.catalogue import MartCatalogue
from brex_sync.marts.standing import MartStanding
from brex_sync.orchestration import checks, freshness, marts, metadata, turns
from brex_sync.orchestration.catalogue import CatalogueEntry, entries
from brex_sync.orchestration.schedules import RECONCILIATION, step_name
from brex_sync.runtime.marts import keep_marts, marts_of
from brex_sync.runtime.streams import streams_of
from brex_sync.runtime.syncing import open_sync, turn
from brex_sync.settings import Settings
from brex_sync.streams.declare import Child, Stream, View
from brex_sync.sync.asked import in_vain
from brex_sync.sync.read.reading import Options
from brex_sync.sync.report import Report, StreamReport
from brex_sync.warehouse import Warehouse
from brex_sync.warehouse.state import postponed, run_log
from brex_sync.warehouse.state.run_log import RunKind
from brex_sync.warehouse.status import runs

OWNERS = ["team:finance-data"]
PICTURED = "transactions"
"""Tables of this group show spend over the last weeks."""

Result = dg.MaterializeResult[None] | dg.AssetCheckResult


class SyncConfig(dg.Config):
    """What a person may choose in the launchpad."""

    full: bool = Field(
        default=False,
        description="Read every list from its beginning, instead of from the watermark less the "
        "overlap.",
    )
    accept_deletions: bool = Field(
        default=False,
        description="Mark rows missing at Brex as deleted, however many they are.",
    )
    reconcile: bool = Field(
        default=False,
        description="Bring every list up to date, then read it again from its beginning, or from "
        "the date in `since`; mend and show what differed.",
    )
    backfill: bool = Field(
        default=False,
        description="Bring every list up to date, then read it again from its beginning, or from "
        "the date in `since`. Interrupted, the next run goes on with it.",
    )
    since: str | None = Field(
        default=None,
        description="With `reconcile` or `backfill`: only rows from this date on (YYYY-MM-DD).",
    )

    def options(self) -> Options:
        """What they mean to the engine.

        Raises:
            SettingsError: a date is none, or nothing is to be done from it on.
        """
        if self.since and not (self.reconcile or self.backfill):
            raise SettingsError("since: it goes with `reconcile` or `backfill`, and neither is set")
        try:
            since = date.fromisoformat(self.since) if self.since else None
        except ValueError:
            raise SettingsError(f"since: {self.since!r} is no date such as 2026-11-24") from None
        return Options(
            full=self.full,
            since=since,
            compare=self.reconcile,
            backfill=self.backfill,
            accept_deletions=self.accept_deletions,
        )


def connection_assets(settings: Settings, connection: Connection) -> dg.AssetsDefinition:
    """The assets of one connection, its tables under its name and its marts under that of their
    schema, as one subsettable step."""
    tables = entries(streams_of(settings, connection))
    catalogue = marts_of(settings)
    fresh = freshness.policy(settings.schedule)

    @dg.multi_asset(
        name=step_name(connection),
        specs=[
            *(_spec(connection, entry, fresh) for entry in tables.values()),
            *marts.specs(connection.name, catalogue, tables.keys()),
        ],
        check_specs=[
            *(
                spec
                for name, entry in tables.items()
                if not isinstance(entry.table, View)
                for spec in checks.specs(_key(connection, name), entry.table)
            ),
            *marts.check_specs(connection.name, catalogue, tables.keys()),
        ],
        can_subset=True,
        pool=f"brex_{connection.name}",
    )
    def sync_tables(context: dg.AssetExecutionContext, config: SyncConfig) -> Iterator[Result]:
        keys = context.selected_asset_keys
        selected = {key.path[-1] for key in keys if not marts.is_mart(connection.name, key)}
        wanted = catalogue if _asks_for_marts(context, connection) else None
        try:
            streams = {
                e.stream.name: e.stream for n, e in tables.items() if e.stream and n in selected
            }
            report, kept = _sync(context, settings, connection, config, streams, wanted)
        except ConnectionBusy as busy:
            _give_way(context, settings, connection, config, busy)
            return
        except BrexSyncError as error:
            raise dg.Failure(f"Nothing was synced. {error}") from None
        with open_warehouse(settings, connection.name) as warehouse:
            yield from RunResults(warehouse, connection, context, report).of(tables, selected)
            asked = (keys, context.selected_asset_check_keys)
            yield from marts.results(warehouse, catalogue, kept, *asked)
        _raise_if_any_failed(report)

    return sync_tables


def _asks_for_marts(context: dg.AssetExecutionContext, connection: Connection) -> bool:
    checked = (check.asset_key for check in context.selected_asset_check_keys)
    return any(
        marts.is_mart(connection.name, key) for key in (*context.selected_asset_keys, *checked)
    )


def _key(connection: Connection, name: str) -> dg.AssetKey:
    return dg.AssetKey([connection.name, name])


def _spec(connection: Connection, entry: CatalogueEntry, fresh: dg.FreshnessPolicy) -> dg.AssetSpec:
    """The asset of a table or view; a stream that can't be read is left out of a run's results."""
    table = entry.table
    return dg.AssetSpec(
        key=_key(connection, table.name),
        deps=[_key(connection, source) for source in entry.sources],
        skippable=True,
        description=table.description,
        group_name=entry.group,
        kinds={"postgres", "view"} if isinstance(table, View) else {"postgres", "brex"},
        owners=OWNERS,
        freshness_policy=fresh,
        metadata=metadata.declared(connection.name, entry),
    )


def _sync(
    context: dg.AssetExecutionContext,
    settings: Settings,
    connection: Connection,
    config: SyncConfig,
    selected: dict[str, Stream],
    catalogue: MartCatalogue | None,
) -> tuple[Report, dict[str, MartStanding]]:
    """Syncs the streams selected, and then brings the marts up to date, if there is a catalogue of
    them; with no streams, it still makes sure that tables and views exist."""
    started_by = turns.started_by(context.run.tags)
    options = config.options()
    run_id = context.run.get_root_run_id() or context.run.run_id
    done = _finished_before(context, settings, connection, run_id)
    streams = [stream for name, stream in selected.items() if name not in done]
    if told := in_vain(options, streams, datetime.now(UTC).date()):
        raise SettingsError(told)

    def progress(report: StreamReport) -> None:
        context.log.debug(f"{report.stream}: {report.fetched:,} rows fetched")

    async def run() -> tuple[Report, dict[str, MartStanding]]:
        async with (
            turn(settings, connection, run_id, started_by),
            open_sync(
                settings,
                connection,
                progress=progress,
                run_id=run_id,
                kind=_kind(options, context.run.tags),
                options=options,
            ) as sync,
        ):
            if RECONCILIATION in context.run.tags:
                await sync.warehouse.call(postponed.done, options.since)
            done = await sync.run(streams)
            if catalogue is None:
                return done, {}
            return done, await sync.warehouse.call(keep_marts, catalogue)

    report, kept = asyncio.run(run())
    for stream in report.streams.values():
        _tell(context.log, stream)
    for name, stand in kept.items():
        if stand.fault:
            context.log.warning(f"The mart {name}: {stand.fault}")
    return report, kept


def _kind(options: Options, tags: Mapping[str, str]) -> RunKind:
    """What a run is for, by what it does, or else by what started it: the clock, or a person."""
    if options.compare:
        return RunKind.RECONCILE
    if options.backfill:
        return RunKind.BACKFILL
    return RunKind.SCHEDULE if turns.by_itself(tags) else RunKind.MANUAL


def _give_way(
    context: dg.AssetExecutionContext,
    settings: Settings,
    connection: Connection,
    config: SyncConfig,
    busy: ConnectionBusy,
) -> None:
    """Ends a run whose connection another one has: quietly if the clock began it.

    Raises:
        dg.Failure: a person began it.
    """
    if not turns.by_itself(context.run.tags):
        raise dg.Failure(f"Nothing was synced. {busy}") from None
    if name := context.run.tags.get(RECONCILIATION):
        with open_warehouse(settings, connection.name, prepared=True) as warehouse:
            postponed.put(warehouse, name, config.options().since)
    context.log.warning(f"Nothing was synced. {busy}")


def _tell(log: dg.DagsterLogManager, report: StreamReport) -> None:
    if report.error:
        log.error(f"{report.stream}: {report.error}")
    elif report.unavailable:
        log.warning(f"{report.stream} is unavailable: {report.unavailable}")
    else:
        log.info(f"{report.stream}: {report.fetched:,} rows fetched, {report.inserted:,} new")
    for notice in report.notices:
        log.warning(f"{report.stream}: {notice}")


def _finished_before(
    context: dg.AssetExecutionContext, settings: Settings, connection: Connection, run_id: str
) -> set[str]:
    """Streams an earlier attempt finished, if what failed of a run is tried again: by Dagster
    itself after a crash, or by a person from the point of failure."""
    if not context.run.tags.keys() & {"dagster/retry_number", "dagster/is_resume_retry"}:
        return set()
    with open_warehouse(settings, connection.name) as warehouse:
        return run_log.finished_in(warehouse, run_id)


def _raise_if_any_failed(report: Report) -> None:
    if report.failed:
        told = "\n".join(f"{s.stream}: {s.error}" for s in report.failed)
        raise dg.Failure(
            f"{len(report.failed)} of {len(report.streams)} streams were not read to their end; "
            f"the others stand.\n{told}"
        )


@dataclass(frozen=True, slots=True)
class RunResults:
    """What a run tells Dagster about the assets and checks it was asked for."""

    warehouse: Warehouse
    connection: Connection
    context: dg.AssetExecutionContext
    report: Report

    def of(self, tables: dict[str, CatalogueEntry], selected: set[str]) -> Iterator[Result]:
        """Results of what was selected and synced, and of checks selected by themselves."""
        failed = {stream.stream for stream in self.report.failed}
        for name, entry in tables.items():
            if isinstance(entry.table, View):
                if name in selected and not failed & set(entry.sources):
                    yield self._view(entry.table)
            elif entry.stream is not None:
                yield from self._stream(entry.table, entry.stream, name in selected)

    def _stream(self, table: Stream | Child, stream: Stream, selected: bool) -> Iterator[Result]:
        report = self.report.streams.get(stream.name, StreamReport(stream.name))
        if not selected or report.unavailable:
            yield from self._checks(table)
        elif report.finished:
            yield self._table(table, stream, report)

    def _table(
        self, table: Stream | Child, stream: Stream, report: StreamReport
    ) -> dg.MaterializeResult[None]:
        if isinstance(table, Child):
            rows = runs.child_rows(self.warehouse, table)
            return dg.MaterializeResult(
                asset_key=_key(self.connection, table.name),
                metadata={"dagster/row_count": rows},
                check_results=list(self._checks(table)),
            )
        status = runs.status(self.warehouse, stream)
        return dg.MaterializeResult(
            asset_key=_key(self.connection, stream.name),
            metadata=metadata.of_report(report, status) | self._picture(stream),
            check_results=list(self._checks(stream, report.doubt)),
        )

    def _view(self, view: View) -> dg.MaterializeResult[None]:
        rows = runs.view_rows(self.warehouse, view)
        return dg.MaterializeResult(
            asset_key=_key(self.connection, view.name),
            metadata={"dagster/row_count": rows} | self._picture(view),
        )

    def _checks(
        self, table: Stream | Child, doubt: str | None = None
    ) -> Iterator[dg.AssetCheckResult]:
        key = _key(self.connection, table.name)
        wanted = self.context.selected_asset_check_keys
        names = {check.name for check in wanted if check.asset_key == key}
        if names:
            yield from checks.results(self.warehouse, key, table, names, doubt)

    def _picture(self, table: Stream | View) -> dict[str, Any]:
        if table.group != PICTURED:
            return {}
        return {"spend": metadata.spend_picture(runs.weekly_spend(self.warehouse))}
