"""What a workflow's command is given: an option per input, and those that every workflow has.

Typer makes options of a callable's parameters. Here that is a dataclass, made of the inputs.
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, make_dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import typer
from typer.core import TyperCommand

from brex_sync.errors import BadInputs
from brex_sync.workflows.declare import Workflow
from brex_sync.workflows.forms import InputField, InputKind, entries

TYPES: dict[InputKind, Any] = {
    InputKind.FLAG: bool,
    InputKind.TEXTS: list[str],
    InputKind.CHOICES: list[str],
}
"""Of what is not one text."""


@dataclass(kw_only=True)
class Asked:
    """The options of every workflow; a subclass adds a workflow, and its inputs as fields."""

    workflow: ClassVar[Workflow]
    json_: Annotated[
        str | None, typer.Option("--json", help="Inputs as JSON; @FILE reads it, - too.")
    ] = None
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the calls; write nothing.")] = (
        False
    )
    yes: Annotated[
        bool, typer.Option("--yes", help="Don't ask before what spends or can't be undone.")
    ] = False
    run_id: Annotated[
        str | None, typer.Option("--run-id", help="An id of yours: one id, one run.")
    ] = None
    connection: Annotated[
        str | None,
        typer.Option("--connection", help="Which connection; the first by default."),
    ] = None

    def inputs(self) -> dict[str, Any]:
        """The inputs by name, not yet checked: an option counts before the same field of --json.

        Raises:
            BadInputs: --json cannot be read.
        """
        options = {name: getattr(self, name, None) for name in self.workflow.inputs.model_fields}
        given = {name: value for name, value in options.items() if value not in (None, [])}
        return _json(self.json_) | given


def command(workflow: Workflow) -> TyperCommand:
    """The command of a workflow. It returns an `Asked`, which the group's result callback gets."""
    asked = list(entries(workflow.inputs))
    inputs = make_dataclass("Inputs", map(_field, filter(_is_option, asked)), kw_only=True)
    chosen = {"workflow": workflow}
    options = make_dataclass("Options", (), bases=(Asked, inputs), namespace=chosen)
    app = typer.Typer(add_completion=False)
    app.command(workflow.name, help=workflow.description + _by_json(asked))(options)
    made = typer.main.get_command(app)
    assert isinstance(made, TyperCommand)  # noqa: S101
    return made


def _is_option(entry: InputField) -> bool:
    return entry.kind is not InputKind.NESTED and not entry.private


def _by_json(asked: list[InputField]) -> str:
    others = [f"{e.name}: {e.description}" for e in asked if not _is_option(e)]
    return f"\n\nBy --json alone: {' '.join(others)}" if others else ""


def _field(entry: InputField) -> tuple[str, Any, None]:
    """An input as a field of a dataclass."""
    kind: Any = TYPES.get(entry.kind, str)
    if entry.kind is InputKind.CHOICE:
        kind = Literal[entry.choices]
    told = " ".join([entry.description, *_told(entry)])
    return entry.name, Annotated[kind | None, typer.Option(help=told)], None


def _told(entry: InputField) -> Iterator[str]:
    """What the help adds to an input's description."""
    if entry.kind is InputKind.CHOICES:
        yield f"Of {', '.join(entry.choices)}; several may be given."
    if entry.required:
        yield "Needed."
    elif entry.default not in (None, []):
        yield f"Default: {entry.default}."


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
