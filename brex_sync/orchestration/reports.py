"""The report of a month as an asset, made after the month's end and after each close."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import msgspec
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition
from pydantic import Field

from brex_sync.connections.declared import Connection
from brex_sync.databases import open_database, open_warehouse
from brex_sync.errors import BrexSyncError
from brex_sync.folders import make_home, make_private
from brex_sync.orchestration import marts
from brex_sync.orchestration.assets import OWNERS
from brex_sync.orchestration.catalogue import entries
from brex_sync.orchestration.metadata import report_picture
from brex_sync.pages.filters import months_before, parse_month
from brex_sync.pages.panels import PANELS
from brex_sync.pages.report import MonthReport, month_report, write
from brex_sync.runtime.marts import marts_of
from brex_sync.runtime.streams import streams_of
from brex_sync.settings import Settings
from brex_sync.warehouse.state import closes

MONTHLY = "0 6 5 * *"
LOOK_EVERY = 60
"""Seconds between two looks at the closed months."""


class ReportConfig(dg.Config):
    """What a person may choose in the launchpad."""

    month: str | None = Field(
        default=None, description="The month (YYYY-MM); by default the last one that is over."
    )


def key_of(connection: Connection) -> dg.AssetKey:
    """The asset that is the report."""
    return dg.AssetKey([connection.name, "month_report"])


def job_name(connection: Connection) -> str:
    """The job that makes a report."""
    return f"{connection.name}_month_report"


def _step_name(connection: Connection) -> str:
    return f"{connection.name}_make_report"


def report_asset(settings: Settings, connection: Connection) -> dg.AssetsDefinition:
    """Writes a month's report into the home, and shows its headlines."""

    @dg.multi_asset(
        name=_step_name(connection),
        specs=[
            dg.AssetSpec(
                key=key_of(connection),
                deps=list(_deps(settings, connection)),
                description=f"The company's page of a month as one file, "
                f"{_path(settings, connection, '2026-10').name} in the folder `reports` of "
                "BREX_SYNC_HOME, which only its owner can read.",
                group_name="reports",
                owners=OWNERS,
                kinds={"html"},
            )
        ],
    )
    def make(context: dg.AssetExecutionContext, config: ReportConfig) -> dg.MaterializeResult[None]:
        try:
            report, path = _make(settings, connection, config.month)
        except BrexSyncError as error:
            raise dg.Failure(f"No report was made: {error.sentence}") from None
        if report.lacks:
            context.log.warning(report.lacks)
        return dg.MaterializeResult(asset_key=key_of(connection), metadata=_metadata(report, path))

    return make


def report_job(connection: Connection, report: dg.AssetsDefinition) -> UnresolvedAssetJobDefinition:
    """The job that makes the report of one month."""
    return dg.define_asset_job(
        job_name(connection),
        selection=dg.AssetSelection.assets(report),
        description=f"Makes the report of a month of {connection.name}.",
    )


def report_schedule(connection: Connection) -> dg.ScheduleDefinition:
    """Makes the report of each month once it is over, and late lines have come."""

    @dg.schedule(
        name=f"{connection.name}_report_monthly",
        job_name=job_name(connection),
        cron_schedule=MONTHLY,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=f"Makes the report of {connection.name} of the month before.",
    )
    def tick(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        return dg.RunRequest(
            run_config=_config(connection, _month_before(context.scheduled_execution_time.date()))
        )

    return tick


def close_sensor(settings: Settings, connection: Connection) -> dg.SensorDefinition:
    """Makes the report of a month whose books were closed, once for each close.

    Its cursor holds the closes that have their report. A tick starts one run, so that many closes
    do not make as many processes at once.
    """

    @dg.sensor(
        name=f"{connection.name}_report_closes",
        job_name=job_name(connection),
        minimum_interval_seconds=LOOK_EVERY,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Makes the report of a month of {connection.name} after `brex-sync close`.",
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        seen = msgspec.json.decode(context.cursor or "{}", type=dict[date, datetime])
        try:
            with open_warehouse(settings, connection.name, prepared=True) as warehouse:
                noted = closes.noted(warehouse)
        except BrexSyncError as error:
            return dg.SkipReason(str(error))
        month = next((one for one, at in noted.items() if seen.get(one) != at), None)
        if month is None:
            return dg.SkipReason(f"{connection.name}: every close has its report")
        request = dg.RunRequest(
            run_key=f"{month:%Y-%m}, closed at {noted[month].isoformat()}",
            run_config=_config(connection, month),
        )
        cursor = msgspec.json.encode({**seen, month: noted[month]}).decode()
        return dg.SensorResult([request], cursor=cursor)

    return sensor


def _deps(settings: Settings, connection: Connection) -> Iterator[dg.AssetKey]:
    needed = {mart for panel in PANELS.values() for mart in panel.needs}
    tables = entries(streams_of(settings, connection)).keys()
    for mart in marts.chosen(marts_of(settings), tables):
        if mart.name in needed:
            yield marts.key_of(connection.name, mart.name)


def _make(
    settings: Settings, connection: Connection, month: str | None
) -> tuple[MonthReport, Path]:
    first = parse_month(month) if month else _month_before(datetime.now(UTC).date())
    with open_database(settings, prepared=True) as engine:
        report = month_report(settings, connection, engine, first)
    path = _path(settings, connection, f"{first:%Y-%m}")
    make_home(settings.home)
    make_private(path.parent)
    write(path, report.html)
    return report, path


def _path(settings: Settings, connection: Connection, month: str) -> Path:
    return settings.home / "reports" / f"{connection.name}-{month}.html"


def _config(connection: Connection, month: date) -> dict[str, Any]:
    return {"ops": {_step_name(connection): {"config": {"month": f"{month:%Y-%m}"}}}}


def _month_before(day: date) -> date:
    return months_before(day.replace(day=1), 1)


def _metadata(report: MonthReport, path: Path) -> dict[str, Any]:
    return {
        "path": dg.MetadataValue.path(path),
        "month": f"{report.month:%Y-%m}",
        "bytes": path.stat().st_size,
        "picture": report_picture(report),
    }
