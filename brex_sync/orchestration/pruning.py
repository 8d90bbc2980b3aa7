"""Forgetting old runs: Dagster's own retention covers ticks alone."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import dagster as dg

from brex_sync.settings import Settings

BATCH = 500
"""Runs looked up at a time."""
ENDED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]


def prune_job(settings: Settings) -> dg.JobDefinition:
    """Deletes runs begun longer ago than the settings keep them, if they have ended."""

    @dg.op(name="prune_runs", description="Deletes old runs, their events and their output.")
    def prune(context: dg.OpExecutionContext) -> None:
        deleted = 0
        for run_id in _old_runs(context.instance, timedelta(days=settings.retention_days)):
            context.instance.compute_log_manager.delete_logs(prefix=[run_id])
            context.instance.delete_run(run_id)
            deleted += 1
        context.log.info(f"{deleted} runs deleted")

    @dg.job(
        name="prune_runs_job",
        description=f"Forgets runs older than {settings.retention_days} days.",
    )
    def job() -> None:
        prune()

    return job


def prune_schedule(job: dg.JobDefinition) -> dg.ScheduleDefinition:
    """Prunes every night."""
    return dg.ScheduleDefinition(
        name="prune_runs_schedule",
        job=job,
        cron_schedule="23 3 * * *",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Forgets old runs every night.",
    )


def _old_runs(instance: dg.DagsterInstance, age: timedelta) -> Iterator[str]:
    """The runs, batch after batch; the one who asks deletes each before asking for the next."""
    old = dg.RunsFilter(statuses=ENDED, created_before=datetime.now(UTC) - age)
    while records := instance.get_run_records(old, limit=BATCH):
        yield from (record.dagster_run.run_id for record in records)
