"""The built-in workflows as tables."""

from brex_sync.workflows import load
from brex_sync.workflows.declare import Workflow
from brex_sync.workflows.forms import entries
from docs.generator.markdown import code, first_sentence, table


def details() -> str:
    """Returns the table of docs/workflows.md: inputs, scopes and confirmation of each workflow."""
    head = ("workflow", "what it does", "inputs", "confirmation", "scopes")
    rows = [
        (f"`{one.name}`", first_sentence(one.description), _inputs(one), one.confirm_when,
         code(sorted(one.scopes)))
        for one in load().values()
    ]  # fmt: skip
    return table(head, rows)


def summary() -> str:
    """Returns the table of the README."""
    head = ("workflow", "what it does", "needs a confirmation")
    rows = [
        (f"`{one.name}`", first_sentence(one.description), one.confirm_when)
        for one in load().values()
    ]
    return table(head, rows)


def _inputs(workflow: Workflow) -> str:
    inputs = list(entries(workflow.inputs))
    needed = code(one.name for one in inputs if one.required)
    optional = code(one.name for one in inputs if not one.required)
    return f"{needed}; optional: {optional}" if optional else needed
