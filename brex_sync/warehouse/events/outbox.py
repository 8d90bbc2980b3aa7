"""The outbox: what others are to be told, written with what happened, sent until it is taken."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import uuid4

import sqlalchemy as sa

from brex_sync.warehouse.internal import notifications
from brex_sync.warehouse.warehouse import Warehouse

LEASE = timedelta(seconds=60)
FIRST_WAIT, LONGEST_WAIT = timedelta(seconds=5), timedelta(hours=1)
"""Between two tries; waits double."""
GIVEN_UP_AFTER = timedelta(days=3)


@dataclass(frozen=True, slots=True)
class Notice:
    """Something to tell: to which URL, of which type, in which JSON text."""

    url: str
    type: str
    body: str


@dataclass(frozen=True, slots=True)
class Letter:
    """A notice on its way: `id` is the webhook-id it goes under."""

    id: str
    url: str
    body: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """What a URL has not taken: how many wait and were given up, since when, and the last fault."""

    url: str
    waiting: int
    given_up: int
    oldest: datetime | None
    note: str | None


def put(db: sa.Connection, connection: str, notices: Iterable[Notice]) -> None:
    """Lets notices wait to be sent, in the transaction of what they tell."""
    rows = [
        {
            "id": f"msg_{uuid4().hex}",
            "connection": connection,
            "type": notice.type,
            "url": notice.url,
            "body": notice.body,
            "state": "waiting",
            "tries": 0,
        }
        for notice in notices
    ]
    if rows:
        db.execute(sa.insert(notifications).values(next_try_at=sa.func.now()), rows)


def urls_due(engine: sa.Engine) -> list[str]:
    """The URLs for which something is to be sent now."""
    n = notifications.c
    due = sa.select(n.url).where(n.state == "waiting", n.next_try_at <= sa.func.now()).distinct()
    with engine.connect() as db:
        return list(db.scalars(due))


_CLAIM = sa.text(
    """
    WITH due AS (
        SELECT id FROM brex_sync.notifications
        WHERE url = :url AND state = 'waiting' AND next_try_at <= now()
        ORDER BY number LIMIT 1 FOR UPDATE SKIP LOCKED
    )
    UPDATE brex_sync.notifications AS n SET tries = tries + 1, next_try_at = now() + :lease
    FROM due WHERE n.id = due.id
    RETURNING n.id, n.url, n.body
    """
)


def claim(engine: sa.Engine, url: str) -> Letter | None:
    """The next notice for a URL, to be sent by none but the caller for as long as LEASE."""
    with engine.begin() as db:
        row = db.execute(_CLAIM, {"url": url, "lease": LEASE}).one_or_none()
    return Letter(*row) if row else None


def taken(engine: sa.Engine, letter: Letter) -> None:
    """The receiver has it."""
    done = {"state": "done", "done_at": sa.func.now(), "note": None}
    with engine.begin() as db:
        db.execute(sa.update(notifications).where(notifications.c.id == letter.id).values(**done))


_FAILED = sa.text(
    """
    UPDATE brex_sync.notifications SET
        state = CASE WHEN created_at < now() - :most THEN 'given_up' ELSE 'waiting' END,
        done_at = CASE WHEN created_at < now() - :most THEN now() END,
        next_try_at = now() + least(:first * power(2, least(tries - 1, 20)), :longest),
        note = :note
    WHERE id = :id AND state = 'waiting'
    """
)


def failed(engine: sa.Engine, letter: Letter, note: str) -> None:
    """It was not taken: to be tried again later, or given up."""
    values = {
        "id": letter.id,
        "note": note,
        "most": GIVEN_UP_AFTER,
        "first": FIRST_WAIT,
        "longest": LONGEST_WAIT,
    }
    with engine.begin() as db:
        db.execute(_FAILED, values)


def not_taken(warehouse: Warehouse) -> list[Waiting]:
    """What a connection's notices still wait for, by URL; empty where all were taken."""
    n = notifications.c
    waits, given_up = n.state == "waiting", n.state == "given_up"
    chosen = (
        sa.select(
            n.url,
            sa.func.count().filter(waits),
            sa.func.count().filter(given_up),
            sa.func.min(n.created_at).filter(waits),
            sa.func.max(n.note),
        )
        .where(n.connection == warehouse.schema, waits | given_up)
        .group_by(n.url)
        .order_by(n.url)
    )
    with warehouse.connect() as db:
        return [Waiting(*row) for row in db.execute(chosen)]


def prune(engine: sa.Engine, before: datetime) -> int:
    """Forgets notices of before a moment, whatever became of them; how many there were."""
    old = sa.delete(notifications).where(notifications.c.created_at < before)
    with engine.begin() as db:
        return db.execute(old).rowcount
