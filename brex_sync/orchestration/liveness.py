"""Runs of Dagster that hold a lease while their process lives, and the end of those that died.

Dagster's default launcher has no health check, and knows nothing of a run once its code server is
gone: a run whose worker was killed would stay STARTED and keep its pool for ever. So each run holds
a lease in the warehouse, whatever launched it (docs/decisions/0013-interrupted-runs.md).
"""

import json
import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Any

import dagster as dg
import sqlalchemy as sa
from dagster._core.events import DagsterEvent, EngineEventData, JobFailureData, RunFailureReason
from dagster._core.execution.context.system import PlanOrchestrationContext
from dagster._core.execution.plan.plan import ExecutionPlan
from dagster._core.execution.retries import RetryMode
from dagster._core.execution.step_dependency_config import StepDependencyConfig
from dagster._core.storage.dagster_run import DagsterRun, RunRecord
from dagster._core.storage.tags import PRIORITY_TAG

from brex_sync.databases import open_database
from brex_sync.errors import BrexSyncError
from brex_sync.settings import Settings
from brex_sync.warehouse.state import leases, run_log
from brex_sync.warehouse.state.leases import TERMS, Terms

KIND = "dagster run"
"""Leases by the ids of Dagster's runs, of which each attempt has its own."""
LOOK_EVERY = 15
"""Seconds between two looks: with a lease's length, a dead run is found within about a minute."""
GRACE = 60.0
"""Seconds within which a run that has started takes its lease. One that is slower than that is
failed wrongly, and does not begin (`Leased`): that costs an attempt, and nothing else."""
RETRIED_FIRST = "10"
"""Priority of a retry in the queue: above what was queued behind the run that died."""

_DIED = "The process of this run is gone: its lease ended, or was never taken."


def leased_executor(settings: Settings, terms: Terms = TERMS) -> dg.ExecutorDefinition:
    """Dagster's in-process executor, holding the run's lease while it executes."""
    inner = dg.in_process_executor

    def make(context: dg.InitExecutorContext) -> dg.Executor:
        if inner.executor_creation_fn is None:
            raise AssertionError("unreachable: Dagster's own executor can be made")
        return Leased(inner.executor_creation_fn(context), settings, terms)

    return dg.ExecutorDefinition(
        name=inner.name,
        config_schema=inner.config_schema.as_field(),
        executor_creation_fn=make,
        description="Executes all steps in one process, which proves by a lease that it lives.",
    )


class Leased(dg.Executor):
    """Executes a run as `inner` does, under its lease.

    A run that was taken for dead in the meantime, or before it began, is interrupted.
    """

    def __init__(self, inner: dg.Executor, settings: Settings, terms: Terms) -> None:
        self._inner = inner
        self._settings = settings
        self._terms = terms

    @property
    def retries(self) -> RetryMode:
        """As the inner executor's."""
        return self._inner.retries

    @property
    def step_dependency_config(self) -> StepDependencyConfig:
        """As the inner executor's."""
        return self._inner.step_dependency_config

    def execute(
        self, plan_context: PlanOrchestrationContext, execution_plan: ExecutionPlan
    ) -> Iterator[DagsterEvent]:
        """Yields the events of the run's steps."""
        with ExitStack() as stack:
            untold = self._take(stack, plan_context.run_id)
            if untold is not None:
                yield DagsterEvent.engine_event(plan_context, untold, EngineEventData())
            run = plan_context.instance.get_run_by_id(plan_context.run_id)
            if run is not None and run.is_finished:
                raise KeyboardInterrupt
            yield from self._inner.execute(plan_context, execution_plan)

    def _take(self, stack: ExitStack, run_id: str) -> str | None:
        """Takes the lease; why not, where it cannot: the steps will fail for that reason too."""
        try:
            engine = stack.enter_context(open_database(self._settings, prepared=True))
            held = leases.shared(engine, KIND, run_id, self._terms, lingers=True)
            lease = stack.enter_context(held)
        except BrexSyncError as error:
            return f"This run holds no lease: {error}"
        lease.when_lost(_interrupt)
        return None


def _interrupt() -> None:
    """Ends this process's run as Dagster's own termination does."""
    os.kill(os.getpid(), signal.SIGINT)


def liveness_sensor(settings: Settings) -> dg.SensorDefinition:
    """Ends runs whose process is gone, in Dagster and in the log of runs.

    A run is ended once two looks have found it dead: after a pause of everything (a machine that
    slept, a restart of Postgres) the first look may come before the heartbeats.
    """

    @dg.sensor(
        name="interrupted_runs",
        minimum_interval_seconds=LOOK_EVERY,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Fails runs whose process was killed, so that they are tried again and hold "
        "up nothing. Stopped here, one killed run can keep all others from starting.",
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        origin = context.code_location_origin
        if origin is None:
            return dg.SkipReason("not in a code location")
        suspected = set(json.loads(context.cursor)) if context.cursor else set()
        try:
            with open_database(settings, prepared=True) as engine:
                dead = dead_runs(context.instance, engine, origin.location_name)
                syncs = run_log.dead(engine)
                ended = end(context.instance, engine, [r for r in dead if r.run_id in suspected])
                run_log.mark_interrupted(
                    engine, [run_id for run_id in syncs if run_id in suspected]
                )
        except BrexSyncError as error:
            return dg.SkipReason(str(error))
        context.update_cursor(json.dumps([*(run.run_id for run in dead), *syncs]))
        return dg.SkipReason(f"ended {', '.join(ended)}" if ended else "nothing to end")

    return sensor


def dead_runs(
    instance: dg.DagsterInstance,
    engine: sa.Engine,
    location: str,
    *,
    restarted: bool = False,
    grace: float = GRACE,
) -> list[DagsterRun]:
    """The runs of a code location whose lease has ended, or was not taken in time.

    `restarted` says that all of Dagster was just found stopped: then what was being launched, or
    has no lease, is dead too.
    """
    statuses = [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]
    if restarted:
        statuses.append(dg.DagsterRunStatus.STARTING)
    found = instance.get_run_records(dg.RunsFilter(statuses=statuses))
    records = [record for record in found if _location(record.dagster_run) == location]
    with engine.connect() as db:
        known = leases.known(db, KIND)
    since = time.time() if restarted else time.time() - grace
    _forget(engine, known, records)
    return [record.dagster_run for record in records if _is_dead(record, known, since)]


def end(instance: dg.DagsterInstance, engine: sa.Engine, runs: Sequence[DagsterRun]) -> list[str]:
    """Ends dead runs in Dagster, but for those that have been heard of, or have ended, since.

    They are failed, so that Dagster tries them again, or canceled where that was asked for; what
    holds a pool's slot for them is freed. Returns their ids.
    """
    return [run.run_id for run in runs if _end(instance, engine, run)]


def _location(run: DagsterRun) -> str | None:
    origin = run.remote_job_origin
    return origin.location_name if origin else None


def _is_dead(record: RunRecord, known: dict[str, bool], since: float) -> bool:
    run_id = record.dagster_run.run_id
    if run_id in known:
        return not known[run_id]
    began = record.start_time or record.create_timestamp.timestamp()
    return began < since


def _end(instance: dg.DagsterInstance, engine: sa.Engine, run: DagsterRun) -> bool:
    """Ends a run in Dagster, unless it has been heard of, or has ended, since it was looked at."""
    with engine.begin() as db:
        if not leases.lapse(db, KIND, run.run_id):
            return False
    now = instance.get_run_by_id(run.run_id)
    if now is None or now.is_finished:
        return False
    if now.status is dg.DagsterRunStatus.CANCELING:
        instance.report_run_canceled(now, _DIED)
    else:
        instance.add_run_tags(now.run_id, {PRIORITY_TAG: RETRIED_FIRST})
        why = JobFailureData(error=None, failure_reason=RunFailureReason.UNEXPECTED_TERMINATION)
        instance.report_run_failed(now, _DIED, why)
    if instance.event_log_storage.supports_global_concurrency_limits:
        instance.event_log_storage.free_concurrency_slots_for_run(now.run_id)
    return True


def _forget(engine: sa.Engine, known: dict[str, bool], records: Sequence[RunRecord]) -> None:
    """Drops the leases of runs that have ended."""
    under_way: set[Any] = {record.dagster_run.run_id for record in records}
    for run_id in [name for name, alive in known.items() if not alive and name not in under_way]:
        with engine.begin() as db:
            leases.lapse(db, KIND, run_id)
