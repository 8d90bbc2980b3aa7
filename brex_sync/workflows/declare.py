"""Declares workflows: a workflow is a generator function from its inputs to the steps it needs.

    LOCK = Call("POST /v2/cards/{id}/lock", scope="cards", refetch="cards")

    class LockCard(Inputs):
        card_id: Text = Field(description="The card.")

    @workflow(LOCK)
    def lock_card(given: LockCard) -> Steps:
        \"\"\"Lock a card.\"\"\"
        yield write("lock", LOCK, id=given.card_id)

`yield` returns the fields that the step keeps of Brex's response, and these are stored. Resuming
replays the generator with the same inputs and the stored results, so it must decide by these alone.
"""

import inspect
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, cast, get_type_hints
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict

from brex_sync.brex.application import NEVER
from brex_sync.brex.client import Params
from brex_sync.errors import BadInputs, WorkflowError
from brex_sync.streams import STREAMS

Body = Mapping[str, Any]
Kept = dict[str, Any]
"""The fields kept of a response, by name."""


class Inputs(BaseModel):
    """The inputs of a workflow. Each field has a description; forms and options are made of them.

    In a field's `json_schema_extra`, {"private": True} keeps it out of command lines and
    launchpads, which others can see, and {"path": True} says that it accepts a path.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)


@dataclass(frozen=True, slots=True)
class File:
    """A file of this machine when the run was requested; `digest` is its SHA-256."""

    path: Path
    digest: str


@dataclass(frozen=True, slots=True)
class Call:
    """A request of Brex's API, such as `Call("POST /v2/cards/{id}/lock", "cards", "cards")`.

    `scope` is the OAuth scope that Brex's API reference requires. `refetch` names the streams in
    which it changes a row: the row with the step's id, or with the id in the response.

    Raises:
        ValueError: no stream has a name in `refetch`, or the scope opens card numbers.
    """

    request: str
    scope: str
    refetch: str | tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if unknown := [name for name in self.streams if name not in STREAMS]:
            raise ValueError(f"{self.request}: no stream is called {unknown[0]}")
        if self.scope in NEVER:
            raise ValueError(f"{self.request}: the scope {self.scope} is never asked for")

    @property
    def method(self) -> str:
        """GET, POST, PUT or DELETE."""
        return self.request.partition(" ")[0]

    @property
    def path(self) -> str:
        """The path, with {id} in place of an id."""
        return self.request.partition(" ")[2]

    @property
    def streams(self) -> tuple[str, ...]:
        """The streams in `refetch`."""
        return (self.refetch,) if isinstance(self.refetch, str) else self.refetch

    @property
    def scopes(self) -> frozenset[str]:
        """The scopes of the request, and of the streams whose rows it changes."""
        return frozenset({self.scope, *(STREAMS[name].scope for name in self.streams)})


@dataclass(frozen=True, slots=True)
class Until:
    """What a step waits for: that `field` of the response is `reaches`.

    The step fails if the field is one of `never`, and after `timeout`.
    """

    field: str
    reaches: str
    never: frozenset[str]
    timeout: timedelta

    def __str__(self) -> str:
        return f"until {self.field} is {self.reaches}"


@dataclass(frozen=True, slots=True)
class Step:
    """One request. `name` is unique in the run, and the same in every replay.

    `id` fills the {id} of the path. `keep` names the fields of the response that are kept. `every`
    reads all pages of a list, and keeps the fields of each item. `file` is uploaded to the link in
    the response. `until` repeats a read, for days if necessary, until it shows something.
    """

    name: str
    call: Call
    id: str | None = None
    body: Body | None = field(default=None, repr=False)
    params: Params = field(default_factory=dict)
    keep: tuple[str, ...] = ()
    every: bool = False
    file: File | None = None
    until: Until | None = None

    def __post_init__(self) -> None:
        segments = self.url.lower().split("/")
        if segments[0] or "//" in self.url or {"pan", "..", "."} & set(segments):
            raise BadInputs([f"step {self.name!r}: {self.url} is no path to ask Brex for"])
        if self.refetch and self.id is None and "id" not in self.keep:
            raise ValueError(f"step {self.name!r}: it keeps no id by which to fetch its row again")

    @property
    def method(self) -> str:
        """The call's method."""
        return self.call.method

    @property
    def refetch(self) -> tuple[str, ...]:
        """The streams in which it changes a row."""
        return self.call.streams

    @property
    def url(self) -> str:
        """The path, with the id in it percent-encoded."""
        return self.call.path.replace("{id}", quote(self.id or "", safe=""))

    @property
    def writes(self) -> bool:
        """Whether it changes something at Brex."""
        return self.method != "GET"

    def __str__(self) -> str:
        return f"{self.method} {self.url}"


Steps = Generator[Step | Sequence[Step], Any, None]
"""The steps of a workflow. The steps of a sequence do not depend on one another: if Brex refuses
one, the others are still sent."""


def read(name: str, call: Call, *, id: str | None = None, keep: Sequence[str] = ("id",)) -> Step:
    """Returns a step that reads one object; `yield` returns its fields in `keep`."""
    return Step(name, call, id, keep=tuple(keep))


def read_all(name: str, call: Call, *, keep: Sequence[str] = ("id",), **params: str) -> Step:
    """Returns a step that reads all pages of a list; `yield` returns its items, each once."""
    return Step(name, call, params=params, keep=tuple(keep), every=True)


def write(name: str, call: Call, *, id: str | None = None, body: Body | None = None) -> Step:
    """Returns a step that changes something; without `id`, its result is the id in the response."""
    return Step(name, call, id, body, keep=() if id else ("id",))


def upload(name: str, call: Call, file: File, *, id: str) -> Step:
    """Returns a step that asks Brex for an upload link, and uploads the file to it."""
    return Step(name, call, id, {"receipt_name": file.path.name}, keep=("id",), file=file)


def wait_until(
    name: str,
    call: Call,
    *,
    id: str,
    reaches: str,
    field: str = "status",
    never: Sequence[str] = (),
    days: int = 14,
) -> Step:
    """Returns a step that waits until a field of an object, such as its status, is `reaches`.

    No process waits: the run is stored as waiting, and the object is read again from time to time.
    The step fails if the field is one of `never`, and after `days`; resumed, it waits for `days`
    again.
    """
    until = Until(field, reaches, frozenset(never), timedelta(days=days))
    return Step(name, call, id, keep=("id", field), until=until)


def _needs_none(given: Any) -> str | None:
    return None


@dataclass(frozen=True, slots=True)
class Workflow:
    """A declared workflow, and the calls that its steps make.

    `confirm` returns, for some inputs, the text that a person must confirm: what could be spent, or
    cannot be undone. It returns None if there is nothing of the kind. `confirm_when` says in which
    cases it returns a text, for the documentation; it is "never" if no `confirm` is declared.
    """

    name: str
    description: str
    inputs: type[Inputs]
    steps: Callable[[Any], Steps] = field(repr=False)
    calls: tuple[Call, ...] = ()
    confirm: Callable[[Any], str | None] = field(default=_needs_none, repr=False)
    confirm_when: str = "never"

    @property
    def scopes(self) -> frozenset[str]:
        """The OAuth scopes that its steps require."""
        return frozenset().union(*(call.scopes for call in self.calls))

    def check(self, step: Step) -> None:
        """Raises WorkflowError for a step whose call, and so its scope, is not declared."""
        if step.call not in self.calls:
            raise WorkflowError(
                f"{step.name}: {self.name} does not declare {step.call.request} (scope "
                f"{step.call.scope}): name the call in its @workflow(…)"
            )


def workflow(
    *calls: Call, confirm: Callable[[Any], str | None] | None = None, confirm_when: str = "always"
) -> Callable[[Callable[[Any], Steps]], Workflow]:
    """Declares a generator function as a workflow, with its name and its docstring.

    `calls` are all that its steps may make; `brex-sync connect --workflows` asks for their scopes.
    `confirm` and `confirm_when` are those of `Workflow`.
    """
    confirmed = (_needs_none, "never") if confirm is None else (confirm, confirm_when)

    def declare(steps: Callable[[Any], Steps]) -> Workflow:
        (given,) = [kind for name, kind in get_type_hints(steps).items() if name != "return"]
        name, described = steps.__name__.replace("_", "-"), inspect.getdoc(steps) or ""
        return Workflow(name, described, cast(type[Inputs], given), steps, calls, *confirmed)

    return declare


def scopes_of(workflows: Iterable[Workflow]) -> frozenset[str]:
    """Returns the OAuth scopes that the steps of these workflows require."""
    return frozenset().union(*(one.scopes for one in workflows))
