"""What a sync did, as data."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date

from brex_sync.warehouse.state.reconciliations import Differed


@dataclass(slots=True)
class StreamReport:
    """What one run did to one stream; rows are counted once per time Brex sent them.

    `error` is a sentence for people, None if the stream was read to its end; `unavailable` is why
    the credential may not read it, which is no fault of the run; `withheld` counts
    rows missing at Brex that are not marked as deleted: they wait for a later run, or are doubted,
    for the reason in `doubt`; `unknown`
    are fields no column is declared for; `notices` are sentences about what is no fault
    and yet worth knowing; `cleaned` counts characters Postgres cannot hold;
    `misfits` counts fields, and elements of lists, that rows were stored without;
    `differed` is what a comparison with Brex found, None if there was none.
    """

    stream: str
    fetched: int = 0
    inserted: int = 0
    updated: int = 0
    deleted: int = 0
    quarantined: int = 0
    requests: int = 0
    seconds: float = 0.0
    synced_through: date | None = None
    withheld: int = 0
    doubt: str | None = None
    cleaned: int = 0
    misfits: int = 0
    unknown: set[str] = field(default_factory=set)
    notices: list[str] = field(default_factory=list)
    differed: Differed | None = None
    error: str | None = None
    unavailable: str | None = None

    @property
    def unchanged(self) -> int:
        """Rows that were sent and found here as they are."""
        return self.fetched - self.inserted - self.updated - self.quarantined

    @property
    def finished(self) -> bool:
        return self.error is None

    @property
    def message(self) -> str | None:
        """What there is to say of it: what went wrong, is in doubt, or else worth knowing."""
        return self.error or self.unavailable or self.doubt or "; ".join(self.notices) or None

    @property
    def state(self) -> str:
        """How it ended, in one word."""
        if self.error is not None:
            return "failed"
        return "unavailable" if self.unavailable else "finished"

    def counts(self) -> dict[str, int | float]:
        """The numbers, by name."""
        return {
            "fetched": self.fetched,
            "inserted": self.inserted,
            "updated": self.updated,
            "unchanged": self.unchanged,
            "deleted": self.deleted,
            "quarantined": self.quarantined,
            "withheld": self.withheld,
            "requests": self.requests,
            "seconds": round(self.seconds, 3),
        }


@dataclass(frozen=True, slots=True)
class Report:
    """What one run did to a connection."""

    connection: str
    streams: dict[str, StreamReport]

    @property
    def finished(self) -> bool:
        return all(s.finished for s in self.streams.values())

    @property
    def failed(self) -> list[StreamReport]:
        return [s for s in self.streams.values() if not s.finished]


def through(days: Iterable[date | None]) -> date | None:
    """The date through which all parts of a stream are read; None if one never was."""
    known = list(days)
    return None if not known or None in known else min(d for d in known if d is not None)
