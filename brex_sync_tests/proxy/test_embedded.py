"""Where no warehouse is named, Python asks beside the embedded server that runs, or starts one."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from brex_sync import Brex
from brex_sync.embedded import EmbeddedPostgres
from brex_sync.settings import load_settings
from brex_sync_tests.e2e.conftest import free_port


@pytest.fixture
def home(clean_environment: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home that Postgres may enter, and settings that name nothing else."""
    folder = Path(tempfile.mkdtemp(prefix="brex-sync-tests-"))
    folder.chmod(0o711)
    monkeypatch.setenv("BREX_SYNC_HOME", str(folder))
    monkeypatch.setenv("BREX_SYNC_SANDBOX_PORT", str(free_port()))
    load_settings.cache_clear()
    yield folder
    shutil.rmtree(folder.joinpath("postgres").resolve(), ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)


def test_it_shares_the_server_that_runs_and_stops_the_one_it_started(home: Path) -> None:
    with EmbeddedPostgres(home) as server:
        assert Brex.connect().get("/v2/users/me")["id"].startswith("cuuser_")
        with psycopg.connect(server.url("brex")) as db:
            asked = db.execute("SELECT count(*) FROM brex_sync.request_loans").fetchone()
            assert asked == (1,)
    assert Brex.connect().get("/v2/users/me")["id"].startswith("cuuser_")
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(server.url("brex"), connect_timeout=5)
