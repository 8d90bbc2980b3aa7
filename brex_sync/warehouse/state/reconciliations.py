"""What a reconciliation found: rows that differed from Brex before it mended them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import psycopg
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from brex_sync.streams.declare import KEY_SEPARATOR, Stream
from brex_sync.warehouse.internal import differences, reconciliations
from brex_sync.warehouse.schema.columns import differing, listed, same
from brex_sync.warehouse.state.checkpoints import ListLease
from brex_sync.warehouse.warehouse import Warehouse

SHOWN = 20
"""How many differences of a stream people are shown; the table has all."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One row that differed: `kind` is missing, stale (in `columns`) or gone."""

    stream: str
    kind: str
    key: str
    columns: tuple[str, ...] = ()

    def __str__(self) -> str:
        told = f" ({', '.join(self.columns)})" if self.columns else ""
        return f"{self.kind}: {self.key}{told}"


@dataclass(frozen=True, slots=True)
class Differed:
    """How a stream differed from Brex: rows that lacked here, had another content, or were here
    though Brex lists them no more; `shown` are the first of them. Of `withheld` ones, which are
    here as before, it is not known whether they are gone."""

    missing: int = 0
    stale: int = 0
    gone: int = 0
    withheld: int = 0
    shown: tuple[Difference, ...] = ()

    def __str__(self) -> str:
        if not (self.missing or self.stale or self.gone or self.withheld):
            return "nothing differed"
        differed = f"{self.missing} missing, {self.stale} stale, {self.gone} gone"
        return f"{differed}, {self.withheld} not known to be gone" if self.withheld else differed

    def told(self) -> str:
        """The numbers, and below them a line per row, of the first rows."""
        return "\n".join([str(self), *map(str, self.shown)])


def note_page(cursor: psycopg.Cursor[Any], lease: ListLease, staged: str) -> None:
    """Notes, before a page is merged, which of its rows are not here as Brex sends them.

    `staged` is the temporary table with the page; does nothing unless the list is compared.
    """
    if lease.comparing is None:
        return
    place = (lease.comparing, *lease.slice.whole.key.values())
    cursor.execute(_page_sql(lease.slice.stream, lease.slice.connection, staged), place)


def note_gone(db: sa.Connection, lease: ListLease, gone: Sequence[str]) -> None:
    """Notes rows that are marked as deleted, if the list is compared."""
    if lease.comparing is not None and gone:
        place = {"run_id": lease.comparing, **lease.slice.key, "kind": "gone"}
        rows = insert(differences).on_conflict_do_nothing()
        db.execute(rows, [{**place, "key": key} for key in gone])


def conclude(
    warehouse: Warehouse,
    run_id: str,
    stream: str,
    since: date | None,
    withheld: int,
) -> Differed:
    """Records that a stream was compared from `since` on (None: all of it), what differed, and
    how many rows may be gone."""
    d = differences.c
    place = {"run_id": run_id, "connection": warehouse.schema, "stream": stream}
    mine = sa.and_(*(d[name] == value for name, value in place.items()))
    with warehouse.begin() as db:
        counted = sa.select(d.kind, sa.func.count()).where(mine).group_by(d.kind)
        counts: dict[str, int] = dict(db.execute(counted).tuples().all())
        counts["withheld"] = withheld
        first = sa.select(d.kind, d.slice, d.key, d.columns).where(mine)
        shown = db.execute(first.order_by(d.kind, d.slice, d.key).limit(SHOWN)).all()
        made = insert(reconciliations).values(**place, since=since, **counts)
        db.execute(
            made.on_conflict_do_update(
                index_elements=list(reconciliations.primary_key),
                set_={**counts, "finished_at": sa.func.now()},
            )
        )
    told = tuple(Difference(stream, r[0], _key(r[1], r[2]), tuple(r[3] or ())) for r in shown)
    return Differed(**counts, shown=told)


def _key(slice_: str, key: str) -> str:
    return " ".join(part for part in (slice_, *key.split(KEY_SEPARATOR)) if part)


def _page_sql(stream: Stream, schema: str, staged: str) -> str:
    key = list(stream.key)
    typed = [f.name for f in stream.fields() if f.name not in key]
    content = [*typed, "_raw"]
    own = listed(stream.own_key, "s")
    stale = 't._deleted_at IS NULL AND t."_raw" IS NOT NULL'
    return f"""
        INSERT INTO brex_sync.differences (run_id, connection, stream, slice, key, kind, columns)
        SELECT %s, %s, %s, %s, concat_ws('{KEY_SEPARATOR}', {own}),
            CASE WHEN {stale} THEN 'stale' ELSE 'missing' END,
            CASE WHEN {stale} THEN {differing(typed, "s", "t")} END
        FROM (
            SELECT DISTINCT ON ({listed(key)}) * FROM {staged}
            ORDER BY {listed(key)}, _position DESC
        ) s
        LEFT JOIN "{schema}"."{stream.name}" t ON {same(key, "s", "t")}
        WHERE t._deleted_at IS NOT NULL
           OR ({listed(content, "s")}) IS DISTINCT FROM ({listed(content, "t")})
        ON CONFLICT DO NOTHING
    """
