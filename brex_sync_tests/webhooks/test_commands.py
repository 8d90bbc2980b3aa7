"""The commands, as people type them, against a sandbox on a port."""

from dataclasses import dataclass
from typing import Any

import pytest
from typer.testing import CliRunner

from brex_sync.cli import cli
from brex_sync.sandbox.events.signing_secrets import list_secrets, rotate_secret
from brex_sync.sandbox.faults import Fault, FaultKind, Faults
from brex_sync.settings import load_settings
from brex_sync_tests.webhooks.conftest import Office, signed, told

URL = "https://hooks.example.com/webhooks/brex"
DEFAULT = [
    "ACCOUNTING_RECORD_READY_FOR_EXPORT",
    "EXPENSE_PAYMENT_UPDATED",
    "TRANSFER_FAILED",
    "TRANSFER_PROCESSED",
    "USER_UPDATED",
]


@dataclass
class Ran:
    """What a command printed, with the spaces of one line, and how it ended."""

    code: int
    told: str


@pytest.fixture(autouse=True)
def _settings(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    assert office.settings.database_url
    monkeypatch.setenv("BREX_SYNC_DATABASE_URL", office.settings.database_url.get_secret_value())
    monkeypatch.setenv("BREX_SYNC_HOME", str(office.settings.home))
    monkeypatch.setenv("BREX_CONFIGURATION", "sandbox")
    monkeypatch.setenv("BREX_API_URL", office.url)
    load_settings.cache_clear()


def webhooks(*arguments: str) -> Ran:
    result = CliRunner().invoke(cli, ["webhooks", *arguments])
    told = result.output if isinstance(result.exception, SystemExit | None) else result.exception
    return Ran(result.exit_code, " ".join(str(told).split()))


def done(*arguments: str) -> str:
    ran = webhooks(*arguments)
    assert ran.code == 0, ran.told
    return ran.told


def registered(office: Office) -> list[tuple[Any, ...]]:
    rows = office.world.collection("webhooks").items()
    return [(one["url"], sorted(one["event_types"]), one["status"]) for one in rows]


@pytest.fixture(autouse=True)
def _none_yet(office: Office) -> None:
    for key in list(office.world.collection("webhooks").rows().ids):
        office.world.collection("webhooks").delete(key)


def test_registering_again_changes_what_differs_and_adds_none(office: Office) -> None:
    assert "registered." in done("register", "--url", "https://hooks.example.com")
    assert registered(office) == [(URL, DEFAULT, "ACTIVE")]
    assert "registered already" in done("register", "--url", URL)
    moved = done("register", "--url", "https://b.example/x", "--event", "USER_UPDATED")
    assert "takes the place of " in moved
    assert URL in moved
    assert registered(office) == [("https://b.example/x", ["USER_UPDATED"], "ACTIVE")]
    assert "https://b.example/x" in done("list")
    [shown] = office.rig.rows("SELECT url FROM brex.webhook_subscriptions")
    assert shown == ("https://b.example/x",)
    assert "is ended" in done("unregister")
    assert "There is none" in done("unregister")
    assert registered(office) == []
    assert office.rig.live("webhook_subscriptions") == set()


def theirs(office: Office, key: str, url: str, **more: Any) -> None:
    """An endpoint that was not registered from here."""
    made = {"id": key, "url": url, "event_types": ["USER_UPDATED"], "status": "ACTIVE", **more}
    office.world.collection("webhooks").add({"group_id": None, **made})


@pytest.mark.parametrize(
    ("url", "more"),
    [
        ("https://other.example/webhooks/brex", {}),
        ("https://hooks.example.com/webhooks/brex2", {}),
        ("https://hooks.example.com:8443/webhooks/brex", {}),
        (URL, {"group_id": "wg_1"}),
    ],
    ids=["another host", "another path", "another port", "a group's"],
)
def test_nobody_else_s_endpoint_is_taken(office: Office, url: str, more: Any) -> None:
    theirs(office, "wsub_theirs", url, **more)
    assert "takes the place" not in done("register", "--url", URL)
    assert sorted(registered(office)) == sorted(
        [(url, ["USER_UPDATED"], "ACTIVE"), (URL, DEFAULT, "ACTIVE")]
    )
    shown = done("list")
    assert "this service" in shown
    assert ("group wg_1" if more else "somebody else") in shown
    assert f"Registered from here: {URL}" in webhooks("status").told
    assert "is ended" in done("unregister")
    assert registered(office) == [(url, ["USER_UPDATED"], "ACTIVE")]
    assert (
        "none was registered from here, so name one of wsub_theirs" in webhooks("unregister").told
    )
    assert "is ended" in done("unregister", "wsub_theirs")


@pytest.mark.parametrize("url", [URL, "https://HOOKS.example.com:443/webhooks/brex/"])
def test_an_endpoint_at_our_url_is_ours_whoever_made_it(office: Office, url: str) -> None:
    theirs(office, "wsub_old", url)
    done("register", "--url", URL)
    assert registered(office) == [(URL, DEFAULT, "ACTIVE")]


@pytest.mark.parametrize("group", [None, "wg_0001"])
def test_one_is_taken_over_when_asked_and_stays_its_group_s(office: Office, group: Any) -> None:
    if group:
        office.world.collection("webhook_groups").add({"id": group, "name": "G"})
    theirs(office, "wsub_theirs", "https://other.example/x", group_id=group)
    said = done("register", "--url", URL, "--take-over")
    assert "takes the place of wsub_theirs: https://other.example/x" in said
    assert (f"of group {group}" in said) is bool(group)
    [one] = office.world.collection("webhooks").items()
    assert (one["url"], one["group_id"]) == (URL, group)


def test_of_several_none_is_taken_over(office: Office) -> None:
    theirs(office, "wsub_1", "https://one.example/x")
    theirs(office, "wsub_2", "https://two.example/x")
    ran = webhooks("register", "--url", URL, "--take-over")
    assert ran.code == 1
    assert "wsub_1: https://one.example/x; wsub_2: https://two.example/x" in ran.told.replace(
        "wsub_2: https://two.example/x; wsub_1: https://one.example/x",
        "wsub_1: https://one.example/x; wsub_2: https://two.example/x",
    )
    assert len(registered(office)) == 2


def test_where_brex_allows_no_other_the_choices_are_said(office: Office, faults: Faults) -> None:
    theirs(office, "wsub_theirs", "https://other.example/x")
    told = '{"type": "BAD_REQUEST", "message": "Only one webhook endpoint is allowed"}'
    faults.add(Fault(FaultKind.STATUS, "/v1/webhooks", method="POST", status=400, body=told))
    ran = webhooks("register", "--url", URL)
    assert ran.code == 1
    for word in ("Only one webhook endpoint", "wsub_theirs", "--take-over", "unregister ID"):
        assert word in ran.told
    assert [url for url, _, _ in registered(office)] == ["https://other.example/x"]


def test_registering_stores_the_secret_sealed_and_what_it_signs_is_taken(office: Office) -> None:
    done("register", "--url", URL)
    [secret] = list_secrets(office.world, "ACTIVE")
    body = told("USER_UPDATED", user_id="cuuser_00001")
    asked = len(office.rig.asked("/v1/webhooks/secrets"))
    assert office.post(body, signed(body, secret=secret)).status_code == 200
    assert len(office.rig.asked("/v1/webhooks/secrets")) == asked
    assert secret not in office.rig.one("SELECT secrets FROM brex_sync.webhook_secrets")
    rotate_secret(office.world)
    assert "2 live secrets" in done("secrets", "refresh")


def test_an_answer_that_was_lost_registers_once(office: Office, faults: Faults) -> None:
    faults.add(Fault(FaultKind.DROPPED, "/v1/webhooks", method="POST"))
    done("register", "--url", URL)
    assert len(registered(office)) == 1


def test_where_brex_would_not_send_is_refused_before_it_is_asked(office: Office) -> None:
    ran = webhooks("register", "--url", "http://hooks.example.com")
    assert ran.code == 1
    assert "is not https" in ran.told
    assert registered(office) == []
    assert done("register", "--url", "http://127.0.0.1:8787")


def test_events_are_worked_off_shown_and_replayed_without_dagster(office: Office) -> None:
    office.deliver_quietly(told("USER_UPDATED"), "bad")
    office.deliver_quietly(told("USER_UPDATED", user_id="cuuser_00001"), "good")
    assert "2 events were taken up; 1 are parked" in done("process")
    assert office.rig.live("users") == {"cuuser_00001"}
    shown = webhooks("status")
    assert shown.code == 1
    assert "parked: bad (USER_UPDATED): USER_UPDATED: user_id is no id" in shown.told
    assert "waits again" in done("replay", "bad")
    unheard = webhooks("replay", "unheard-of")
    assert "got no event unheard-of" in unheard.told
    assert "1 events were taken up" in done("process")
