"""The proxy uses the stored credential as syncs do, renews it, and says when a person is needed."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

import pytest

from brex_sync.service.accounts import Accounts
from brex_sync.service.app import create_service
from brex_sync.settings import Settings
from brex_sync.warehouse.database import open_engine
from brex_sync_tests.connections.conftest import Desk, desk, new_desk
from brex_sync_tests.e2e.conftest import free_port
from brex_sync_tests.proxy.conftest import LOCAL_TOKEN, Door, Hostile, serving

__all__ = ["desk", "new_desk"]


@contextmanager
def door_of(desk: Desk) -> Iterator[Door]:
    """The service over a desk's connections."""
    settings = Settings(
        _env_file=None, BREX_SYNC_HOME=desk.home, BREX_SYNC_SERVICE_TOKEN=LOCAL_TOKEN
    )
    accounts = Accounts(settings, desk.engine, desk.connections)
    with serving(create_service(accounts)) as url:
        yield Door(url, Hostile(), Hostile(), desk.engine, accounts, desk.home)


def test_a_token_brex_calls_expired_is_renewed_and_nobody_notices(desk: Desk) -> None:
    desk.oauth()
    with door_of(desk) as door:
        assert door.ask("GET", "/v2/company").json()["legal_name"] == "Northwind"
        desk.authority.later += timedelta(hours=2)
        assert door.ask("GET", "/v2/company").status_code == 200
    assert len(desk.authority.access) == 2
    assert desk.refreshes == [""]


@pytest.mark.parametrize("kind", ["oauth", "key"])
@pytest.mark.parametrize("when", ["before", "between"])
def test_a_credential_brex_takes_no_more_asks_for_a_person(
    desk: Desk, kind: str, when: str
) -> None:
    if kind == "oauth":
        desk.oauth()
    else:
        desk.key("bxt_sandbox")
    with door_of(desk) as door:
        if when == "between":
            assert door.ask("GET", "/v2/company").status_code == 200
        desk.authority.revoke_everything()
        for _ in range(2):
            answer = door.ask("GET", "/v2/company")
            assert answer.status_code == 503
            assert "Run `brex-sync connect brex`" in answer.json()["message"]
            assert not [token for token in desk.authority.access if token in answer.text]


def test_a_connection_nobody_connected_says_how_to(desk: Desk) -> None:
    desk.key("bxt_sandbox")
    desk.connections["brex"] = replace(desk.connections["brex"], token=None, lacks="BREX_API_KEY")
    with door_of(desk) as door:
        answer = door.ask("GET", "/v2/company")
    assert (answer.status_code, "BREX_API_KEY is not set" in answer.json()["message"]) == (
        503,
        True,
    )


def test_a_warehouse_that_is_away_is_said(desk: Desk) -> None:
    desk.key("bxt_sandbox")
    desk.engine = open_engine(f"postgresql://nobody@127.0.0.1:{free_port()}/none")
    with door_of(desk) as door:
        answer = door.ask("GET", "/v2/company")
    assert answer.status_code == 503
    assert answer.json()["message"] == "the warehouse, which keeps the credential, is away"
