"""Access tokens at call time: renewed once, by one, and only when they must be."""

import asyncio
import threading
from datetime import timedelta

import pytest
import sqlalchemy as sa

from brex_sync.brex.client import BrexApi, BrexClient, Meter
from brex_sync.brex.rate_limit import RateLimiter
from brex_sync.brex.strict_json import read_item
from brex_sync.connections.credentials import Session
from brex_sync.connections.health import Level, health
from brex_sync.errors import (
    ActionNeeded,
    CredentialRefused,
    OAuthError,
    PostgresUnavailable,
    RefreshUncertain,
    SettingsError,
    UnusableAnswer,
)
from brex_sync.sandbox.faults import Fault, FaultKind
from brex_sync.warehouse import credentials as table
from brex_sync.warehouse.credentials import CredentialState
from brex_sync_tests.conftest import SHORT
from brex_sync_tests.connections.conftest import Desk

TOKEN_PATH = "/oauth2/default/v1/token"


async def ask(desk: Desk, session: Session, times: int = 1) -> None:
    """So many requests for the company, side by side."""
    endpoint = BrexApi(desk.url, session.token, session.renew)
    async with BrexClient(endpoint, RateLimiter(), SHORT) as client:
        await asyncio.gather(
            *(client.get("/v2/company", {}, read_item, Meter()) for _ in range(times))
        )


def test_a_fresh_token_is_used_without_asking_for_another(desk: Desk) -> None:
    asyncio.run(ask(desk, Session(desk.oauth()), 5))
    assert desk.refreshes == []


def test_an_ended_token_is_renewed_once_before_it_is_used(desk: Desk) -> None:
    credentials = desk.oauth()
    before = desk.secrets()
    desk.pass_time(hours=2)
    asyncio.run(ask(desk, Session(credentials), 8))
    assert desk.refreshes == [""]
    after = desk.secrets()
    assert not set(before.values()) & set(after.values())
    assert {r.status for r in desk.app.state.requests} == {200}


def test_a_token_brex_calls_expired_is_renewed_and_the_same_request_repeated(desk: Desk) -> None:
    credentials = desk.oauth()
    for token, issued in list(desk.authority.access.items()):
        desk.authority.access[token] = type(issued)(issued.grant, desk.authority.now())
    asyncio.run(ask(desk, Session(credentials), 6))
    assert desk.refreshes == [""]
    statuses = [r.status for r in desk.app.state.requests]
    assert statuses.count(200) == 6
    assert set(statuses) == {200, 403}


def test_the_rotated_token_is_stored_before_the_access_token_is_used(desk: Desk) -> None:
    credentials = desk.oauth()
    desk.pass_time(hours=2)
    token = credentials.access().token
    assert token == desk.secrets()["access_token"]
    assert desk.secrets()["refresh_token"] in desk.authority.refresh


def test_many_threads_cause_one_refresh(desk: Desk) -> None:
    desk.oauth()
    desk.pass_time(hours=2)
    got: set[str] = set()
    threads = [
        threading.Thread(target=lambda: got.add(desk.credentials().access().token))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(got), desk.refreshes) == (1, [""])


def test_a_revoked_grant_is_asked_for_once_and_then_left_alone(desk: Desk) -> None:
    credentials = desk.oauth()
    desk.authority.revoke_everything()
    for _ in range(3):
        with pytest.raises(ActionNeeded, match="brex-sync connect brex"):
            asyncio.run(ask(desk, Session(credentials), 4))
    assert desk.refreshes == ["invalid_grant"]
    row = desk.row()
    assert (row.state, row.secrets) == (CredentialState.RECONNECT_REQUIRED, None)
    assert "invalid_grant" in (row.reason or "")


def test_a_token_used_twice_revokes_the_family_at_brex(desk: Desk) -> None:
    credentials = desk.oauth()
    old = desk.row()
    desk.pass_time(hours=2)
    credentials.access()
    with desk.engine.begin() as db:
        table.change(db, "brex", secrets=old.secrets, access_ends_at=old.access_ends_at)
    with pytest.raises(ActionNeeded):
        credentials.access()
    assert desk.refreshes == ["", "invalid_grant"]
    assert all(issued.grant.revoked for issued in desk.authority.access.values())


@pytest.mark.parametrize("status", [500, 502, 503, 429])
def test_a_failing_token_endpoint_never_means_reconnect(desk: Desk, status: int) -> None:
    credentials = desk.oauth()
    desk.pass_time(hours=2)
    desk.faults.add(Fault(FaultKind.STATUS, TOKEN_PATH, status=status))
    with pytest.raises(OAuthError, match=str(status)):
        credentials.access()
    assert desk.refreshes == [f"HTTP {status}"]
    assert desk.row().state is CredentialState.CONNECTED
    assert str(status) in (desk.row().failure or "")
    credentials.access()
    assert desk.row().failure is None


def test_a_keep_alive_that_failed_is_not_told_of_once_brex_was_read_again(desk: Desk) -> None:
    credentials = desk.oauth()
    desk.pass_time(hours=2)
    desk.faults.add(Fault(FaultKind.STATUS, TOKEN_PATH, status=503))
    with pytest.raises(OAuthError, match="503"):
        credentials.access()
    connection, row, now = desk.connections["brex"], desk.row(), desk.now()
    for read_at in (None, now - timedelta(hours=1)):
        assert "the last try to keep it alive failed" in health(connection, row, now, read_at).told
    assert health(connection, row, now, now + timedelta(minutes=1)).told == "connected"


def test_a_failure_shortly_before_the_end_uses_the_token_to_its_end(desk: Desk) -> None:
    credentials = desk.oauth()
    desk.pass_time(minutes=57)
    desk.faults.add(Fault(FaultKind.STATUS, TOKEN_PATH, status=503))
    for _ in range(3):
        assert credentials.access().token == desk.secrets()["access_token"]
    assert desk.refreshes == ["HTTP 503"]


def test_an_answer_lost_after_rotation_is_asked_for_once_more_and_explained(desk: Desk) -> None:
    credentials = desk.oauth()
    desk.pass_time(hours=2)
    desk.faults.add(Fault(FaultKind.EMPTY, TOKEN_PATH))
    with pytest.raises(ActionNeeded, match="was lost or cut off before it was stored"):
        credentials.access()
    assert desk.refreshes == ["", "invalid_grant"]
    assert "revoked or too old" not in (desk.row().reason or "")


def test_an_access_token_outlives_the_refresh_token_whose_answer_was_lost(desk: Desk) -> None:
    credentials, token = desk.oauth(), desk.secrets()["access_token"]
    desk.pass_time(minutes=57)
    desk.faults.add(Fault(FaultKind.EMPTY, TOKEN_PATH))
    for _ in range(3):
        credentials.keep_alive()
        assert credentials.access().token == token
    assert desk.refreshes == ["", "invalid_grant"]
    assert desk.row().state is CredentialState.RECONNECT_REQUIRED
    assert (desk.health().level, desk.health().usable) == (Level.ACTION, True)
    desk.pass_time(minutes=4)
    for act in (credentials.access, credentials.keep_alive):
        with pytest.raises(ActionNeeded, match="does not mean that it was revoked"):
            act()
    assert not desk.health().usable
    assert desk.refreshes == ["", "invalid_grant"]


def test_an_access_token_that_brex_refuses_is_not_used_up(desk: Desk) -> None:
    credentials, token = desk.oauth(), desk.secrets()["access_token"]
    desk.pass_time(minutes=57)
    desk.faults.add(Fault(FaultKind.EMPTY, TOKEN_PATH))
    assert credentials.access().token == token
    for _ in range(2):
        with pytest.raises(ActionNeeded):
            credentials.access(refused=token)
    assert desk.row().secrets is None
    with pytest.raises(ActionNeeded):
        credentials.access()


@pytest.mark.parametrize("status", [502, 403])
def test_an_answer_lost_behind_a_gateway_is_remembered_by_the_next_process(
    desk: Desk, status: int
) -> None:
    desk.oauth()
    desk.pass_time(hours=2)
    desk.faults.add(Fault(FaultKind.DONE_STATUS, TOKEN_PATH, status=status, body="<html>"))
    with pytest.raises(OAuthError):
        desk.credentials().access()
    assert desk.row().state is CredentialState.CONNECTED
    with pytest.raises(ActionNeeded, match="was lost or cut off before it was stored"):
        desk.credentials().access()


@pytest.mark.parametrize("seconds", [60, 240, 900])
def test_a_short_lived_token_is_not_renewed_at_every_use(desk: Desk, seconds: int) -> None:
    credentials, session = desk.oauth(), Session(desk.credentials())
    ends_at = desk.now() + timedelta(seconds=seconds)
    with desk.engine.begin() as db:
        table.change(db, "brex", access_ends_at=ends_at, used_at=desk.now())
    for _ in range(3):
        credentials.access()
        asyncio.run(session.token())
    assert desk.refreshes == []
    desk.pass_time(seconds=seconds * 0.8)
    credentials.access()
    assert desk.refreshes == [""]


def test_two_lost_answers_are_not_followed_by_a_third_question(desk: Desk) -> None:
    credentials = desk.oauth()
    desk.pass_time(hours=2)
    desk.authority.rotate = lambda form: {}  # type: ignore[method-assign]
    with pytest.raises(RefreshUncertain):
        asyncio.run(ask(desk, Session(credentials), 4))
    assert desk.refreshes == ["", ""]
    assert desk.row().state is CredentialState.CONNECTED


def test_a_wrong_client_secret_is_said_and_costs_no_connection(desk: Desk) -> None:
    credentials = desk.oauth()
    desk.pass_time(hours=2)
    application = credentials.connection.application
    assert application is not None
    object.__setattr__(application, "client_secret", "wrong")
    with pytest.raises(OAuthError, match="BREX_CLIENT_SECRET"):
        credentials.access()
    assert desk.row().state is CredentialState.CONNECTED


def test_a_missing_client_id_is_named(desk: Desk) -> None:
    credentials = desk.oauth()
    desk.pass_time(hours=2)
    object.__setattr__(credentials.connection, "lacks", "BREX_CLIENT_ID")
    with pytest.raises(SettingsError, match="BREX_CLIENT_ID is not set"):
        credentials.access()
    object.__setattr__(credentials.connection, "lacks", "")
    desk.authority.revoke_everything()
    with pytest.raises(ActionNeeded) as refused:
        credentials.access()
    assert "cut off" not in str(refused.value)


def test_tokens_outlive_a_moment_without_postgres(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    credentials = desk.oauth()
    desk.pass_time(hours=2)
    plain, failing = table.change, iter([True, False])

    def change(db: sa.Connection, name: str, **values: object) -> None:
        if "issued_at" in values and next(failing):
            raise PostgresUnavailable("server closed the connection")
        plain(db, name, **values)

    monkeypatch.setattr(table, "change", change)
    token = credentials.access().token
    assert desk.secrets()["access_token"] == token
    assert desk.refreshes == [""]


def test_a_key_that_works_is_never_changed(desk: Desk) -> None:
    asyncio.run(ask(desk, Session(desk.key("bxt_sandbox")), 3))
    assert desk.secrets() == {"api_key": "bxt_sandbox"}


def test_a_refused_key_is_asked_about_once_and_then_left_alone(desk: Desk) -> None:
    credentials = desk.key("bxt_sandbox")
    desk.authority.revoke_everything()
    for _ in range(3):
        with pytest.raises(ActionNeeded, match="Invalid or Revoked"):
            asyncio.run(ask(desk, Session(credentials)))
    assert len(desk.app.state.requests) == 2
    assert desk.row().state is CredentialState.RECONNECT_REQUIRED


def test_one_odd_refusal_of_a_good_key_changes_nothing(desk: Desk) -> None:
    credentials = desk.key("bxt_sandbox")
    body = '{"type":"FORBIDDEN","message":"Expired token"}'
    desk.faults.add(Fault(FaultKind.STATUS, "/v2/company", status=403, body=body))
    with pytest.raises(CredentialRefused):
        asyncio.run(ask(desk, Session(credentials)))
    assert desk.row().state is CredentialState.CONNECTED


def test_a_new_key_in_the_environment_makes_an_old_refusal_void(desk: Desk) -> None:
    old = desk.key("bxt_gone", stored_here=False)
    with pytest.raises(ActionNeeded):
        old.check_key()
    with pytest.raises(ActionNeeded):
        old.access(refused="bxt_gone")
    new = desk.key("bxt_sandbox", stored_here=False)
    assert new.check_key().legal_name == "Northwind"
    row = desk.row()
    assert (row.state, row.secrets, row.company_id) == (CredentialState.CONNECTED, None, "cuacc_1")
    assert "bxt_" not in repr(row)


DEAD = '{"type":"FORBIDDEN","message":"Invalid or Revoked Token"}'


def test_a_key_of_the_environment_is_tried_by_every_run_until_brex_takes_it(desk: Desk) -> None:
    desk.key("bxt_sandbox", stored_here=False)
    desk.faults.add(Fault(FaultKind.STATUS, times=4, status=403, body=DEAD))
    with pytest.raises(ActionNeeded):
        asyncio.run(ask(desk, Session(desk.credentials())))
    since = desk.row().state_since
    for _ in range(2):
        desk.pass_time(minutes=2)
        before = len(desk.app.state.requests)
        with pytest.raises(ActionNeeded, match="Every run tries the key again"):
            desk.credentials().keep_alive()
        assert len(desk.app.state.requests) == before + 1
        assert (desk.row().state, desk.row().state_since) == (
            CredentialState.RECONNECT_REQUIRED,
            since,
        )
        assert (desk.health().level, desk.health().usable) == (Level.ACTION, True)
    desk.credentials().keep_alive()
    assert (desk.row().state, desk.row().reason) == (CredentialState.CONNECTED, None)
    assert desk.health().level is Level.WELL


def test_a_refused_key_of_the_environment_costs_a_run_of_many_streams_little(desk: Desk) -> None:
    desk.key("bxt_gone", stored_here=False)
    session = Session(desk.credentials())
    for _ in range(5):
        with pytest.raises(ActionNeeded):
            asyncio.run(ask(desk, session))
    assert len(desk.app.state.requests) == 5 + 1, "each stream once, and the company once"


@pytest.mark.parametrize("stored_here", [True, False])
@pytest.mark.parametrize("body", ["", "<html>Invalid or Revoked Token</html>", f"[{DEAD}]"])
def test_a_run_of_answers_that_are_not_brexs_leaves_a_key_as_it_is(
    desk: Desk, body: str, stored_here: bool
) -> None:
    credentials = desk.key("bxt_sandbox", stored_here=stored_here)
    desk.faults.add(Fault(FaultKind.STATUS, times=None, status=403, body=body))
    for act in (credentials.check_key, lambda: asyncio.run(ask(desk, Session(credentials)))):
        with pytest.raises(UnusableAnswer):
            act()
    assert desk.row().state is CredentialState.CONNECTED
    desk.faults.clear()
    asyncio.run(ask(desk, Session(credentials)))
    credentials.check_key()
    assert (desk.row().state, desk.row().failure) == (CredentialState.CONNECTED, None)


@pytest.mark.parametrize("key", ["bxt_team", "bxt_employee"])
def test_a_key_without_the_scope_for_the_company_is_a_good_key(desk: Desk, key: str) -> None:
    desk.app.state.sandbox.world.collection("users").add({"id": "cuuser_00000"})
    desk.key(key).check_key()
    assert desk.row().state is CredentialState.CONNECTED


def test_what_was_never_connected_says_how_to(desk: Desk) -> None:
    credentials = desk.oauth()
    with table.locked(desk.engine, "brex") as (db, _):
        table.forget(db, "brex")
    with pytest.raises(ActionNeeded, match="run `brex-sync connect brex`"):
        credentials.access()
