"""Ticks while a connection is busy, and runs that find it so."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, date, datetime
from typing import Any

import dagster as dg
import pytest
from dagster._core.remote_origin import (
    RegisteredCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.storage.dagster_run import DagsterRun

from brex_sync.sync.turns import Turn
from brex_sync_tests.conftest import Rig
from brex_sync_tests.orchestration.conftest import Build, Execute

Tick = Callable[[str], Any]
SUNDAY = datetime(2026, 11, 22, 4, 41, tzinfo=UTC)
UNFINISHED = ["QUEUED", "NOT_STARTED", "STARTING", "STARTED", "CANCELING"]
TICKS = ["brex_schedule", "brex_reconcile_weekly", "brex_reconcile_monthly", "brex_first_sync"]


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test() as made:
        yield made


@pytest.fixture
def tick(build: Build, database_url: str, instance: dg.DagsterInstance, rig: Rig) -> Tick:
    """What a schedule or sensor does now."""
    repository = build(BREX_SYNC_DATABASE_URL=database_url).get_repository_def()

    def evaluate(name: str) -> Any:
        if name == "brex_first_sync":
            return repository.get_sensor_def(name)(dg.build_sensor_context(instance))
        context = dg.build_schedule_context(instance, scheduled_execution_time=SUNDAY)
        return repository.get_schedule_def(name)(context)

    return evaluate


@contextmanager
def held(rig: Rig, run_id: str = "other") -> Iterator[None]:
    """Another run, of the command line, has the connection."""
    with asyncio.Runner() as runner, ExitStack() as stack:
        taken = Turn(rig.warehouse, run_id, "`brex-sync sync`").taken()
        runner.run(taken.__aenter__())
        stack.callback(lambda: runner.run(taken.__aexit__(None, None, None)))
        yield


def add(instance: dg.DagsterInstance, status: str, job: str = "brex_sync", **kw: Any) -> str:
    place = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("brex_sync"), "__repository__")
    origin = RemoteJobOrigin(place, job)
    run = DagsterRun(job, status=dg.DagsterRunStatus[status], remote_job_origin=origin, **kw)
    return instance.add_run(run).run_id


@pytest.mark.parametrize("name", TICKS)
def test_a_tick_skips_while_a_run_is_queued_or_under_way_and_names_it(
    tick: Tick, instance: dg.DagsterInstance, name: str
) -> None:
    for status in UNFINISHED:
        run_id = add(instance, status)
        skipped = tick(name)
        assert isinstance(skipped, dg.SkipReason)
        assert run_id in str(skipped.skip_message)
        instance.delete_run(run_id)
    chosen = frozenset({dg.AssetKey(["brex", "users"])})
    run_id = add(instance, "QUEUED", "__ASSET_JOB", asset_selection=chosen)
    assert run_id in str(tick(name).skip_message)


@pytest.mark.parametrize("name", TICKS)
def test_a_tick_skips_while_the_command_line_syncs_and_names_it(
    tick: Tick, rig: Rig, name: str
) -> None:
    with held(rig):
        told = str(tick(name).skip_message)
    assert "run other, started by `brex-sync sync` since 20" in told


def test_other_runs_stand_in_no_ticks_way(tick: Tick, instance: dg.DagsterInstance) -> None:
    add(instance, "SUCCESS")
    add(instance, "FAILURE")
    add(instance, "STARTED", "other_sync")
    for name in ("connection", "month_report"):
        chosen = frozenset({dg.AssetKey(["brex", name])})
        add(instance, "STARTED", "__ASSET_JOB", asset_selection=chosen)
    for name in TICKS:
        assert isinstance(tick(name), dg.RunRequest)


def test_the_first_sync_is_started_once_whichever_looks_first(
    tick: Tick, instance: dg.DagsterInstance, rig: Rig
) -> None:
    assert "brex_first_sync" in str(tick("brex_schedule").skip_message)
    assert isinstance(tick("brex_first_sync"), dg.RunRequest)
    run_id = add(instance, "QUEUED")
    for name in TICKS:
        assert run_id in str(tick(name).skip_message)
    instance.delete_run(run_id)
    add(instance, "FAILURE")
    assert isinstance(tick("brex_schedule"), dg.RunRequest), "what the sensor tried once, it leaves"


def test_a_reconciliation_that_was_skipped_is_asked_for_by_the_next_tick(
    tick: Tick, instance: dg.DagsterInstance, rig: Rig, execute: Execute
) -> None:
    add(instance, "SUCCESS")
    run_id = add(instance, "STARTED")
    assert "the next sync after it reconciles" in str(tick("brex_reconcile_weekly").skip_message)
    tick("brex_reconcile_monthly")
    instance.delete_run(run_id)
    for name, since in (("monthly", {}), ("monthly", {})):
        asked = tick("brex_schedule")
        config = asked.run_config["ops"]["brex_tables"]["config"]
        assert config == {"reconcile": True, **since}
        assert asked.tags["brex_sync/reconciliation"] == name
    execute("users", run_config=asked.run_config, tags=asked.tags)
    assert not tick("brex_schedule").run_config


def test_a_run_of_the_clock_gives_way_quietly_and_a_persons_says_who_has_the_connection(
    execute: Execute, company: Rig, tick: Tick, instance: dg.DagsterInstance
) -> None:
    weekly = {"reconcile": True, "since": "2026-08-24"}
    config = {"ops": {"brex_tables": {"config": weekly}}}
    tags = {"dagster/schedule_name": "brex_schedule", "brex_sync/reconciliation": "weekly"}
    with held(company):
        given_way = execute(run_config=config, tags=tags)
        asked = execute("users")
    assert given_way.success
    assert not given_way.get_asset_materialization_events()
    assert not asked.success
    [failed] = [e for e in asked.all_events if e.is_step_failure]
    told = failed.step_failure_data.error.message
    assert "Nothing was synced. brex is being synced by run other" in told
    assert not company.requests
    add(instance, "SUCCESS")
    due = tick("brex_schedule").run_config["ops"]["brex_tables"]["config"]
    assert due == {"reconcile": True, "since": str(date(2026, 8, 24))}
