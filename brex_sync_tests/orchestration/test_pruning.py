"""Every night what is old is forgotten: runs, and requests made through the proxy."""

from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from brex_sync.warehouse import proxied
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


def test_requests_are_forgotten_with_the_runs_of_their_time(
    build: Build, database_url: str, engine: sa.Engine
) -> None:
    proxied.store(engine, [asked(days) for days in (1, 6, 8, 400)])
    environment = {"BREX_SYNC_DATABASE_URL": database_url, "BREX_SYNC_RETENTION_DAYS": "7"}
    job = build(**environment).get_repository_def().get_job("prune_runs_job")
    assert job.execute_in_process().success
    with engine.connect() as db:
        left = db.scalars(sa.text("SELECT path FROM brex_sync.proxied_requests ORDER BY at DESC"))
        assert list(left) == ["/v2/users/1", "/v2/users/6"]
