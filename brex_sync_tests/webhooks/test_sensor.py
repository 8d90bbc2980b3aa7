"""The sensor works events off within its tick, and shows what came of them."""

from contextlib import nullcontext
from typing import Any

import dagster as dg
import pytest

from brex_sync.sandbox.faults import Fault, FaultKind, Faults
from brex_sync.settings import load_settings
from brex_sync.warehouse import Warehouse
from brex_sync.warehouse.database import open_engine
from brex_sync_tests.webhooks.conftest import SECRET, Office, told
from brex_sync_tests.webhooks.test_processing import payment


@pytest.fixture
def tick(office: Office, monkeypatch: pytest.MonkeyPatch) -> Any:
    """One tick after the other, each with the cursor of the one before."""
    assert office.settings.database_url
    monkeypatch.setenv("BREX_SYNC_DATABASE_URL", office.settings.database_url.get_secret_value())
    monkeypatch.setenv("BREX_SYNC_HOME", str(office.settings.home))
    monkeypatch.setenv("BREX_CONFIGURATION", "sandbox")
    monkeypatch.setenv("BREX_API_URL", office.url)
    load_settings.cache_clear()
    from brex_sync import definitions

    sensor = definitions.build().get_repository_def().get_sensor_def("brex_webhooks")
    cursor: list[str | None] = [None]

    def once() -> Any:
        answer = sensor(dg.build_sensor_context(cursor=cursor[0]))
        if isinstance(answer, dg.SensorResult):
            cursor[0] = answer.cursor or cursor[0]
        return answer

    return once


def shown(answer: dg.SensorResult) -> dict[str, dict[str, Any]]:
    found = {}
    for event in answer.asset_events:
        name = ("*" if isinstance(event, dg.AssetMaterialization) else "") + event.asset_key.path[1]
        assert event.asset_key.path[0] == "brex"
        found[name] = {key: value.value for key, value in event.metadata.items()}
    return found


def test_a_tick_works_off_what_waits_and_shows_it_without_a_run(office: Office, tick: Any) -> None:
    office.deliver_quietly(told("USER_UPDATED", user_id="cuuser_00001"), "a")
    office.deliver_quietly(told("USER_UPDATED", user_id="cuuser_00002"), "b")
    office.deliver_quietly(payment(1), "c")
    office.deliver_quietly(told("USER_UPDATED"), "d")
    answer = tick()
    assert office.rig.live("users") == {"cuuser_00001", "cuuser_00002"}
    assert answer.run_requests == []
    news = shown(answer)
    assert news == {
        "webhook_events": {
            "received": 4,
            "verified": 4,
            "refused": 0,
            "waiting": 0,
            "done": 3,
            "parked": 1,
            "notifications_waiting": 0,
            "notifications_given_up": 0,
        },
        "users": {"webhook_events": 2},
        "expenses": {"webhook_events": 1},
        "*expense_payments": {"webhook_events": 1, "dagster/row_count": 1},
    }


def test_where_nothing_came_nothing_is_written(office: Office, tick: Any) -> None:
    tick()
    assert "no events came" in tick().skip_message
    office.deliver_quietly(told("USER_UPDATED", user_id="cuuser_00001"), "a")
    assert set(shown(tick())) == {"webhook_events", "users"}
    assert "no events came" in tick().skip_message


def test_what_the_service_worked_off_is_shown_too(office: Office, tick: Any) -> None:
    office.know(SECRET)
    tick()
    office.deliver(told("USER_UPDATED", user_id="cuuser_00001"))
    office.process()
    assert shown(tick())["users"] == {"webhook_events": 1}


def test_a_database_that_is_away_is_told_in_a_sentence(
    office: Office, tick: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = open_engine("postgresql://nobody@127.0.0.1:9/nowhere")
    opened = nullcontext(Warehouse(away, "brex"))
    monkeypatch.setattr("brex_sync.orchestration.webhooks.open_warehouse", lambda *_: opened)
    answer = tick()
    assert isinstance(answer, dg.SkipReason)
    assert answer.skip_message.startswith("Postgres: ")


def test_a_refused_credential_is_told_and_the_events_go_on_waiting(
    office: Office, tick: Any, faults: Faults
) -> None:
    body = '{"type": "UNAUTHORIZED", "message": "Invalid or Revoked Token"}'
    faults.add(Fault(FaultKind.STATUS, "/v2/users/*", times=None, status=401, body=body))
    office.deliver_quietly(told("USER_UPDATED", user_id="cuuser_00001"), "a")
    news = shown(tick())
    assert news["webhook_events"]["waiting"] == 1
