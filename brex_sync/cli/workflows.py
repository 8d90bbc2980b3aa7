"""The commands that run workflows, and show what they did."""

from __future__ import annotations

import asyncio
import getpass
import inspect
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from typer.core import TyperCommand, TyperGroup

from brex_sync.cli.common import ConnectionName
from brex_sync.connections.declared import Connection, find
from brex_sync.errors import BadInputs, WorkflowError
from brex_sync.settings import load_settings
from brex_sync.terminal import agree, console, errors, say

if TYPE_CHECKING:
    from brex_sync.runtime.workflows import RunReport, WorkflowRuntime
    from brex_sync.workflows.declare import Workflow
    from brex_sync.workflows.dry_run import PlannedStep
    from brex_sync.workflows.forms import InputField
    from brex_sync.workflows.run_request import RunRequest
    from brex_sync.workflows.runner import RunOutcome

MOST = 50
"""The number of runs that are listed."""
TYPES: dict[str, Any] = {"FLAG": bool, "TEXTS": list[str], "CHOICES": list[str]}
"""The type of an option, by the name of an InputKind; a text otherwise."""


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


def _command(workflow: Workflow) -> TyperCommand:
    """The command of a workflow, made of its inputs."""
    from brex_sync.workflows.forms import entries
    from brex_sync.workflows.run_request import request_run

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
        request = request_run(workflow, given, by=_me(), files=True, run_id=run_id, confirmed=yes)
        chosen = find(load_settings(), connection)
        with _opened() as runtime:
            (_plan if dry_run else _run)(runtime, chosen, request)

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
