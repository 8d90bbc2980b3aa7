"""What Dagster is told before anything has run."""

import socket
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest
import sqlalchemy as sa

from brex_sync.cron import longest_gap
from brex_sync.marts.catalogue import load
from brex_sync.orchestration import checks, freshness
from brex_sync.orchestration.catalogue import entries
from brex_sync.orchestration.workflows import WAITING
from brex_sync.pages.panels import PANELS
from brex_sync.streams import EVENT_TABLES, STREAMS, VIEWS
from brex_sync.streams.declare import View
from brex_sync_tests.orchestration.conftest import Build

TABLES = entries(STREAMS.values())
SENSORS = ("first_sync", "report_closes", "webhooks")
HOUSEKEEPING = {
    "_raw": "jsonb",
    "_first_seen_at": "timestamptz",
    "_changed_at": "timestamptz",
    "_deleted_at": "timestamptz",
}


def specs(definitions: dg.Definitions) -> dict[str, dg.AssetSpec]:
    found = {spec.key: spec for spec in definitions.resolve_all_asset_specs()}
    return {key.path[-1]: spec for key, spec in found.items() if key.path[0] == "brex"}


def test_loading_touches_neither_database_nor_network(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("something was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(sa, "create_engine", refuse)
    definitions = build(BREX_SYNC_DATABASE_URL="postgresql://nobody@127.0.0.1:1/nothing")
    dg.Definitions.validate_loadable(definitions)


def test_every_stream_and_view_is_an_asset_of_its_connection(build: Build) -> None:
    keys = {tuple(spec.key.path) for spec in build().resolve_all_asset_specs()}
    others = ("webhook_events", "month_report")
    tables = {("brex", name) for name in (*TABLES, *EVENT_TABLES, *others)}
    assert keys == tables | {("brex_marts", name) for name in load().marts}


@pytest.mark.parametrize("name", TABLES)
def test_an_asset_says_what_it_is(build: Build, name: str) -> None:
    spec = specs(build())[name]
    assert spec.description == TABLES[name].table.description
    assert spec.group_name == TABLES[name].group
    assert spec.owners == ["team:finance-data"]
    assert spec.kinds == {"postgres", "view" if name in VIEWS else "brex"}
    assert spec.metadata["dagster/table_name"] == f"brex.{name}"


@pytest.mark.parametrize("name", TABLES)
def test_an_assets_columns_are_those_declared_all_described(build: Build, name: str) -> None:
    columns = specs(build())[name].metadata["dagster/column_schema"].columns
    table = TABLES[name].table
    declared = table.fields if isinstance(table, View) else table.fields()
    expected = {field.name: field.kind.value for field in declared}
    expected |= HOUSEKEEPING if name not in VIEWS else {}
    assert {column.name: column.type for column in columns} == expected
    assert all(column.description for column in columns)


def test_key_columns_are_never_null(build: Build) -> None:
    columns = specs(build())["cash_transactions"].metadata["dagster/column_schema"].columns
    firm = {column.name for column in columns if not column.constraints.nullable}
    assert firm == {"cash_account_id", "id", "_raw", "_first_seen_at", "_changed_at"}


def test_assets_depend_on_what_they_are_read_by(build: Build) -> None:
    deps = {
        name: {dep.asset_key.path[-1] for dep in spec.deps} for name, spec in specs(build()).items()
    }
    expected: dict[str, set[str]] = {name: set() for name in STREAMS}
    expected |= {child.name: {s.name} for s in STREAMS.values() for child in s.children}
    expected |= {name: set(view.sources) for name, view in VIEWS.items()}
    expected |= {"webhook_events": set()} | {name: {"webhook_events"} for name in EVENT_TABLES}
    expected |= {"month_report": {mart for panel in PANELS.values() for mart in panel.needs}}
    expected |= {
        "user_limits": {"users"},
        "cash_statements": {"cash_accounts"},
        "cash_transactions": {"cash_accounts"},
        "field_values": {"fields"},
        "bookings": {"trips"},
    }
    assert deps == expected


def test_deselected_streams_are_no_assets_and_no_source_of_a_view(build: Build) -> None:
    found = specs(build(BREX_SYNC_STREAMS="cards, cash_transactions"))
    views = {"accounts", "transactions", "late_changes"}
    tables = {"cards", "cash_accounts", "cash_transactions", "webhook_events", "month_report"}
    assert set(found) == tables | views
    sources = {dep.asset_key.path[-1] for dep in found["transactions"].deps}
    assert sources == {"cards", "cash_transactions"}


def test_every_table_has_its_checks_and_views_have_none(build: Build) -> None:
    found: dict[str, set[str]] = {}
    for key in build().resolve_asset_graph().asset_check_keys:
        if key.asset_key.path[0] == "brex_marts":
            continue
        found.setdefault(key.asset_key.path[-1], set()).add(key.name)
    always = {checks.KEYS, checks.QUARANTINE, checks.COUNTS}
    assert found == {
        name: always
        | ({checks.REFERENCES} if stream.references else set())
        | ({checks.STATEMENTS} if stream.statement else set())
        for name, stream in STREAMS.items()
    } | {child.name: {checks.KEYS} for stream in STREAMS.values() for child in stream.children}


def test_one_step_in_one_process_syncs_a_connection(build: Build) -> None:
    job = build().resolve_job_def("brex_sync")
    assert [node.name for node in job.nodes] == ["brex_tables"]
    assert job.executor_def.name == "in_process"
    assert job.nodes[0].definition.pool == "brex_brex"
    assert job.run_tags["dagster/retry_strategy"] == "FROM_ASSET_FAILURE"


def test_the_launchpad_explains_its_choices(build: Build) -> None:
    assets = {a.op.name: a for a in build().assets or [] if isinstance(a, dg.AssetsDefinition)}
    fields = assets["brex_tables"].op.config_schema.config_type.fields  # type: ignore[union-attr]
    assert {name: field.default_value for name, field in fields.items()} == {
        "full": False,
        "accept_deletions": False,
        "reconcile": False,
        "backfill": False,
        "since": None,
    }
    assert all(field.description for field in fields.values())


def test_schedules_and_sensors_run_without_a_click(build: Build) -> None:
    repository = build(BREX_SYNC_SCHEDULE="*/20 * * * *").get_repository_def()
    schedules = {s.name: s for s in repository.schedule_defs}
    assert set(schedules) == {
        "brex_schedule",
        "brex_reconcile_weekly",
        "brex_reconcile_monthly",
        "brex_report_monthly",
        "prune_runs_schedule",
    }
    assert schedules["brex_schedule"].cron_schedule == "*/20 * * * *"
    assert {s.default_status for s in schedules.values()} == {dg.DefaultScheduleStatus.RUNNING}
    sensors = {sensor.name: sensor for sensor in repository.sensor_defs}
    every = {name: sensor.minimum_interval_seconds for name, sensor in sensors.items()}
    assert every == {
        "brex_first_sync": 30,
        "brex_report_closes": 60,
        "brex_webhooks": 5,
        "interrupted_runs": 15,
        WAITING: 30,
    }
    assert {s.default_status for s in sensors.values()} == {dg.DefaultSensorStatus.RUNNING}


@pytest.mark.parametrize(
    ("name", "chosen"),
    [
        ("weekly", {"reconcile": True, "since": "2026-01-26"}),
        ("monthly", {"reconcile": True}),
    ],
)
def test_reconciliations_say_how_far_back_they_read(
    build: Build, name: str, chosen: dict[str, Any]
) -> None:
    repository = build().get_repository_def()
    schedule = repository.get_schedule_def(f"brex_reconcile_{name}")
    tick = datetime(2026, 4, 26, 4, 41, tzinfo=UTC)
    answer = schedule.evaluate_tick(dg.build_schedule_context(scheduled_execution_time=tick))
    [request] = answer.run_requests or []
    assert request.run_config == {"ops": {"brex_tables": {"config": chosen}}}
    assert dg.validate_run_config(repository.get_job("brex_sync"), request.run_config)


def test_every_job_proves_by_a_lease_that_it_lives(build: Build) -> None:
    repository = build().get_repository_def()
    jobs = [repository.get_job(name) for name in repository.job_names]
    assert len(jobs) > 10
    assert [
        j.name for j in jobs if "proves by a lease" not in str(j.executor_def.description)
    ] == []


def test_connections_lie_side_by_side(build: Build, tmp_path: Any) -> None:
    (tmp_path / "connections.yaml").write_text(
        "connections: {one: {configuration: sandbox}, two: {configuration: sandbox}}"
    )
    repository = build().get_repository_def()
    names = {"one", "one_marts", "two", "two_marts"}
    assert {key.path[0] for key in repository.asset_graph.get_all_asset_keys()} == names
    assert {"one_sync", "two_sync"} <= set(repository.job_names)
    expected = {f"{name}_{sensor}" for name in ("one", "two") for sensor in SENSORS}
    assert {s.name for s in repository.sensor_defs} == expected | {"interrupted_runs", WAITING}


@pytest.mark.parametrize(
    ("cron", "gap"),
    [
        ("0 * * * *", timedelta(hours=1)),
        ("0 6 * * *", timedelta(days=1)),
        ("0 9-17 * * 1-5", timedelta(days=2, hours=16)),
        ("* 8-18 * * 1-5", timedelta(days=2, hours=13, minutes=1)),
    ],
)
def test_freshness_knows_nights_and_weekends(cron: str, gap: timedelta) -> None:
    assert longest_gap(cron) == gap


@pytest.mark.parametrize(
    ("cron", "warn", "fail"),
    [("0 * * * *", 2, 3), ("*/5 * * * *", 2, 3), ("0 */6 * * *", 12, 18)],
)
def test_tables_are_late_after_two_gaps_and_stale_after_three(
    cron: str, warn: int, fail: int
) -> None:
    assert freshness.policy(cron) == dg.FreshnessPolicy.time_window(
        fail_window=timedelta(hours=fail), warn_window=timedelta(hours=warn)
    )
