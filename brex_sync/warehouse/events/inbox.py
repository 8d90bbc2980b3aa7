"""The inbox of webhook events: taken in once, taken up until something has come of them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from brex_sync.warehouse.events import outbox
from brex_sync.warehouse.events.outbox import Notice
from brex_sync.warehouse.internal import webhook_bodies, webhook_events, webhook_refusals
from brex_sync.warehouse.warehouse import Warehouse

LEASE = timedelta(seconds=30)
"""How long whoever takes events up has them to itself; has it died, others take them up then."""
TRIES = 10
"""After how many tries in vain an event is parked."""
FIRST_WAIT, LONGEST_WAIT = timedelta(seconds=5), timedelta(hours=1)
"""Between two tries; waits double."""
OUTAGE_WAIT = timedelta(seconds=30)
"""Before another try after a fault that no event is to blame for."""


@dataclass(frozen=True, slots=True)
class InboxEvent:
    """An event taken up: its Webhook-Id, its type, and its body."""

    id: str
    type: str
    body: str


class Disposition(StrEnum):
    """What becomes of an event that was taken up."""

    DONE = "done"
    AGAIN = "again"
    """It is tried again later, and parked once that was in vain TRIES times."""
    LATER = "later"
    """It is tried again later; that it was tried does not count, as it is not to blame."""
    PARKED = "parked"


@dataclass(frozen=True, slots=True)
class EventOutcome:
    """What came of an event; `note` says why it is done without effect, or what went wrong."""

    id: str
    fate: Disposition = Disposition.DONE
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """How an inbox stands: deliveries received, events verified, deliveries refused, and events by
    their state. `oldest` is when the one that waits longest came."""

    received: int
    verified: int
    refused: int
    waiting: int
    done: int
    parked: int
    oldest: datetime | None


_TAKE = sa.text(
    """
    WITH event AS (
        INSERT INTO brex_sync.webhook_events AS known
            (connection, id, type, deliveries, state, tries, next_try_at)
        VALUES (:connection, :id, :type, 1, 'waiting', 0, now())
        ON CONFLICT (connection, id) DO UPDATE SET deliveries = known.deliveries + 1
        RETURNING deliveries
    )
    INSERT INTO brex_sync.webhook_bodies (connection, id, body)
    SELECT :connection, :id, :body FROM event WHERE deliveries = 1
    """
)


def take(warehouse: Warehouse, event: InboxEvent, notices: Sequence[Notice] = ()) -> bool:
    """Stores an event for good; whether it is new. `notices` are for who is to hear of new ones.

    Raises:
        PostgresError: it is not stored.
    """
    row = {"connection": warehouse.schema, "id": event.id, "type": event.type, "body": event.body}
    with warehouse.begin() as db:
        new = db.execute(_TAKE, row).rowcount == 1
        if new:
            outbox.put(db, warehouse.schema, notices)
    return new


_CLAIM = sa.text(
    """
    WITH due AS (
        SELECT number FROM brex_sync.webhook_events
        WHERE connection = :connection AND state = 'waiting' AND next_try_at <= now()
        ORDER BY number LIMIT :limit FOR UPDATE SKIP LOCKED
    ), taken AS (
        UPDATE brex_sync.webhook_events AS e
        SET tries = tries + 1, next_try_at = now() + :lease
        FROM due WHERE e.number = due.number
        RETURNING e.connection, e.id, e.type, e.number
    )
    SELECT id, type, body FROM taken JOIN brex_sync.webhook_bodies USING (connection, id)
    ORDER BY number
    """
)


def claim(warehouse: Warehouse, limit: int) -> list[InboxEvent]:
    """Takes up the oldest events that are due, in the order they came, for as long as LEASE.

    One that was taken up TRIES times and whose takers all died is parked.
    """
    asked = {"connection": warehouse.schema, "limit": limit, "lease": LEASE}
    with warehouse.begin() as db:
        db.execute(
            sa.update(webhook_events)
            .where(
                webhook_events.c.connection == warehouse.schema,
                webhook_events.c.state == "waiting",
                webhook_events.c.tries >= TRIES,
                webhook_events.c.next_try_at <= sa.func.now(),
            )
            .values(
                state="parked",
                done_at=sa.func.now(),
                note=sa.func.coalesce(webhook_events.c.note, "whoever took it up came to no end"),
            )
        )
        return [InboxEvent(*row) for row in db.execute(_CLAIM, asked)]


_CONCLUDE = sa.text(
    """
    UPDATE brex_sync.webhook_events AS e SET
        state = fate.state,
        note = :note,
        done_at = CASE WHEN fate.state <> 'waiting' THEN now() END,
        next_try_at = now() + CASE WHEN :fate = 'later' THEN :outage
            ELSE least(:first * power(2, greatest(tries - 1, 0)), :longest) END,
        tries = CASE WHEN :fate = 'later' THEN tries - 1 ELSE tries END
    FROM (
        SELECT number, CASE
            WHEN :fate = 'again' AND tries >= :most THEN 'parked'
            WHEN :fate IN ('again', 'later') THEN 'waiting'
            ELSE :fate
        END AS state
        FROM brex_sync.webhook_events
        WHERE connection = :connection AND id = :id AND state = 'waiting'
    ) AS fate
    WHERE e.number = fate.number AND e.connection = :connection AND e.id = :id
    """
)


def conclude(
    warehouse: Warehouse,
    outcomes: Sequence[EventOutcome],
    notices: Sequence[Notice] = (),
) -> None:
    """Notes what came of events taken up, in the order given, and who is to hear of it."""
    limits = {"most": TRIES, "first": FIRST_WAIT, "longest": LONGEST_WAIT, "outage": OUTAGE_WAIT}
    rows = [
        {"connection": warehouse.schema, "id": one.id, "fate": one.fate.value, "note": one.note}
        | limits
        for one in outcomes
    ]
    with warehouse.begin() as db:
        if rows:
            db.execute(_CONCLUDE, rows)
        outbox.put(db, warehouse.schema, notices)


def are_due(warehouse: Warehouse) -> bool:
    """Whether any event is to be taken up now."""
    due = sa.exists().where(
        webhook_events.c.connection == warehouse.schema,
        webhook_events.c.state == "waiting",
        webhook_events.c.next_try_at <= sa.func.now(),
    )
    with warehouse.connect() as db:
        return bool(db.scalar(sa.select(due)))


def replay(warehouse: Warehouse, event_id: str) -> bool:
    """Lets an event wait again, whatever came of it before; whether there is one of that id."""
    fresh = {"state": "waiting", "tries": 0, "note": None, "done_at": None}
    with warehouse.begin() as db:
        changed = db.execute(
            sa.update(webhook_events)
            .where(webhook_events.c.connection == warehouse.schema, webhook_events.c.id == event_id)
            .values(**fresh, next_try_at=sa.func.now())
        )
        return changed.rowcount == 1


def note_refusals(engine: sa.Engine, refusals: Mapping[tuple[str, str], int]) -> None:
    """Adds to the count of today's refusals; by connection and reason."""
    with engine.begin() as db:
        for (connection, reason), count in sorted(refusals.items()):
            db.execute(
                _REFUSED,
                {
                    "connection": connection,
                    "day": datetime.now(UTC).date(),
                    "reason": reason,
                    "count": count,
                },
            )


_REFUSED = sa.text(
    """
    INSERT INTO brex_sync.webhook_refusals AS r (connection, day, reason, count)
    VALUES (:connection, :day, :reason, :count)
    ON CONFLICT (connection, day, reason) DO UPDATE SET count = r.count + excluded.count
    """
)


def standing(warehouse: Warehouse) -> Standing:
    """How a connection's inbox stands, of all time."""
    e = webhook_events.c
    by_state = (
        sa.select(e.state, sa.func.count(), sa.func.sum(e.deliveries), sa.func.min(e.received_at))
        .where(e.connection == warehouse.schema)
        .group_by(e.state)
    )
    refusals = sa.select(sa.func.sum(webhook_refusals.c.count)).where(
        webhook_refusals.c.connection == warehouse.schema
    )
    with warehouse.connect() as db:
        rows = {state: rest for state, *rest in db.execute(by_state)}
        refused = int(db.scalar(refusals) or 0)
    events = Counter({state: int(count) for state, (count, _, _) in rows.items()})
    verified = sum(int(deliveries) for _, deliveries, _ in rows.values())
    return Standing(
        received=verified + refused,
        verified=events.total(),
        refused=refused,
        waiting=events["waiting"],
        done=events["done"],
        parked=events["parked"],
        oldest=rows["waiting"][2] if "waiting" in rows else None,
    )


@dataclass(frozen=True, slots=True)
class Parked:
    """An event that was given up, and why."""

    id: str
    type: str
    received_at: datetime
    note: str | None


def parked(warehouse: Warehouse, limit: int = 20) -> list[Parked]:
    """The newest events that were given up."""
    e = webhook_events.c
    chosen = (
        sa.select(e.id, e.type, e.received_at, e.note)
        .where(e.connection == warehouse.schema, e.state == "parked")
        .order_by(e.number.desc())
        .limit(limit)
    )
    with warehouse.connect() as db:
        return [Parked(*row) for row in db.execute(chosen)]


def done_since(
    warehouse: Warehouse, moment: datetime | None
) -> tuple[dict[str, int], datetime | None]:
    """Events done after a moment, by type, and when the last of them was."""
    e = webhook_events.c
    conditions: list[Any] = [e.connection == warehouse.schema, e.state == "done", e.note.is_(None)]
    if moment is not None:
        conditions.append(e.done_at > moment)
    chosen = (
        sa.select(e.type, sa.func.count(), sa.func.max(e.done_at))
        .where(*conditions)
        .group_by(e.type)
    )
    with warehouse.connect() as db:
        rows = list(db.execute(chosen))
    return {row[0]: int(row[1]) for row in rows}, max((row[2] for row in rows), default=moment)


def body(warehouse: Warehouse, event_id: str) -> str | None:
    """What an event says; None where there is none of that id."""
    b = webhook_bodies.c
    with warehouse.connect() as db:
        found: str | None = db.scalar(
            sa.select(b.body).where(b.connection == warehouse.schema, b.id == event_id)
        )
    return found


def prune(engine: sa.Engine, before: datetime) -> int:
    """Forgets events done before a moment, and what was refused before that day; how many events
    there were. Those that are parked wait for a person."""
    e, bodies = webhook_events.c, webhook_bodies
    old = sa.delete(webhook_events).where(e.state == "done", e.done_at < before)
    gone = old.returning(e.connection, e.id).cte()
    orphaned = sa.and_(bodies.c.connection == gone.c.connection, bodies.c.id == gone.c.id)
    with engine.begin() as db:
        refused = webhook_refusals.c.day < before.date()
        db.execute(sa.delete(webhook_refusals).where(refused))
        return db.execute(sa.delete(bodies).where(orphaned)).rowcount
