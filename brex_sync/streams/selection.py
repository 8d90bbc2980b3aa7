"""Which streams a person means by some names."""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches

from brex_sync.errors import UnknownStream
from brex_sync.streams import STREAMS, VIEWS, Stream


def select(names: Iterable[str]) -> list[Stream]:
    """The streams named, or all but those named with a minus before; all, where none is named.

    A child table's name means its stream. With a stream come those whose rows it is listed by;
    without one go those that are listed by its rows.

    Raises:
        UnknownStream: the message names what there is.
    """
    names = list(names)
    wanted = [_named(name) for name in names if not name.startswith("-")]
    unwanted = {_named(name.removeprefix("-")).name for name in names if name.startswith("-")}
    chosen = {stream.name for stream in with_parents(wanted or list(STREAMS.values()))}
    return [s for s in STREAMS.values() if s.name in chosen and not unwanted & _chain(s)]


def with_parents(streams: Sequence[Stream]) -> list[Stream]:
    """The streams, each after the one its lists depend on, which is added where it is missing."""
    wanted: dict[str, Stream] = {}
    for stream in streams:
        if stream.parent is not None:
            for parent in with_parents([STREAMS[stream.parent.stream]]):
                wanted.setdefault(parent.name, parent)
        wanted.setdefault(stream.name, stream)
    return list(wanted.values())


def _chain(stream: Stream) -> set[str]:
    return {one.name for one in with_parents([stream])}


def _named(name: str) -> Stream:
    for stream in STREAMS.values():
        if name in {table.name for table in stream.tables()}:
            return stream
    raise UnknownStream(
        f"there is no stream {name}{suggestion(name, _tables())}; there is: {', '.join(STREAMS)}"
    )


def suggestion(name: str, known: Iterable[str]) -> str:
    """What was probably meant by a name that is not known, as the end of a sentence about it.

    The streams that fill a view, or the names that look like it; empty where there are none.
    """
    known = list(known)
    view = VIEWS.get(name)
    meant = [source for source in view.sources if source in known] if view else []
    if view and meant:
        return f" ({name} is a view; the streams that fill it are {', '.join(meant)})"
    alike = get_close_matches(name.strip().lower().replace("-", "_"), known)
    return f" (did you mean {' or '.join(alike)}?)" if alike else ""


def _tables() -> list[str]:
    return [table.name for stream in STREAMS.values() for table in stream.tables()]
