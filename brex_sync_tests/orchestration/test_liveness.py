"""A run of Dagster whose process is gone is ended, tried again first, and holds up nothing."""

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import sqlalchemy as sa
from dagster._core.remote_origin import (
    ManagedGrpcPythonEnvCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.test_utils import create_run_for_test
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin

from brex_sync.orchestration import liveness
from brex_sync.orchestration.liveness import KIND, dead_runs, end, leased_executor
from brex_sync.settings import Settings, load_settings
from brex_sync.warehouse.state import leases
from brex_sync.warehouse.state.leases import Terms
from brex_sync_tests.conftest import Rig, end_leases
from brex_sync_tests.orchestration.conftest import Build
from brex_sync_tests.waiting import wait_until

S = dg.DagsterRunStatus
HERE = "brex_sync"
CHECKOUT = Path(__file__).parents[2]


def origin(location: str) -> RemoteJobOrigin:
    target = LoadableTargetOrigin(module_name="brex_sync.definitions")
    return RemoteJobOrigin(
        RemoteRepositoryOrigin(
            ManagedGrpcPythonEnvCodeLocationOrigin(target, location), "__repository__"
        ),
        "brex_sync",
    )


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """Dagster with its storage in files: one in memory locks a table that two threads write."""
    with dg.DagsterInstance.local_temp(str(tmp_path)) as opened:
        yield opened


Launch = Callable[..., str]


def end_dead_runs(instance: dg.DagsterInstance, engine: sa.Engine, **options: Any) -> list[str]:
    return end(instance, engine, dead_runs(instance, engine, HERE, **options))


@pytest.fixture
def launch(instance: dg.DagsterInstance) -> Launch:
    """A run in a state, of this code location if no other is given."""

    def make(status: S, location: str = HERE) -> str:
        run = create_run_for_test(
            instance, "brex_sync", status=status, remote_job_origin=origin(location)
        )
        return run.run_id

    return make


@contextmanager
def died(engine: sa.Engine, run_id: str) -> Iterator[None]:
    """The lease of a run whose process is gone."""
    with leases.shared(engine, KIND, run_id, Terms(beat=1000)):
        end_leases(engine)
        yield


def states(instance: dg.DagsterInstance) -> dict[str, S]:
    return {run.run_id: run.status for run in instance.get_runs()}


@pytest.mark.parametrize(("before", "after"), [(S.STARTED, S.FAILURE), (S.CANCELING, S.CANCELED)])
def test_a_run_whose_lease_has_ended_is_ended(
    instance: dg.DagsterInstance, engine: sa.Engine, launch: Launch, before: S, after: S
) -> None:
    dead, living = launch(before), launch(before)
    with (
        leases.shared(engine, KIND, living),
        died(engine, dead),
        leases.shared(engine, KIND, living),
    ):
        assert end_dead_runs(instance, engine) == [dead]
        assert states(instance) == {dead: after, living: before}
        assert end_dead_runs(instance, engine) == []
        with engine.connect() as db:
            assert leases.known(db, KIND) == {living: True}


def test_a_dead_run_is_to_be_tried_again_before_what_waits(
    instance: dg.DagsterInstance, engine: sa.Engine, launch: Launch
) -> None:
    run_id = launch(S.STARTED)
    with died(engine, run_id):
        end_dead_runs(instance, engine)
    run = instance.get_run_by_id(run_id)
    assert run is not None
    assert run.tags["dagster/failure_reason"] == "UNEXPECTED_TERMINATION"
    assert int(run.tags["dagster/priority"]) > 0


def test_a_dead_run_gives_its_places_in_pools_back(
    engine: sa.Engine, tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(CHECKOUT / "dagster.yaml", tmp_path)
    monkeypatch.setenv("DAGSTER_POSTGRES_URL", database_url)
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        storage = instance.event_log_storage
        dead = create_run_for_test(
            instance, "brex_sync", status=S.STARTED, remote_job_origin=origin(HERE)
        )
        storage.set_concurrency_slots("brex_brex", 1)
        assert storage.claim_concurrency_slot("brex_brex", dead.run_id, "step").is_claimed
        with died(engine, dead.run_id):
            assert end_dead_runs(instance, engine) == [dead.run_id]
        assert storage.claim_concurrency_slot("brex_brex", "another", "step").is_claimed


def test_a_run_that_never_took_a_lease_is_given_time_to(
    instance: dg.DagsterInstance, engine: sa.Engine, launch: Launch
) -> None:
    run_id = launch(S.STARTED)
    assert end_dead_runs(instance, engine) == []
    wait_until(lambda: end_dead_runs(instance, engine, grace=0.01) == [run_id])


@pytest.mark.parametrize("state", [S.QUEUED, S.NOT_STARTED, S.STARTING, S.SUCCESS])
def test_what_has_not_started_or_has_ended_is_left_alone(
    instance: dg.DagsterInstance, engine: sa.Engine, launch: Launch, state: S
) -> None:
    run_id = launch(state)
    assert end_dead_runs(instance, engine, grace=0) == []
    assert states(instance) == {run_id: state}


def test_after_a_restart_what_was_being_launched_is_dead_too_and_what_waits_is_not(
    instance: dg.DagsterInstance, engine: sa.Engine, launch: Launch
) -> None:
    starting, started, queued = launch(S.STARTING), launch(S.STARTED), launch(S.QUEUED)
    living = launch(S.STARTED)
    with leases.shared(engine, KIND, living):
        ended = end_dead_runs(instance, engine, restarted=True)
    assert set(ended) == {starting, started}
    assert states(instance) == {
        starting: S.FAILURE, started: S.FAILURE, queued: S.QUEUED, living: S.STARTED
    }  # fmt: skip


def test_runs_of_other_code_are_none_of_ours(
    instance: dg.DagsterInstance, engine: sa.Engine, launch: Launch
) -> None:
    theirs = launch(S.STARTED, "theirs")
    assert end_dead_runs(instance, engine, restarted=True) == []
    assert states(instance) == {theirs: S.STARTED}


def test_a_run_that_is_heard_of_at_the_last_moment_goes_on(
    instance: dg.DagsterInstance,
    engine: sa.Engine,
    launch: Launch,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run_id = launch(S.STARTED)
    look = leases.known
    with leases.shared(engine, KIND, run_id, Terms(beat=1000)) as lease:
        end_leases(engine)

        def known_too_early(db: sa.Connection, kind: str) -> dict[str, bool]:
            found = look(db, kind)
            lease.confirm()
            return found

        monkeypatch.setattr(leases, "known", known_too_early)
        assert end_dead_runs(instance, engine) == []
        assert states(instance) == {run_id: S.STARTED}
        lease.confirm()


def test_the_sensor_ends_dead_runs_and_says_in_the_log_that_they_were_interrupted(
    instance: dg.DagsterInstance, build: Build, rig: Rig, database_url: str, launch: Launch
) -> None:
    rig.sync("titles")
    rig.rows("SELECT 1")
    with rig.engine.begin() as db:
        db.exec_driver_sql("UPDATE brex_sync.runs SET state = 'running', finished_at = NULL")
    repository = build(BREX_SYNC_DATABASE_URL=database_url).get_repository_def()
    [sensor] = [s for s in repository.sensor_defs if s.name == "interrupted_runs"]
    run_id = launch(S.STARTED)
    context = dg.build_sensor_context(instance, repository_def=repository)
    context._code_location_origin = origin(HERE).repository_origin.code_location_origin
    with died(rig.engine, run_id):
        sensor(context)
        assert states(instance) == {run_id: S.STARTED}, "one look is not enough"
        told = sensor(context)
    assert isinstance(told, dg.SkipReason)
    assert run_id in str(told.skip_message)
    assert states(instance) == {run_id: S.FAILURE}
    assert rig.rows("SELECT state, finished_at IS NULL FROM brex_sync.runs") == [
        ("interrupted", False)
    ]


seen: dict[str, Any] = {}


@dg.op
def work(context: dg.OpExecutionContext) -> None:
    seen["during"] = seen["look"](context.run_id)


def make_job() -> dg.JobDefinition:
    @dg.job(executor_def=leased_executor(seen["settings"], Terms(beat=0.05)))
    def working() -> None:
        work()

    return working


@pytest.fixture
def settings(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("BREX_SYNC_DATABASE_URL", database_url)
    load_settings.cache_clear()
    return load_settings()


def execute(
    instance: dg.DagsterInstance, settings: Settings, look: Callable[[str], Any], **kw: Any
) -> dg.JobExecutionResult:
    seen.clear()
    seen.update(settings=settings, look=look)
    job = dg.reconstructable(make_job)
    return dg.execute_job(job, instance, raise_on_error=False, **kw)


def test_a_run_holds_a_lease_while_it_executes_and_leaves_it_to_end_by_itself(
    instance: dg.DagsterInstance, engine: sa.Engine, settings: Settings
) -> None:
    def look(run_id: str) -> bool:
        with engine.connect() as db:
            return leases.is_alive(db, KIND, run_id)

    result = execute(instance, settings, look)
    assert result.success
    assert seen["during"]
    assert look(result.run_id)
    end_leases(engine)
    assert end_dead_runs(instance, engine) == []
    with engine.connect() as db:
        assert leases.known(db, KIND) == {}


def test_a_run_that_was_taken_for_dead_is_interrupted(
    instance: dg.DagsterInstance, engine: sa.Engine, settings: Settings
) -> None:
    def be_taken_for_dead(run_id: str) -> None:
        with engine.begin() as db:
            db.exec_driver_sql("DELETE FROM brex_sync.leases")
        run = instance.get_run_by_id(run_id)
        assert run is not None
        assert liveness._end(instance, engine, run)
        wait_until(lambda: time.sleep(0.05))

    result = execute(instance, settings, be_taken_for_dead)
    assert not result.success
    run = instance.get_run_by_id(result.run_id)
    assert run is not None
    assert run.status is S.FAILURE
    assert "during" not in seen
    assert run.tags["dagster/failure_reason"] == "UNEXPECTED_TERMINATION"


def test_where_the_warehouse_cannot_be_reached_the_run_says_so_itself(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BREX_SYNC_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    load_settings.cache_clear()
    result = execute(instance, load_settings(), lambda _: "ran")
    assert result.success
    told = [e.message for e in instance.all_logs(result.run_id)]
    assert any("This run holds no lease: Postgres: " in line for line in told)
