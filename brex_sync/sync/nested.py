"""The lists inside items, as rows of their own. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from brex_sync.streams.declare import POSITION, Child, Stream
from brex_sync.sync.values import (
    Follow,
    Values,
    encode,
    follow_keys,
    follow_path,
    read_columns,
    told,
    unknown_fields,
)


@dataclass(frozen=True, slots=True)
class Nested:
    """The rows one page of items makes for a child table.

    `columns` are values by physical column, `texts` each element's JSON, `owners` the place of
    each one's item in the page; `broken` names items with an element that can't be stored, and why.
    """

    child: Child
    columns: dict[str, Values]
    texts: list[str]
    owners: list[int]
    broken: dict[int, str]
    unknown: frozenset[str]


def read_nested(stream: Stream, items: Sequence[Any], keys: Values, follow: Follow) -> list[Nested]:
    """The rows of every child table; `keys` are the items' own."""
    return [_nested(child, items, keys, follow) for child in stream.children]


def _nested(child: Child, items: Sequence[Any], keys: Values, follow: Follow) -> Nested:
    elements: Values = []
    owners: list[int] = []
    places: list[int] = []
    broken: dict[int, str] = {}
    for i, found in enumerate(follow_path(items, child.path.split("."), follow)):
        if found is not None and not isinstance(found, list):
            broken[i] = f"{child.path}: expected a list, got {told(found)}"
        elif found:
            elements += found
            owners += [i] * len(found)
            places += range(len(found))
    for owner, element in zip(owners, elements, strict=True):
        if not isinstance(element, dict):
            broken.setdefault(owner, f"{child.path}[]: expected an object, got {told(element)}")
    columns, faults = read_columns(child, elements, follow_keys)
    for i, reason in faults.items():
        broken.setdefault(owners[i], f"{child.path}[].{reason}")
    columns |= {child.into: [keys[owner] for owner in owners], POSITION: places}
    unknown = {f"{child.path}[].{path}" for path in unknown_fields(child, elements)}
    texts = [encode(element).decode() for element in elements]
    return Nested(child, columns, texts, owners, broken, frozenset(unknown))
