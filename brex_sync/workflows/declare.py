"""The vocabulary: a workflow is one function from its inputs to the requests it makes.

    LOCK = Call("POST /v2/cards/{id}/lock", scope="cards", refetch="cards")

    class LockCard(Inputs):
        card_id: Text = Field(description="The card.")

    @workflow(LOCK)
    def lock_card(given: LockCard) -> Steps:
        \"\"\"Lock a card.\"\"\"
        yield write("lock", LOCK, id=given.card_id)

What a step yields back is what it keeps of Brex's answer, and that is stored. So a workflow that is
continued after a crash takes the same way again: it is given the same inputs and the same answers.
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
"""What is kept of an answer, by the names of its fields."""


class Inputs(BaseModel):
    """What a workflow is given. Each field has a description; forms and options are made of them.

    Of a field's `json_schema_extra`, {"private": True} keeps it from command lines and launchpads,
    which others can see; {"path": True} says that a path may be given for it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)


@dataclass(frozen=True, slots=True)
class File:
    """A file of this machine as it was when the workflow was asked for; `digest` is its SHA-256."""

    path: Path
    digest: str


@dataclass(frozen=True, slots=True)
class Call:
    """A request of Brex's API, such as `Call("POST /v2/cards/{id}/lock", "cards", "cards")`.

    `scope` is the OAuth scope that Brex's API reference asks for. `refetch` names the streams whose
    row it changes: the one with the step's id, or with the answer's.

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
        """The path, with {id} where an id is to be."""
        return self.request.partition(" ")[2]

    @property
    def streams(self) -> tuple[str, ...]:
        """The streams in `refetch`."""
        return (self.refetch,) if isinstance(self.refetch, str) else self.refetch

    @property
    def scopes(self) -> frozenset[str]:
        """The scopes it takes to make the request, and to fetch the rows it changes again."""
        return frozenset({self.scope, *(STREAMS[name].scope for name in self.streams)})


@dataclass(frozen=True, slots=True)
class Until:
    """What a step waits for: that `field` of the answer is `reaches`.

    It is given up at once where the field is one of `never`, and after `patience`.
    """

    field: str
    reaches: str
    never: frozenset[str]
    patience: timedelta

    def __str__(self) -> str:
        return f"until {self.field} is {self.reaches}"


@dataclass(frozen=True, slots=True)
class Step:
    """One request. `name` tells it from the workflow's others, and is the same every time.

    `id` fills the {id} of the path. `keep` names the fields of the answer that come back. `every`
    reads all pages of a list, of which each item's fields are kept. `file` is put where the answer
    says. `until` repeats a look until it shows something, for days if need be.
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
        """The streams whose row it changes."""
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
"""What a workflow does. A sequence is of steps that do not depend on one another: where Brex
refuses one, the others are still made."""


def read(name: str, call: Call, *, id: str | None = None, keep: Sequence[str] = ("id",)) -> Step:
    """A look at one thing."""
    return Step(name, call, id, keep=tuple(keep))


def read_all(name: str, call: Call, *, keep: Sequence[str] = ("id",), **params: str) -> Step:
    """A whole list, page by page; comes back as a list of what is kept of each item, each once."""
    return Step(name, call, params=params, keep=tuple(keep), every=True)


def write(name: str, call: Call, *, id: str | None = None, body: Body | None = None) -> Step:
    """A change. Without an id in the path, the answer's is kept."""
    return Step(name, call, id, body, keep=() if id else ("id",))


def upload(name: str, call: Call, file: File, *, id: str) -> Step:
    """A file for something: Brex is asked where to put it, and there it goes."""
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
    """Waits until a field of something, its status for example, is `reaches`.

    No process waits: the run is stored as waiting, and looks again from time to time. It fails
    where the field is one of `never`, and after so many days; resumed, it waits as long again.
    """
    until = Until(field, reaches, frozenset(never), timedelta(days=days))
    return Step(name, call, id, keep=("id", field), until=until)


class Taken:
    """The steps a run has come to, by name: each name stands for one request."""

    def __init__(self) -> None:
        self._steps: dict[str, Step] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._steps

    def again(self, step: Step) -> bool:
        """Whether the same write was come to before; notes the step.

        Raises:
            WorkflowError: another step has its name, or it looks a second time.
        """
        before = self._steps.setdefault(step.name, step)
        if before is step:
            return False
        if before == step and step.writes:
            return True
        raise WorkflowError(f"two steps are called {step.name!r}: each needs its own name")


def each_once(steps: Sequence[Step]) -> list[Step]:
    """The steps without those that are the same as one before, in name and request."""
    first: dict[str, Step] = {}
    return [s for s in steps if (known := first.setdefault(s.name, s)) is s or known != s]


def _harmless(given: Any) -> str | None:
    return None


@dataclass(frozen=True, slots=True)
class Workflow:
    """A declared workflow, and the calls it makes. `confirm` says what a person must agree to: what
    could be spent, or cannot be undone; None where there is nothing of the kind."""

    name: str
    description: str
    inputs: type[Inputs]
    steps: Callable[[Any], Steps] = field(repr=False)
    calls: tuple[Call, ...] = ()
    confirm: Callable[[Any], str | None] = field(default=_harmless, repr=False)

    @property
    def scopes(self) -> frozenset[str]:
        """The OAuth scopes that its steps need."""
        return frozenset().union(*(call.scopes for call in self.calls))

    def check(self, step: Step) -> None:
        """Raises WorkflowError for a step whose call, and so its scope, is not declared."""
        if step.call not in self.calls:
            raise WorkflowError(
                f"{step.name}: {self.name} does not declare {step.call.request} (scope "
                f"{step.call.scope}): name the call in its @workflow(…)"
            )


def workflow(
    *calls: Call, confirm: Callable[[Any], str | None] = _harmless
) -> Callable[[Callable[[Any], Steps]], Workflow]:
    """Declares a function's workflow: named as it is, and described by its docstring.

    `calls` are all that its steps may make; `brex-sync connect --workflows` asks for their scopes.
    """

    def declare(steps: Callable[[Any], Steps]) -> Workflow:
        (given,) = [kind for name, kind in get_type_hints(steps).items() if name != "return"]
        name, told = steps.__name__.replace("_", "-"), inspect.getdoc(steps) or ""
        return Workflow(name, told, cast(type[Inputs], given), steps, calls, confirm)

    return declare


def scopes_of(workflows: Iterable[Workflow]) -> frozenset[str]:
    """The OAuth scopes that the steps of all of them need."""
    return frozenset().union(*(one.scopes for one in workflows))
