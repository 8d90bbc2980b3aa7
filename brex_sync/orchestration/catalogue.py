"""What a connection shows as assets: its streams, their child tables, and the views over them."""

from collections.abc import Iterable
from dataclasses import dataclass

from brex_sync.streams import VIEWS
from brex_sync.streams.declare import Child, Stream, View


@dataclass(frozen=True, slots=True)
class CatalogueEntry:
    """A table or view, the heading it stands under, and the tables it is made from.

    `stream` is whose sync fills it; None for views.
    """

    table: Stream | Child | View
    group: str
    sources: tuple[str, ...]
    stream: Stream | None


def entries(streams: Iterable[Stream]) -> dict[str, CatalogueEntry]:
    """The assets of a connection that syncs these streams, by name.

    A view is among them if any of its sources is; the others are empty, or as they were left.
    """
    found: dict[str, CatalogueEntry] = {}
    for stream in streams:
        above = (stream.parent.stream,) if stream.parent else ()
        found[stream.name] = CatalogueEntry(stream, stream.group, above, stream)
        for child in stream.children:
            found[child.name] = CatalogueEntry(child, stream.group, (stream.name,), stream)
    for view in VIEWS.values():
        sources = tuple(name for name in view.sources if name in found)
        if sources:
            found[view.name] = CatalogueEntry(view, view.group, sources, None)
    return found
