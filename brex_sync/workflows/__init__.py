"""The declared workflows: those of `builtin/`, and those of modules named in the settings."""

from collections.abc import Iterable, Mapping
from importlib import import_module

from brex_sync.errors import WorkflowError
from brex_sync.workflows.builtin import cards, expenses, limits, people, vendors
from brex_sync.workflows.declare import Workflow

MODULES = (people, cards, limits, vendors, expenses)


def load(names: Iterable[str] = ()) -> Mapping[str, Workflow]:
    """Returns the workflows by name: the built-in ones, and those of the modules called `names`.

    Raises:
        WorkflowError: a module cannot be imported, or two workflows have one name.
    """
    found: dict[str, Workflow] = {}
    for module in (*MODULES, *map(_import, names)):
        for value in vars(module).values():
            if not isinstance(value, Workflow):
                continue
            if found.setdefault(value.name, value) is not value:
                raise WorkflowError(f"two workflows are called {value.name}: rename one")
    return found


def _import(name: str) -> object:
    try:
        return import_module(name)
    except Exception as error:
        raise WorkflowError(f"BREX_SYNC_WORKFLOWS: {name} cannot be imported: {error}") from error
