"""The vocabulary: a workflow is one function from its inputs to the requests it makes.

    class LockCard(Inputs):
        card_id: Text = Field(description="The card.")

    @workflow()
    def lock_card(given: LockCard) -> Steps:
        \"\"\"Lock a card.\"\"\"
        yield write("lock", "POST /v2/cards/{id}/lock", id=given.card_id, refetch="cards")

What a step yields back is what it keeps of Brex's answer, and that is stored. So a workflow that is
continued after a crash takes the same way again: it is given the same inputs and the same answers.
"""

import inspect
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast, get_type_hints
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict

from brex_sync.brex.client import Params
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


class WorkflowError(Exception):
    """A workflow cannot be performed; the message says why, for people."""


class BadInputs(WorkflowError):
    """What a workflow was given cannot be used; nothing was written. `faults` has all of them."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = tuple(faults)


@dataclass(frozen=True, slots=True)
class File:
    """A file of this machine as it was when the workflow was asked for; `digest` is its SHA-256."""

    path: Path
    digest: str


@dataclass(frozen=True, slots=True)
class Step:
    """One request. `name` tells it from the workflow's others, and is the same every time.

    `id` fills the {id} of the path. `keep` names the fields of the answer that come back.
    `refetch` names the streams whose row it changes: the one with its id, or with the answer's.
    `every` reads all pages of a list, of which each item's fields are kept. `file` is put where the
    answer says.
    """

    name: str
    method: str
    path: str
    id: str | None = None
    body: Body | None = field(default=None, repr=False)
    params: Params = field(default_factory=dict)
    keep: tuple[str, ...] = ()
    refetch: tuple[str, ...] = ()
    every: bool = False
    file: File | None = None

    def __post_init__(self) -> None:
        segments = self.url.lower().split("/")
        if segments[0] or "//" in self.url or {"pan", "..", "."} & set(segments):
            raise BadInputs([f"step {self.name!r}: {self.url} is no path to ask Brex for"])
        if self.refetch and self.id is None and "id" not in self.keep:
            raise ValueError(f"step {self.name!r}: it keeps no id by which to fetch its row again")
        if unknown := [name for name in self.refetch if name not in STREAMS]:
            raise ValueError(f"step {self.name!r}: no stream is called {unknown[0]}")

    @property
    def url(self) -> str:
        """The path, with the id in it percent-encoded."""
        return self.path.replace("{id}", quote(self.id or "", safe=""))

    @property
    def writes(self) -> bool:
        """Whether it changes something at Brex."""
        return self.method != "GET"

    def __str__(self) -> str:
        return f"{self.method} {self.url}"


Steps = Generator[Step | Sequence[Step], Any, None]
"""What a workflow does. A sequence is of steps that do not depend on one another: where Brex
refuses one, the others are still made."""


def read(name: str, path: str, *, id: str | None = None, keep: Sequence[str] = ("id",)) -> Step:
    """A look at one thing."""
    return Step(name, "GET", path, id, keep=tuple(keep))


def read_all(name: str, path: str, *, keep: Sequence[str] = ("id",), **params: str) -> Step:
    """A whole list, page by page; comes back as a list of what is kept of each item."""
    return Step(name, "GET", path, params=params, keep=tuple(keep), every=True)


def write(
    name: str,
    request: str,
    *,
    id: str | None = None,
    body: Body | None = None,
    refetch: str | Sequence[str] = (),
) -> Step:
    """A change: `request` is such as "POST /v2/cards/{id}/lock". Without an id in the path, the
    answer's is kept."""
    method, _, path = request.partition(" ")
    streams = (refetch,) if isinstance(refetch, str) else tuple(refetch)
    return Step(name, method, path, id, body, keep=() if id else ("id",), refetch=streams)


def upload(name: str, path: str, file: File, *, id: str, refetch: str) -> Step:
    """A file for something: Brex is asked where to put it, and there it goes."""
    body = {"receipt_name": file.path.name}
    return Step(name, "POST", path, id, body, keep=("id",), refetch=(refetch,), file=file)


def _harmless(given: Any) -> str | None:
    return None


@dataclass(frozen=True, slots=True)
class Workflow:
    """A declared workflow. `confirm` says what a person must agree to: what could be spent, or
    cannot be undone; None where there is nothing of the kind."""

    name: str
    description: str
    inputs: type[Inputs]
    steps: Callable[[Any], Steps] = field(repr=False)
    confirm: Callable[[Any], str | None] = field(default=_harmless, repr=False)


def workflow(
    confirm: Callable[[Any], str | None] = _harmless,
) -> Callable[[Callable[[Any], Steps]], Workflow]:
    """Declares a function's workflow: named as it is, and described by its docstring."""

    def declare(steps: Callable[[Any], Steps]) -> Workflow:
        (given,) = [kind for name, kind in get_type_hints(steps).items() if name != "return"]
        name, told = steps.__name__.replace("_", "-"), inspect.getdoc(steps) or ""
        return Workflow(name, told, cast(type[Inputs], given), steps, confirm)

    return declare
