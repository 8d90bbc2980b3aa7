"""Months pass: what is kept alive, what is warned of, and what dies."""

import asyncio
from datetime import timedelta

import pytest

from brex_sync.connections.health import Level, is_due
from brex_sync.errors import ActionNeeded, BrexError
from brex_sync.sandbox.faults import Fault, FaultKind
from brex_sync.warehouse.credentials import CredentialState
from brex_sync_tests.connections.conftest import Desk
from brex_sync_tests.connections.test_tokens import TOKEN_PATH


def test_a_year_of_daily_use_needs_nobody(desk: Desk) -> None:
    credentials = desk.oauth()
    for day in range(365):
        desk.pass_time(days=1)
        credentials.keep_alive()
        assert len(desk.refreshes) == day + 1
    assert set(desk.refreshes) == {""}
    assert desk.health().level is Level.WELL
    assert desk.health().days_left == 90


def test_looks_every_five_minutes_refresh_once_in_twenty_hours(desk: Desk) -> None:
    credentials = desk.oauth()
    for _ in range(12 * 48):
        desk.pass_time(minutes=5)
        credentials.keep_alive()
    assert len(desk.refreshes) == 2


def test_after_89_days_off_all_is_well_again_by_itself(desk: Desk) -> None:
    credentials = desk.oauth()
    desk.pass_time(days=89)
    assert (desk.health().level, desk.health().days_left) == (Level.WARNING, 1)
    credentials.keep_alive()
    assert (desk.health().level, desk.health().days_left) == (Level.WELL, 90)
    assert desk.refreshes == [""]


def test_after_91_days_off_a_person_is_asked_and_nothing_else_happens(desk: Desk) -> None:
    credentials = desk.oauth()
    desk.pass_time(days=91)
    for _ in range(5):
        with pytest.raises(ActionNeeded, match="invalid_grant"):
            credentials.keep_alive()
    assert desk.refreshes == ["invalid_grant"]
    found = desk.health()
    assert (found.level, found.state) == (Level.ACTION, CredentialState.RECONNECT_REQUIRED)
    assert "brex-sync connect brex" in found.told
    desk.oauth().keep_alive()
    assert desk.health().level is Level.WELL


@pytest.mark.parametrize(("days", "level"), [(59, Level.WELL), (61, Level.WARNING)])
def test_from_60_unused_days_on_there_is_a_warning(desk: Desk, days: int, level: Level) -> None:
    desk.oauth()
    desk.pass_time(days=days)
    found = desk.health()
    assert (found.level, found.days_left) == (level, 90 - days)
    assert found.dies_on == (desk.now() + timedelta(days=90 - days)).date()


@pytest.mark.parametrize(("days", "level"), [(19, Level.WELL), (21, Level.WARNING)])
def test_a_key_is_called_unsafe_by_the_shorter_of_brexs_two_rules(
    desk: Desk, days: int, level: Level
) -> None:
    desk.key("bxt_sandbox")
    desk.pass_time(days=days)
    assert (desk.health().level, desk.health().days_left) == (level, 30 - days)


def test_a_key_is_kept_alive_by_one_request_a_day(desk: Desk) -> None:
    credentials = desk.key("bxt_sandbox")
    for _ in range(24 * 4):
        desk.pass_time(hours=1)
        credentials.keep_alive()
    assert [r.path for r in desk.app.state.requests] == ["/v2/company"] * 4


def test_a_clock_that_was_a_year_ahead_does_not_stop_the_keepalive(desk: Desk) -> None:
    desk.offset += timedelta(days=365)
    credentials = desk.oauth()
    desk.offset -= timedelta(days=365)
    assert is_due(desk.row(), desk.now())
    credentials.keep_alive()
    assert desk.refreshes == [""]
    assert not is_due(desk.row(), desk.now())
    assert desk.health().days_left == 90


def test_another_hosts_clock_may_be_some_minutes_ahead(desk: Desk) -> None:
    desk.offset += timedelta(minutes=3)
    desk.oauth()
    desk.offset -= timedelta(minutes=3)
    assert not is_due(desk.row(), desk.now())


def test_a_clock_set_back_by_an_hour_costs_one_refresh_at_most(desk: Desk) -> None:
    credentials = desk.oauth()
    desk.offset -= timedelta(hours=1)
    for _ in range(3):
        credentials.access()
        credentials.keep_alive()
    assert len(desk.refreshes) <= 1


def test_while_brex_is_down_it_is_tried_every_quarter_of_an_hour(desk: Desk) -> None:
    credentials = desk.oauth()
    desk.pass_time(days=1)
    desk.faults.add(Fault(FaultKind.STATUS, TOKEN_PATH, times=None, status=503))
    for _ in range(12):
        try:
            credentials.keep_alive()
        except ActionNeeded:
            raise
        except BrexError:
            pass
        desk.pass_time(minutes=5)
    assert desk.refreshes == ["HTTP 503"] * 4
    assert desk.health().level is Level.WELL
    assert "503" in desk.health().told


def test_a_scope_that_is_taken_away_needs_a_person(desk: Desk) -> None:
    credentials = desk.oauth()
    for issued in desk.authority.refresh.values():
        issued.grant.scopes -= {"cards.readonly", "offline_access"}
    assert desk.health().level is Level.WELL
    desk.pass_time(days=1)
    credentials.keep_alive()
    assert desk.health().level is Level.ACTION
    assert "took back cards.readonly." in desk.health().told


def test_an_event_loop_is_not_needed(desk: Desk) -> None:
    """Keys are checked by an asynchronous client, from threads that have a loop and those not."""
    credentials = desk.key("bxt_sandbox")

    async def inside() -> None:
        await asyncio.to_thread(credentials.check_key)

    asyncio.run(inside())
    assert credentials.check_key().id == "cuacc_1"
