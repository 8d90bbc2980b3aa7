"""Resumes the runs that wait, once they are due."""

import asyncio
import logging
from collections.abc import Mapping

from brex_sync.errors import RunBusy, VaultError, WorkflowError
from brex_sync.warehouse.workflows import waits, workflow_runs
from brex_sync.workflows.declare import Workflow
from brex_sync.workflows.run_request import recall
from brex_sync.workflows.runner import RunOutcome, WorkflowRunner

log = logging.getLogger(__name__)


async def resume_due(
    runner: WorkflowRunner, workflows: Mapping[str, Workflow]
) -> list[tuple[str, RunOutcome | str]]:
    """Resumes the runs of a connection that wait and are due; returns their ids and outcomes.

    A text in place of an outcome says why a run cannot be resumed; it is recorded as failed. Runs
    that another process is running are left out.

    Raises:
        PostgresError: the warehouse failed; the runs still wait.
    """
    engine, resumed = runner.engine, list[tuple[str, RunOutcome | str]]()
    for run_id in await asyncio.to_thread(waits.due, engine, runner.connection):
        run = await asyncio.to_thread(workflow_runs.find, engine, run_id)
        by = run.asked_by if run else ""
        try:
            _, request = await asyncio.to_thread(
                recall, engine, runner.vault, workflows, run_id, by
            )
            outcome = await runner.run(request)
        except RunBusy:
            continue
        except (WorkflowError, VaultError) as error:
            await asyncio.to_thread(waits.fail, engine, run_id, str(error))
            resumed.append((run_id, str(error)))
        else:
            resumed.append((run_id, outcome))
            log.info("workflow run %s: %s", run_id, outcome.waiting or outcome.error or "finished")
    return resumed
