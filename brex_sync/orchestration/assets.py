"""A connection's tables and views as assets, all made by one step in one process."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import dagster as dg
import sqlalchemy as sa

from brex_sync.app import open_engine, open_sync
from brex_sync.connections import Connection
from brex_sync.orchestration import checks, metadata
from brex_sync.settings import Settings
from brex_sync.streams import STREAMS, VIEWS
from brex_sync.streams.declare import Stream, View
from brex_sync.sync.report import Report, StreamReport
from brex_sync.warehouse import runs

OWNERS = ["team:finance-data"]
FRESHNESS = dg.FreshnessPolicy.time_window(
    fail_window=timedelta(hours=6), warn_window=timedelta(hours=2)
)
PICTURED = "transactions"
"""Tables of this group show spend over the last weeks."""


class SyncConfig(dg.Config):
    """What a person may choose in the launchpad."""

    full: bool = False
    """Read every list from its beginning, instead of from the watermark less the overlap."""
    accept_deletions: bool = False
    """Mark rows missing at Brex as deleted, however many they are."""


def job_name(connection: Connection) -> str:
    """The job that syncs a connection."""
    return f"{connection.name}_sync"


def connection_assets(settings: Settings, connection: Connection) -> dg.AssetsDefinition:
    """The assets of one connection, under its name, as one subsettable step."""

    def key(name: str) -> dg.AssetKey:
        return dg.AssetKey([connection.name, name])

    declared: list[Stream | View] = [*STREAMS.values(), *VIEWS.values()]

    @dg.multi_asset(
        name=f"{connection.name}_tables",
        specs=[_spec(connection, table) for table in declared],
        check_specs=[c for s in STREAMS.values() for c in checks.specs(key(s.name), s)],
        can_subset=True,
        pool=f"brex_{connection.name}",
    )
    def tables(
        context: dg.AssetExecutionContext, config: SyncConfig
    ) -> Iterator[dg.MaterializeResult[None]]:
        names = {asset.path[-1] for asset in context.selected_asset_keys}
        wanted = [stream for stream in STREAMS.values() if stream.name in names]
        report = _sync(context, settings, connection, config, wanted)
        engine = open_engine(settings)
        try:
            for stream in wanted:
                done = report.streams.get(stream.name, StreamReport(stream.name))
                if done.finished:
                    yield _table_result(engine, connection, key(stream.name), stream, done)
            for view in VIEWS.values():
                if view.name in names and not _failed(report, view):
                    yield _view_result(engine, connection, key(view.name), view)
        finally:
            engine.dispose()
        if report.failed:
            told = "\n".join(f"{s.stream}: {s.error}" for s in report.failed)
            raise dg.Failure(
                f"{len(report.failed)} of {len(report.streams)} streams were not read to their "
                f"end; the others stand.\n{told}"
            )

    return tables


def _spec(connection: Connection, table: Stream | View) -> dg.AssetSpec:
    sources: list[str] = []
    if isinstance(table, View):
        sources = list(table.sources)
    elif table.per is not None:
        sources = [table.per.stream]
    return dg.AssetSpec(
        key=[connection.name, table.name],
        deps=[dg.AssetKey([connection.name, source]) for source in sources],
        description=table.description,
        group_name=table.group,
        kinds={"postgres", "view"} if isinstance(table, View) else {"postgres", "brex"},
        owners=OWNERS,
        freshness_policy=FRESHNESS,
        metadata={
            "dagster/column_schema": metadata.column_schema(table),
            "dagster/table_name": f"{connection.name}.{table.name}",
        },
    )


def _sync(
    context: dg.AssetExecutionContext,
    settings: Settings,
    connection: Connection,
    config: SyncConfig,
    streams: list[Stream],
) -> Report:
    """Syncs the streams, less those that an earlier attempt of an automatic retry finished."""
    run_id = context.run.root_run_id or context.run.run_id
    if "dagster/retry_number" in context.run.tags:
        engine = open_engine(settings)
        finished = runs.finished_in(engine, run_id)
        engine.dispose()
        streams = [stream for stream in streams if stream.name not in finished]

    def progress(report: StreamReport) -> None:
        context.log.debug(f"{report.stream}: {report.fetched:,} rows fetched")

    async def run() -> Report:
        async with open_sync(
            settings,
            connection,
            progress=progress,
            run_id=run_id,
            full=config.full,
            accept_deletions=config.accept_deletions,
        ) as sync:
            return await sync.run(streams)

    report = asyncio.run(run())
    for stream in report.streams.values():
        told = stream.error or f"{stream.fetched:,} rows fetched, {stream.inserted:,} new"
        (context.log.error if stream.error else context.log.info)(f"{stream.stream}: {told}")
    return report


def _failed(report: Report, view: View) -> bool:
    return any(s.stream in view.sources for s in report.failed)


def _table_result(
    engine: sa.Engine,
    connection: Connection,
    key: dg.AssetKey,
    stream: Stream,
    report: StreamReport,
) -> dg.MaterializeResult[None]:
    live = runs.status(engine, connection.name, stream).live
    shown = dict(metadata.of_report(report, live))
    if stream.group == PICTURED:
        shown["spend"] = metadata.spend_picture(runs.weekly_spend(engine, connection.name))
    return dg.MaterializeResult(
        asset_key=key,
        metadata=shown,
        check_results=list(checks.results(engine, connection.name, key, stream, report)),
    )


def _view_result(
    engine: sa.Engine, connection: Connection, key: dg.AssetKey, view: View
) -> dg.MaterializeResult[None]:
    shown: dict[str, Any] = {"dagster/row_count": runs.view_rows(engine, connection.name, view)}
    if view.group == PICTURED:
        shown["spend"] = metadata.spend_picture(runs.weekly_spend(engine, connection.name))
    return dg.MaterializeResult(asset_key=key, metadata=shown)
