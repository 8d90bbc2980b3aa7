"""What a person asks a sync for, and what of it would do nothing."""

from collections.abc import Sequence
from datetime import date

from brex_sync.streams.declare import Stream
from brex_sync.sync.read.reading import Options


def in_vain(options: Options, streams: Sequence[Stream], today: date) -> str | None:
    """Why these options do nothing to these streams, as a sentence; None if they do something.

    `today` is the date in UTC.
    """
    if options.since is not None and options.since > today:
        return (
            f"{options.since} is in the future (today is {today}, UTC), so there is nothing from "
            "then on to read; nothing was done"
        )
    unfiltered = _unfiltered(options, streams)
    if unfiltered and len(unfiltered) == len(streams):
        return f"{_told(unfiltered)}, so a backfill does nothing; nothing was done"
    return None


def partly_in_vain(options: Options, streams: Sequence[Stream]) -> str | None:
    """Which of several streams a backfill does nothing to, as a sentence; None if there is none."""
    unfiltered = _unfiltered(options, streams)
    return f"{_told(unfiltered)}, so a backfill only syncs them" if unfiltered else None


def _unfiltered(options: Options, streams: Sequence[Stream]) -> list[str]:
    return [s.name for s in streams if s.window is None] if options.backfill else []


def _told(names: Sequence[str]) -> str:
    has, is_ = ("has", "is") if len(names) == 1 else ("have", "are")
    return f"{', '.join(names)} {has} no date filter at Brex and {is_} read whole by every sync"
