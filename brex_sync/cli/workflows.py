"""The commands that perform workflows, and show what they did."""

from __future__ import annotations

import asyncio
import getpass
import inspect
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal
from uuid import uuid4

import typer
from typer.core import TyperCommand, TyperGroup

from brex_sync.cli.common import ConnectionName
from brex_sync.connections.declared import Connection, find
from brex_sync.errors import BadInputs, WorkflowError
from brex_sync.settings import Settings, load_settings
from brex_sync.terminal import agree, console, errors, say

if TYPE_CHECKING:
    import sqlalchemy as sa

    from brex_sync.workflows.declare import Inputs, Workflow
    from brex_sync.workflows.forms import InputField
    from brex_sync.workflows.run import RunOutcome, RunRequest

MOST = 50
"""Runs that are listed."""
TYPES: dict[str, Any] = {"FLAG": bool, "TEXTS": list[str], "CHOICES": list[str]}
"""By a Kind's name."""


class Workflows(TyperGroup):
    """A command per workflow, with an option per input."""

    def list_commands(self, ctx: Any) -> list[str]:
        from brex_sync.workflows import load

        return sorted(load(load_settings().workflow_modules))

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        from brex_sync.workflows import load

        found = load(load_settings().workflow_modules).get(cmd_name)
        return None if found is None else _command(found)


workflow = typer.Typer(
    help="Change things at Brex, each once: list, run, resume, runs, show.", no_args_is_help=True
)
workflow.add_typer(
    typer.Typer(cls=Workflows, no_args_is_help=True),
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
    from brex_sync.databases import databases, open_database
    from brex_sync.workflows import load
    from brex_sync.workflows.run import recall

    settings = load_settings()
    with databases(settings) as (ready, _), open_database(ready, prepared=True) as engine:
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

    from brex_sync.databases import databases, open_database
    from brex_sync.warehouse import workflow_runs
    from brex_sync.warehouse.workflow_runs import RunState

    with databases(load_settings()) as (ready, _), open_database(ready, prepared=True) as engine:
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
    from brex_sync.databases import databases, open_database
    from brex_sync.warehouse import workflow_runs

    with databases(load_settings()) as (ready, _), open_database(ready, prepared=True) as engine:
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


def _command(workflow: Workflow) -> TyperCommand:
    """The command of a workflow, made of its inputs."""
    from brex_sync.workflows.forms import entries
    from brex_sync.workflows.lines import read_inputs

    asked = list(entries(workflow.inputs))

    def perform(
        json_: str | None,
        dry_run: bool,
        yes: bool,
        run_id: str | None,
        connection: str | None,
        **options: Any,
    ) -> None:
        given = _json(json_) | {name: v for name, v in options.items() if v not in (None, [])}
        inputs = read_inputs(workflow.inputs, given, files=True)
        if dry_run:
            _rehearse(workflow, inputs, connection)
        else:
            _run(workflow, inputs, connection, yes, run_id or str(uuid4()))

    parameters = [*map(_option, (e for e in asked if _is_option(e))), *_COMMON]
    perform.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    perform.__annotations__ = {p.name: p.annotation for p in parameters}
    perform.__doc__ = workflow.description + _by_json(asked)
    app = typer.Typer(add_completion=False)
    app.command(workflow.name)(perform)
    made = typer.main.get_command(app)
    assert isinstance(made, TyperCommand)  # noqa: S101
    return made


def _is_option(entry: InputField) -> bool:
    from brex_sync.workflows.forms import InputKind

    return entry.kind is not InputKind.NESTED and not entry.private


def _by_json(asked: list[InputField]) -> str:
    others = [f"{e.name}: {e.description}" for e in asked if not _is_option(e)]
    return f"\n\nBy --json alone: {' '.join(others)}" if others else ""


def _option(entry: InputField) -> inspect.Parameter:
    from brex_sync.workflows.forms import InputKind

    kind: Any = (
        Literal[entry.choices]
        if entry.kind is InputKind.CHOICE
        else TYPES.get(entry.kind.name, str)
    )
    told = entry.description
    if entry.kind is InputKind.CHOICES:
        told += f" Of {', '.join(entry.choices)}; several may be given."
    if entry.required:
        told += " Needed."
    elif entry.default not in (None, []):
        told += f" Default: {entry.default}."
    annotation = Annotated[kind | None, typer.Option(help=told)]
    keyword = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(entry.name, keyword, default=None, annotation=annotation)


def _common(name: str, kind: Any, default: Any, *names: str, help: str) -> inspect.Parameter:
    annotation = Annotated[kind, typer.Option(*names, help=help)]
    keyword = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(name, keyword, default=default, annotation=annotation)


_COMMON = (
    _common("json_", str | None, None, "--json", help="Inputs as JSON; @FILE reads it, - too."),
    _common("dry_run", bool, False, "--dry-run", help="Print the calls; write nothing."),
    _common("yes", bool, False, "--yes", help="Don't ask before what spends or can't be undone."),
    _common("run_id", str | None, None, "--run-id", help="An id of yours: one id, one run."),
    _common(
        "connection",
        str | None,
        None,
        "--connection",
        help="Which connection; the first by default.",
    ),
)


def _json(text: str | None) -> dict[str, Any]:
    """What was given by --json."""
    if text is None:
        return {}
    try:
        if text == "-":
            text = sys.stdin.read()
        elif text.startswith("@"):
            text = Path(text[1:]).read_text()
        given = json.loads(text)
    except OSError as error:
        raise BadInputs([f"--json {text}: {error.strerror}"]) from None
    except ValueError as error:
        raise BadInputs([f"--json is no JSON: {error}"]) from None
    if not isinstance(given, dict):
        raise BadInputs(["--json: expected an object with a field per input"])
    return given


def _rehearse(workflow: Workflow, inputs: Inputs, connection: str | None) -> None:
    from brex_sync.databases import databases, open_database
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
        open_database(ready, prepared=True) as engine,
    ):
        planned = asyncio.run(go())
    for one in planned:
        body = "" if one.body is None else f" {json.dumps(one.body, ensure_ascii=False)}"
        say(f"{one.step}: {one.method} {one.path}{body}")
    console.print("Nothing was written.")


def _run(
    workflow: Workflow, inputs: Inputs, connection: str | None, yes: bool, run_id: str
) -> None:
    from brex_sync.databases import databases, open_database
    from brex_sync.workflows.run import RunRequest

    settings = load_settings()
    chosen = find(settings, connection)
    asked = RunRequest(workflow, inputs, run_id, _me(), confirmed=yes)
    with databases(settings) as (ready, _), open_database(ready, prepared=True) as engine:
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
