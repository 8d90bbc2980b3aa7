"""The lists inside items, as rows of their own. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from brex_sync.streams.declare import POSITION, Child, Stream
from brex_sync.sync.normalise.values import (
    Follow,
    Misfit,
    Read,
    Values,
    are_objects,
    encode,
    follow_keys,
    read_columns,
    told,
    unknown_fields,
)

Spared = tuple[int, str | None]
"""A row that may be in the table already and could not be read now: its item's place, and its own
part of the key, None where that is not known."""


@dataclass(frozen=True, slots=True)
class Nested:
    """The rows one page of items makes for a child table.

    `columns` are values by physical column, `texts` each element's JSON, `owners` the place of
    each one's item in the page. `misfits` are the lists, elements and fields that do not fit, by
    their items; `spared` are the rows which these do not prove to be gone.
    """

    child: Child
    columns: dict[str, Values]
    texts: list[str]
    owners: list[int]
    misfits: list[Misfit]
    spared: list[Spared]
    unknown: frozenset[str]


def read_nested(stream: Stream, items: Sequence[Any], keys: Values, follow: Follow) -> list[Nested]:
    """The rows of every child table; `keys` are the items' own."""
    return [_nested(child, items, keys, follow) for child in stream.children]


@dataclass(slots=True)
class _Elements:
    """The elements of a page's lists that are objects: their items' places, and their own."""

    found: list[Any]
    owners: list[int]
    places: list[int]


def _nested(child: Child, items: Sequence[Any], keys: Values, follow: Follow) -> Nested:
    misfits: list[Misfit] = []
    spared: list[Spared] = []
    lists = _lists(child, items, follow, misfits)
    spared += [(misfit.place, None) for misfit in misfits]
    elements = _elements(child, lists, misfits, spared)
    read = read_columns(child, elements.found, follow_keys)
    _tell(child, elements, read, misfits, spared)
    sound = [i for i in range(len(elements.found)) if i not in read.broken]
    owners = [elements.owners[i] for i in sound]
    columns = {name: [values[i] for i in sound] for name, values in read.columns.items()}
    columns |= {
        child.into: [keys[owner] for owner in owners],
        POSITION: [elements.places[i] for i in sound],
    }
    found = [elements.found[i] for i in sound]
    unknown = {f"{child.path}[].{path}" for path in unknown_fields(child, found)}
    texts = [encode(element).decode() for element in found]
    return Nested(child, columns, texts, owners, misfits, spared, frozenset(unknown))


def _lists(
    child: Child, items: Sequence[Any], follow: Follow, misfits: list[Misfit]
) -> list[list[Any]]:
    """The list of every item; where something else is in its place, an empty one and a misfit."""
    values: Values = list(items)
    keys = child.path.split(".")
    for depth, key in enumerate(keys):
        if depth and not are_objects(values):
            path = ".".join(keys[:depth])
            misfits += [
                Misfit(i, path, f"{path}: expected an object, got {told(value)}", value)
                for i, value in enumerate(values)
                if not are_objects([value])
            ]
        values = follow(values, key)
    for i, value in enumerate(values):
        if value is not None and not isinstance(value, list):
            reason = f"{child.path}: expected a list, got {told(value)}"
            misfits.append(Misfit(i, child.path, reason, value))
    return [value if isinstance(value, list) else [] for value in values]


def _elements(
    child: Child, lists: list[list[Any]], misfits: list[Misfit], spared: list[Spared]
) -> _Elements:
    """The elements that are objects; the others are misfits."""
    elements = _Elements([], [], [])
    for owner, found in enumerate(lists):
        for place, element in enumerate(found):
            if isinstance(element, dict):
                elements.found.append(element)
                elements.owners.append(owner)
                elements.places.append(place)
                continue
            path = f"{child.path}[{place}]"
            reason = f"{path}: expected an object, got {told(element)}"
            misfits.append(Misfit(owner, path, reason, element))
            spared.append((owner, None if child.own else str(place)))
    return elements


def _tell(
    child: Child, elements: _Elements, read: Read, misfits: list[Misfit], spared: list[Spared]
) -> None:
    """Tells what does not fit in the elements as of their items."""

    def path(place: int) -> str:
        return f"{child.path}[{elements.places[place]}]"

    for misfit in read.misfits.values():
        if misfit.place not in read.broken:
            at = path(misfit.place)
            owner, field = elements.owners[misfit.place], f"{at}.{misfit.field}"
            misfits.append(Misfit(owner, field, f"{at}.{misfit.reason}", misfit.value))
    for i, reason in read.broken.items():
        owner = elements.owners[i]
        misfits.append(Misfit(owner, path(i), f"{path(i)}.{reason}", elements.found[i]))
        own = read.columns[child.own][i] if child.own else str(elements.places[i])
        spared.append((owner, own or None))
