"""Runs that wait, looked at again when it is time; whoever does so needs no more than a while."""

import asyncio
import logging
from collections.abc import Mapping

from brex_sync.errors import RunBusy, VaultError, WorkflowError
from brex_sync.warehouse import workflow_runs
from brex_sync.workflows.declare import Workflow
from brex_sync.workflows.run import RunOutcome, WorkflowRunner, recall

log = logging.getLogger(__name__)


async def go_on(
    performer: WorkflowRunner, workflows: Mapping[str, Workflow]
) -> list[tuple[str, RunOutcome | str]]:
    """Goes on with the runs of a connection that wait and are due; what became of each, by its id.

    A text says why a run cannot go on by itself: it has failed, and a person may resume it. One
    that another process is at is left to that.

    Raises:
        PostgresError: the warehouse failed; the runs go on waiting.
    """
    engine, went = performer.engine, list[tuple[str, RunOutcome | str]]()
    for run_id in await asyncio.to_thread(workflow_runs.due, engine, performer.connection):
        run = await asyncio.to_thread(workflow_runs.find, engine, run_id)
        by = run.asked_by if run else ""
        try:
            _, asked = await asyncio.to_thread(
                recall, engine, performer.vault, workflows, run_id, by
            )
            outcome = await performer.perform(asked)
        except RunBusy:
            continue
        except (WorkflowError, VaultError) as error:
            await asyncio.to_thread(workflow_runs.give_up_waiting, engine, run_id, str(error))
            went.append((run_id, str(error)))
        else:
            went.append((run_id, outcome))
            log.info("workflow run %s: %s", run_id, outcome.waiting or outcome.error or "finished")
    return went
