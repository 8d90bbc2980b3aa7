"""How the sandbox misbehaves when told to."""

from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase


class FaultKind(StrEnum):
    """What goes wrong with an answer.

    Of a write, all but STATUS, EXPIRED_CURSOR and SMALL_PAGES spoil the answer alone: it is done.
    """

    STATUS = "status"
    """`status`, `body` and `headers` in place of the answer."""
    BODY = "body"
    """200 with `body` in place of the answer."""
    HTML = "html"
    TRUNCATED = "truncated"
    """The first half of the answer, whole to HTTP and cut as JSON."""
    EMPTY = "empty"
    NO_ITEMS = "no_items"
    NULL_ITEMS = "null_items"
    LOOP = "loop"
    """The cursor that was sent comes back as the next one."""
    EXPIRED_CURSOR = "expired_cursor"
    """400 for a request with a cursor; others are answered."""
    SMALL_PAGES = "small_pages"
    """400 for a `limit` above `limit`."""
    DELAY = "delay"
    """The answer comes `seconds` late."""
    HANG = "hang"
    """No answer ever comes."""
    DONE_STATUS = "done_status"
    """What was asked is done, and `status`, `body` and `headers` are answered all the same."""
    DROPPED = "dropped"
    """What was asked is done, and the connection closes in the middle of the answer."""


@dataclass(slots=True)
class Fault:
    """A way to misbehave: on paths like `path` and methods like `method` (globs), after `after`
    good answers, `times` times; None means from then on.
    """

    kind: FaultKind
    path: str = "*"
    method: str = "*"
    times: int | None = 1
    after: int = 0
    status: int = 500
    body: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    limit: int = 100
    seconds: float = 0.0

    def __post_init__(self) -> None:
        self.kind = FaultKind(self.kind)


class Faults:
    """The faults in force; each is used up by the requests it strikes."""

    def __init__(self, *faults: Fault) -> None:
        self._faults = list(faults)

    def add(self, fault: Fault) -> None:
        """Puts a fault in force."""
        self._faults.append(fault)

    def clear(self) -> None:
        """Behaves again."""
        self._faults.clear()

    def strike(
        self, path: str, *, cursor: str | None, limit: int | None, method: str = "GET"
    ) -> Fault | None:
        """The fault this request meets, if any; it is counted as used."""
        for fault in self._faults:
            if not (fnmatchcase(path, fault.path) and fnmatchcase(method, fault.method)):
                continue
            if not _concerns(fault, cursor, limit):
                continue
            if fault.after > 0:
                fault.after -= 1
                continue
            if fault.times is not None:
                if fault.times <= 0:
                    continue
                fault.times -= 1
            return fault
        return None


def _concerns(fault: Fault, cursor: str | None, limit: int | None) -> bool:
    if fault.kind in (FaultKind.EXPIRED_CURSOR, FaultKind.LOOP):
        return cursor is not None
    if fault.kind is FaultKind.SMALL_PAGES:
        return limit is not None and limit > fault.limit
    return True
