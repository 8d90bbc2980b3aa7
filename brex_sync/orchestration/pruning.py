"""Forgetting old runs, since Dagster's own retention covers ticks alone, and what else is old."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import dagster as dg

from brex_sync.databases import open_database
from brex_sync.settings import Settings
from brex_sync.warehouse import proxied
from brex_sync.warehouse.events import inbox, outbox

BATCH = 500
"""Runs looked up at a time."""
ENDED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]


def prune_job(settings: Settings) -> dg.JobDefinition:
    """Deletes runs begun longer ago than the settings keep them, if they have ended, and with
    them proxied requests, webhook events that are done, and notifications."""

    @dg.op(name="prune_runs", description="Deletes old runs, requests, events and notices.")
    def prune(context: dg.OpExecutionContext) -> None:
        deleted, before = 0, datetime.now(UTC) - timedelta(days=settings.retention_days)
        for run_id in _old_runs(context.instance, before):
            context.instance.compute_log_manager.delete_logs(prefix=[run_id])
            context.instance.delete_run(run_id)
            deleted += 1
        forgotten = _forget_others(settings, before)
        context.log.info(f"deleted: {deleted} runs, {forgotten}")

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


def _old_runs(instance: dg.DagsterInstance, before: datetime) -> Iterator[str]:
    """The runs, batch after batch; the one who asks deletes each before asking for the next."""
    old = dg.RunsFilter(statuses=ENDED, created_before=before)
    while records := instance.get_run_records(old, limit=BATCH):
        yield from (record.dagster_run.run_id for record in records)


def _forget_others(settings: Settings, before: datetime) -> str:
    with open_database(settings, prepared=True) as engine:
        requests, events = proxied.prune(engine, before), inbox.prune(engine, before)
        notices = outbox.prune(engine, before)
    return f"{requests} proxied requests, {events} events, {notices} notifications"
