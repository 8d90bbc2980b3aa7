"""The commands that perform workflows, and show what they did."""

from __future__ import annotations

import asyncio
import getpass
import json
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any
from uuid import uuid4

import typer
from typer.core import TyperGroup

from brex_sync.cli.common import ConnectionName
from brex_sync.connections.declared import Connection, find
from brex_sync.errors import WorkflowError
from brex_sync.settings import Settings, load_settings
from brex_sync.terminal import agree, console, errors, say

if TYPE_CHECKING:
    import sqlalchemy as sa

    from brex_sync.cli.workflow_options import Asked
    from brex_sync.workflows.declare import Inputs, Workflow
    from brex_sync.workflows.run import RunOutcome, RunRequest

MOST = 50
"""Runs that are listed."""


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


def _perform_asked(asked: Asked) -> None:
    """Performs the workflow whose command was given, or prints its calls."""
    from brex_sync.workflows.lines import read_inputs

    inputs = read_inputs(asked.workflow.inputs, asked.inputs(), files=True)
    if asked.dry_run:
        _rehearse(asked.workflow, inputs, asked.connection)
    else:
        run_id = asked.run_id or str(uuid4())
        _run(asked.workflow, inputs, asked.connection, asked.yes, run_id)


workflow = typer.Typer(
    help="Change things at Brex, each once: list, run, resume, runs, show.", no_args_is_help=True
)
workflow.add_typer(
    typer.Typer(cls=Workflows, no_args_is_help=True, result_callback=_perform_asked),
    name="run",
    help="Perform a workflow: `brex-sync workflow run NAME --help` shows what it needs.",
)


def register(cli: typer.Typer) -> None:
    """Adds the commands of this module."""
    cli.add_typer(workflow, name="workflow")


@workflow.command("list")
def list_workflows() -> None:
    """List the workflows there are."""
    from brex_sync.workflows import load

    for name, one in sorted(load(load_settings().workflow_modules).items()):
        told = one.description.partition("\n")[0]
        console.print(f"{name:20} {told}", highlight=False, soft_wrap=True)


@workflow.command()
def resume(
    run: Annotated[str, typer.Argument(help="The run's id.")],
    yes: Annotated[
        bool, typer.Option("--yes", help="Agree to what it spends or ends, if nobody has yet.")
    ] = False,
) -> None:
    """Continue a run that failed, was cut off or waits: what is done is not done again."""
    from brex_sync.connections.connect import ready_vault
    from brex_sync.databases import databases, warehouse
    from brex_sync.workflows import load
    from brex_sync.workflows.run import recall

    settings = load_settings()
    with databases(settings) as (ready, _), warehouse(ready) as engine:
        workflows = load(settings.workflow_modules)
        vault = ready_vault(ready, engine)
        name, asked = recall(engine, vault, workflows, run, _me())
        agreed = _agreed(engine, replace(asked, confirmed=yes))
        outcome = _perform(ready, find(ready, name), engine, agreed)
    _end(outcome)


@workflow.command()
def runs(connection: ConnectionName = None) -> None:
    """List the latest runs, and how each stands."""
    from rich.table import Table

    from brex_sync.databases import databases, warehouse
    from brex_sync.warehouse import workflow_runs
    from brex_sync.warehouse.workflow_runs import RunState

    with databases(load_settings()) as (ready, _), warehouse(ready) as engine:
        found = workflow_runs.latest(engine, connection, MOST)
    table = Table(*("run", "workflow", "connection", "state", "asked at (UTC)", "by"))
    for one in found:
        state = f"[{'green' if one.state is RunState.FINISHED else 'yellow'}]{one.state}"
        asked = f"{one.asked_at:%Y-%m-%d %H:%M}"
        table.add_row(one.run_id, one.workflow, one.connection, state, asked, one.asked_by)
    console.print(table)


@workflow.command()
def show(run: Annotated[str, typer.Argument(help="The run's id.")]) -> None:
    """Show what a run has done, and what Brex answered."""
    from brex_sync.databases import databases, warehouse
    from brex_sync.warehouse import workflow_runs

    with databases(load_settings()) as (ready, _), warehouse(ready) as engine:
        found = workflow_runs.find(engine, run)
        sent = workflow_runs.writes_of(engine, run)
    if found is None:
        raise WorkflowError(f"no workflow's run is called {run}")
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
    for one in sent:
        answered = "no answer is known" if one.status is None else str(one.status)
        told = f"{one.sent_at:%H:%M:%S} {one.step}: {one.method} {one.path} → {answered}"
        console.print(f"{told} {one.message or ''}".rstrip(), highlight=False, soft_wrap=True)
    if found.waiting:
        console.print(found.waiting, style="yellow", highlight=False, soft_wrap=True)
    if found.message:
        console.print(found.message, style="red", highlight=False, soft_wrap=True)


def _rehearse(workflow: Workflow, inputs: Inputs, connection: str | None) -> None:
    from brex_sync.databases import databases, warehouse
    from brex_sync.runtime.clients import open_client
    from brex_sync.runtime.simulator import sandbox_if_needed
    from brex_sync.workflows.dry import Planned, rehearse

    settings = load_settings()
    chosen = find(settings, connection)

    async def go() -> list[Planned]:
        async with open_client(ready, chosen, engine) as client:
            return await rehearse(client, workflow, inputs)

    with (
        databases(settings) as (ready, _),
        sandbox_if_needed(ready, chosen),
        warehouse(ready) as engine,
    ):
        planned = asyncio.run(go())
    for one in planned:
        body = "" if one.body is None else f" {json.dumps(one.body, ensure_ascii=False)}"
        say(f"{one.step}: {one.method} {one.path}{body}")
    console.print("Nothing was written.")


def _run(
    workflow: Workflow, inputs: Inputs, connection: str | None, yes: bool, run_id: str
) -> None:
    from brex_sync.databases import databases, warehouse
    from brex_sync.workflows.run import RunRequest

    settings = load_settings()
    chosen = find(settings, connection)
    asked = RunRequest(workflow, inputs, run_id, _me(), confirmed=yes)
    with databases(settings) as (ready, _), warehouse(ready) as engine:
        outcome = _perform(ready, chosen, engine, _agreed(engine, asked))
    _end(outcome)


def _agreed(engine: sa.Engine, asked: RunRequest) -> RunRequest:
    """The same, with a person asked if there is something to agree to.

    Raises:
        WorkflowError: there is, and nobody can be asked.
    """
    from brex_sync.workflows.run import unconfirmed

    what = unconfirmed(engine, asked)
    if what is None:
        return asked
    if not sys.stdin.isatty():
        raise WorkflowError(f"{what} Say so with --yes; nothing was done")
    agree(f"{what} Go on?")
    return replace(asked, confirmed=True)


def _perform(
    settings: Settings, connection: Connection, engine: sa.Engine, asked: RunRequest
) -> RunOutcome:
    from brex_sync.runtime.simulator import sandbox_if_needed
    from brex_sync.runtime.workflows import open_performer

    async def go() -> RunOutcome:
        async with open_performer(settings, connection, engine) as performer:
            return await performer.perform(asked)

    with sandbox_if_needed(settings, connection):
        console.print(f"Run {asked.run_id}", highlight=False)
        return asyncio.run(go())


def _end(outcome: RunOutcome) -> None:
    """Prints what came of it; exits with 0 only if all was done, or the rest waits to be."""
    for step in outcome.steps:
        made = f" → {step.kept['id']}" if step.kept and "id" in step.kept else ""
        console.print(f"Done: {step.step}{made}", style="green", highlight=False)
    for told in outcome.stale:
        errors.print(told, style="yellow", highlight=False, soft_wrap=True)
    if outcome.waiting:
        console.print(outcome.waiting, style="yellow", highlight=False, soft_wrap=True)
        console.print(
            "It goes on by itself where `brex-sync up` or `serve` runs, and by: "
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
            f"What is done stands. Go on with: brex-sync workflow resume {outcome.run_id}",
            highlight=False,
            soft_wrap=True,
        )
    raise typer.Exit(1)


def _me() -> str:
    """The user of this machine who asks."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "a user without a name"
