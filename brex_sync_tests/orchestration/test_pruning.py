"""Every night what is old is forgotten: runs, proxied requests, events, notifications."""

from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from brex_sync.warehouse import Warehouse, proxied
from brex_sync.warehouse.events import inbox, outbox
from brex_sync.warehouse.events.inbox import EventOutcome, InboxEvent
from brex_sync.warehouse.events.outbox import Notice
from brex_sync_tests.orchestration.conftest import Build


def asked(days_ago: int) -> dict[str, object]:
    return {
        "at": datetime.now(UTC) - timedelta(days=days_ago),
        "connection": "brex",
        "method": "GET",
        "path": f"/v2/users/{days_ago}",
        "parameters": [],
        "status": 200,
        "ms": 1.5,
        "bytes_in": 0,
        "bytes_out": 2,
    }


def prune(build: Build, database_url: str) -> None:
    environment = {"BREX_SYNC_DATABASE_URL": database_url, "BREX_SYNC_RETENTION_DAYS": "7"}
    job = build(**environment).get_repository_def().get_job("prune_runs_job")
    assert job.execute_in_process().success


def test_requests_are_forgotten_with_the_runs_of_their_time(
    build: Build, database_url: str, engine: sa.Engine
) -> None:
    proxied.store(engine, [asked(days) for days in (1, 6, 8, 400)])
    prune(build, database_url)
    with engine.connect() as db:
        left = db.scalars(sa.text("SELECT path FROM brex_sync.proxied_requests ORDER BY at DESC"))
        assert list(left) == ["/v2/users/1", "/v2/users/6"]


def test_events_that_are_done_are_forgotten_and_parked_ones_wait_for_a_person(
    build: Build, database_url: str, engine: sa.Engine
) -> None:
    notice = Notice("https://bi.example/hook", "brex.event", "{}")
    for name in ("old", "fresh", "parked", "waiting"):
        inbox.take(Warehouse(engine, "brex"), InboxEvent(name, "USER_UPDATED", "{}"), [notice])
    fates = [
        EventOutcome("old"),
        EventOutcome("fresh"),
        EventOutcome("parked", inbox.Disposition.PARKED, "poison"),
    ]
    inbox.conclude(Warehouse(engine, "brex"), fates, [])
    with engine.begin() as db:
        ago = "now() - interval '8 days'"
        db.exec_driver_sql(
            f"UPDATE brex_sync.webhook_events SET received_at = {ago}, "
            f"done_at = CASE WHEN done_at IS NOT NULL THEN {ago} END WHERE id <> 'fresh'"
        )
        db.exec_driver_sql(
            f"UPDATE brex_sync.notifications SET created_at = {ago} "
            "WHERE number < (SELECT max(number) FROM brex_sync.notifications)"
        )
    prune(build, database_url)
    with engine.connect() as db:
        events = db.scalars(sa.text("SELECT id FROM brex_sync.webhook_events ORDER BY 1")).all()
        bodies = db.scalars(sa.text("SELECT id FROM brex_sync.webhook_bodies ORDER BY 1")).all()
        notices = db.scalar(sa.text("SELECT count(*) FROM brex_sync.notifications"))
    assert (events, bodies, notices) == (["fresh", "parked", "waiting"],) * 2 + (1,)
    assert outbox.urls_due(engine) == [notice.url]
