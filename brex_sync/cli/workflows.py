"""The commands that run workflows, and show what they did."""

from __future__ import annotations

import asyncio
import getpass
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from brex_sync.cli.common import ConnectionName
from brex_sync.connections.declared import Connection, find
from brex_sync.errors import WorkflowError
from brex_sync.settings import load_settings
from brex_sync.terminal import agree, console, errors, say

if TYPE_CHECKING:
    from brex_sync.cli.workflow_options import Asked
    from brex_sync.runtime.workflows import RunReport, WorkflowRuntime
    from brex_sync.workflows.dry_run import PlannedStep
    from brex_sync.workflows.run_request import RunRequest
    from brex_sync.workflows.runner import RunOutcome

MOST = 50
"""The number of runs that are listed."""


class Workflows(TyperGroup):
    """A command per workflow, with an option per input."""

    def list_commands(self, ctx: Any) -> list[str]:
        from brex_sync.workflows import load

        return sorted(load(load_settings().workflow_modules))

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        from brex_sync.workflows import load

        found = load(load_settings().workflow_modules).get(cmd_name)
        if found is None:
            return None
        from brex_sync.cli.workflow_options import command

        return command(found)


def _run_asked(asked: Asked) -> None:
    """Runs the workflow whose command was given, or prints its calls."""
    from brex_sync.workflows.run_request import request_run

    request = request_run(
        asked.workflow,
        asked.inputs(),
        by=_me(),
        files=True,
        run_id=asked.run_id,
        confirmed=asked.yes,
    )
    connection = find(load_settings(), asked.connection)
    with _opened() as runtime:
        (_plan if asked.dry_run else _run)(runtime, connection, request)


workflow = typer.Typer(
    help="Change things at Brex, each once: list, run, resume, runs, show.", no_args_is_help=True
)
workflow.add_typer(
    typer.Typer(cls=Workflows, no_args_is_help=True, result_callback=_run_asked),
    name="run",
    help="Run a workflow: `brex-sync workflow run NAME --help` shows its inputs.",
)


def register(cli: typer.Typer) -> None:
    """Adds the commands of this module."""
    cli.add_typer(workflow, name="workflow")


@workflow.command("list")
def list_workflows() -> None:
    """List the workflows."""
    from brex_sync.workflows import load

    for name, one in sorted(load(load_settings().workflow_modules).items()):
        summary = one.description.partition("\n")[0]
        console.print(f"{name:20} {summary}", highlight=False, soft_wrap=True)


@workflow.command()
def resume(
    run: Annotated[str, typer.Argument(help="The run's id.")],
    yes: Annotated[
        bool, typer.Option("--yes", help="Confirm what it spends or ends, if nobody has yet.")
    ] = False,
) -> None:
    """Resume a run that failed, was interrupted or waits: completed steps are not repeated."""
    from brex_sync.workflows import load

    with _opened() as runtime:
        workflows = load(runtime.settings.workflow_modules)
        name, request = runtime.recall(run, workflows, _me())
        _run(runtime, find(runtime.settings, name), replace(request, confirmed=yes))


@workflow.command()
def runs(connection: ConnectionName = None) -> None:
    """List the latest runs with their states."""
    from rich.table import Table

    from brex_sync.warehouse.workflows.workflow_runs import RunState

    with _opened() as runtime:
        found = runtime.latest(connection, MOST)
    table = Table(*("run", "workflow", "connection", "state", "asked at (UTC)", "by"))
    for one in found:
        state = f"[{'green' if one.state is RunState.FINISHED else 'yellow'}]{one.state}"
        asked = f"{one.asked_at:%Y-%m-%d %H:%M}"
        table.add_row(one.run_id, one.workflow, one.connection, state, asked, one.asked_by)
    console.print(table)


@workflow.command()
def show(run: Annotated[str, typer.Argument(help="The run's id.")]) -> None:
    """Show the writes of a run, and Brex's responses."""
    with _opened() as runtime:
        report = runtime.report(run)
    _print_report(report)


def _print_report(report: RunReport) -> None:
    found = report.run
    console.print(
        f"{found.workflow} of {found.connection}: {found.state}; asked for by {found.asked_by} "
        f"at {found.asked_at:%Y-%m-%d %H:%M:%S} UTC",
        highlight=False,
    )
    if found.confirmed:
        console.print(
            f"Agreed to by {found.confirmed_by} at {found.confirmed_at:%Y-%m-%d %H:%M:%S} UTC: "
            f"{found.confirmed}",
            highlight=False,
            soft_wrap=True,
        )
    for one in report.writes:
        status = "no response is known" if one.status is None else str(one.status)
        line = f"{one.sent_at:%H:%M:%S} {one.step}: {one.method} {one.path} → {status}"
        console.print(f"{line} {one.message or ''}".rstrip(), highlight=False, soft_wrap=True)
    if found.waiting:
        console.print(found.waiting, style="yellow", highlight=False, soft_wrap=True)
    if found.message:
        console.print(found.message, style="red", highlight=False, soft_wrap=True)


@contextmanager
def _opened() -> Iterator[WorkflowRuntime]:
    """Opens the warehouse, in the embedded server if no other is set."""
    from brex_sync.databases import databases
    from brex_sync.runtime.workflows import open_workflows

    with databases(load_settings()) as (ready, _), open_workflows(ready) as runtime:
        yield runtime


def _plan(runtime: WorkflowRuntime, connection: Connection, request: RunRequest) -> None:
    """Prints the writes that a run would send."""
    from brex_sync.runtime.simulator import sandbox_if_needed

    with sandbox_if_needed(runtime.settings, connection):
        planned = asyncio.run(runtime.plan(connection, request))
    _print_plan(planned)


def _run(runtime: WorkflowRuntime, connection: Connection, request: RunRequest) -> None:
    """Runs a workflow, after a confirmation if it needs one, and prints its outcome."""
    from brex_sync.runtime.simulator import sandbox_if_needed

    confirmed = runtime.confirm(request, _ask)
    with sandbox_if_needed(runtime.settings, connection):
        console.print(f"Run {request.run_id}", highlight=False)
        outcome = asyncio.run(runtime.run(connection, confirmed))
    _print_outcome(outcome)


def _ask(what: str) -> None:
    """Asks the person at the terminal to confirm a text.

    Raises:
        WorkflowError: there is no terminal.
        typer.Abort: they say no.
    """
    if not sys.stdin.isatty():
        raise WorkflowError(f"{what} Confirm with --yes; nothing was done")
    agree(f"{what} Continue?")


def _print_plan(planned: list[PlannedStep]) -> None:
    for one in planned:
        body = "" if one.body is None else f" {json.dumps(one.body, ensure_ascii=False)}"
        say(f"{one.step}: {one.method} {one.path}{body}")
    console.print("Nothing was written.")


def _print_outcome(outcome: RunOutcome) -> None:
    """Prints the outcome of a run; exits with 1 if the run failed."""
    for step in outcome.steps:
        made = f" → {step.kept['id']}" if step.kept and "id" in step.kept else ""
        console.print(f"Done: {step.step}{made}", style="green", highlight=False)
    for stale in outcome.stale:
        errors.print(stale, style="yellow", highlight=False, soft_wrap=True)
    if outcome.waiting:
        console.print(outcome.waiting, style="yellow", highlight=False, soft_wrap=True)
        console.print(
            "It resumes by itself while `brex-sync up` or `serve` runs, and by: "
            f"brex-sync workflow resume {outcome.run_id}",
            highlight=False,
            soft_wrap=True,
        )
    if outcome.error is None:
        return
    for line in outcome.faults or outcome.error.splitlines():
        errors.print(line, style="red", highlight=False, soft_wrap=True)
    if outcome.faults and not outcome.steps:
        errors.print("Nothing was written.", highlight=False)
    else:
        errors.print(
            "Completed steps are kept. Resume the run with: "
            f"brex-sync workflow resume {outcome.run_id}",
            highlight=False,
            soft_wrap=True,
        )
    raise typer.Exit(1)


def _me() -> str:
    """Returns the name of the user who runs the command."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "a user without a name"
