"""A request to run a workflow, new or recalled from the warehouse, and its confirmation."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import sqlalchemy as sa

from brex_sync.connections.vault import Vault
from brex_sync.errors import Unconfirmed, UnknownRun, WorkflowError
from brex_sync.warehouse.workflows import workflow_runs
from brex_sync.warehouse.workflows.workflow_runs import Run
from brex_sync.workflows.declare import Inputs, Workflow
from brex_sync.workflows.lines import read_back, read_inputs


@dataclass(frozen=True, slots=True)
class RunRequest:
    """A workflow to run with checked inputs.

    Requests with one `run_id` are for one run. `by` is who asks, for the record. `confirmed` says
    that they agree to what the run spends or ends.
    """

    workflow: Workflow
    inputs: Inputs
    run_id: str
    by: str
    confirmed: bool = False


def request_run(
    workflow: Workflow,
    given: Any,
    *,
    by: str,
    files: bool,
    run_id: str | None = None,
    confirmed: bool = False,
) -> RunRequest:
    """Checks the inputs, and returns the request of a run, with a new id if none is given.

    With `files`, an input may be the path of a file of this machine.

    Raises:
        BadInputs: the inputs cannot be used; `faults` has every reason.
    """
    inputs = read_inputs(workflow.inputs, given, files=files)
    return RunRequest(workflow, inputs, run_id or str(uuid4()), by, confirmed)


def recall(
    engine: sa.Engine, vault: Vault, workflows: Mapping[str, Workflow], run_id: str, by: str
) -> tuple[str, RunRequest]:
    """Returns the connection of a run that was started, and its request, not confirmed.

    Raises:
        UnknownRun: there is no such run.
        WorkflowError: its workflow is no longer declared, or no longer accepts its inputs.
        VaultError: its inputs cannot be opened.
    """
    run = workflow_runs.find(engine, run_id)
    sealed = workflow_runs.sealed_inputs(engine, run_id)
    if run is None or sealed is None:
        raise UnknownRun(run_id)
    if run.workflow not in workflows:
        raise WorkflowError(f"run {run_id} is of {run.workflow}, which is no longer declared")
    workflow = workflows[run.workflow]
    inputs = read_back(workflow, vault.open(sealed)["inputs"])
    return run.connection, RunRequest(workflow, inputs, run_id, by)


def pending_confirmation(engine: sa.Engine, request: RunRequest) -> str | None:
    """Returns what must be confirmed before the request is run; None if there is nothing."""
    try:
        confirmation(request, workflow_runs.find(engine, request.run_id))
    except Unconfirmed as error:
        return error.what
    return None


def confirmation(request: RunRequest, run: Run | None) -> str | None:
    """Returns the text that the request confirms, to be recorded with the run.

    None if the workflow needs no confirmation for these inputs, or `run`, the recorded run, already
    has one of the same text.

    Raises:
        Unconfirmed: a confirmation is needed, and the request is not confirmed.
    """
    what = request.workflow.confirm(request.inputs)
    if what is None or (run is not None and run.confirmed == what):
        return None
    if not request.confirmed:
        raise Unconfirmed(what)
    return what
