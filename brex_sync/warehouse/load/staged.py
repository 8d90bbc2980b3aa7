"""Pages and their rows ready to be committed, as lines for COPY: no pandas from here on."""

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from brex_sync.streams.declare import Child

NULL = r"\N"
SPECIAL = {"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"}
_UNESCAPES = {escape: character for character, escape in SPECIAL.items()}
_ESCAPED = re.compile(r"\\.")


@dataclass(frozen=True, slots=True)
class Reject:
    """An item that is quarantined: its key where known, why, and its raw text.

    Where there is a `field`, only that field of a stored item is, or that element of a list in it.
    """

    key: str | None
    reason: str
    raw: str
    field: str | None = None


@dataclass(frozen=True, slots=True)
class StagedChild:
    """Rows of a child table: lines as COPY reads them, and the place of each one's parent.

    `spared` are rows that could not be read and so are not gone: the place of each one's parent,
    and its own part of the key, None where it may be any of the parent's.
    """

    child: Child
    lines: Sequence[str]
    owners: Sequence[int]
    spared: Sequence[tuple[int, str | None]] = ()

    def of(self, places: Collection[int]) -> list[str]:
        """The lines of the parents at these places."""
        return [
            line for line, owner in zip(self.lines, self.owners, strict=True) if owner in places
        ]

    def spared_of(self, place: int) -> list[str | None]:
        """The own keys of the spared rows of the parent at this place."""
        return [own for owner, own in self.spared if owner == place]


@dataclass(frozen=True, slots=True)
class Staged:
    """Pages ready to be committed: their rows as COPY reads them, and what is quarantined.

    `texts` are the pages', a line for a row, which holds its values in table order, `_raw` last;
    `keys` are the rows' own keys (without their parent's), each as one text; `rejects` are items
    that are no rows, `misfits` fields and elements that rows are stored without.
    """

    texts: Sequence[bytes]
    keys: Sequence[str]
    rejects: Sequence[Reject] = ()
    children: Sequence[StagedChild] = ()
    misfits: Sequence[Reject] = ()

    def lines(self) -> list[str]:
        """The lines of all pages."""
        return [line for text in self.texts for line in text.decode().split("\n")[:-1]]


def together(pages: Sequence[Staged]) -> Staged:
    """Pages that follow each other, as one."""
    if len(pages) == 1:
        return pages[0]
    return Staged(
        [text for page in pages for text in page.texts],
        [key for page in pages for key in page.keys],
        [reject for page in pages for reject in page.rejects],
        [_joined(pages, n) for n in range(len(pages[0].children))],
        [misfit for page in pages for misfit in page.misfits],
    )


def _joined(pages: Sequence[Staged], number: int) -> StagedChild:
    """The rows of one child table in pages that follow each other."""
    lines: list[str] = []
    owners: list[int] = []
    spared: list[tuple[int, str | None]] = []
    before = 0
    for page in pages:
        part = page.children[number]
        lines += part.lines
        owners += [owner + before for owner in part.owners]
        spared += [(owner + before, own) for owner, own in part.spared]
        before += len(page.keys)
    return StagedChild(pages[0].children[number].child, lines, owners, spared)


def to_bytes(lines: Iterable[str]) -> bytes:
    """Lines as they are sent: encoded one by one, as only few of them have more than ASCII."""
    return b"\n".join([*map(str.encode, lines), b""])


def fields(line: str) -> list[str | None]:
    """The values of a line as text, None for null."""
    return [
        None if field == NULL else _ESCAPED.sub(lambda m: _UNESCAPES[m[0]], field)
        for field in line.split("\t")
    ]
