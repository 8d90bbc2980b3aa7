"""Connecting as a person does it: on the command line, against a sandbox that plays Brex."""

import re
import stat
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
import yaml

from brex_sync.errors import ActionNeeded
from brex_sync.sandbox import World, create_world
from brex_sync.sandbox.app import TokenPermissions
from brex_sync.sandbox.faults import Fault, FaultKind
from brex_sync.sandbox.oauth import ISSUER
from brex_sync.warehouse.workflows import workflow_runs
from brex_sync_tests.connections.conftest import Commands, Desk, consent
from brex_sync_tests.waiting import HANGS
from brex_sync_tests.worlds import trimmed


@pytest.fixture
def desk(new_desk: Callable[[World], Desk]) -> Desk:
    """A company with a little of everything."""
    return new_desk(trimmed(create_world(card_transactions=50)))


def question(process: object) -> str:
    """The address a started `connect` prints."""
    for line in process.stdout:  # type: ignore[attr-defined]
        if line.startswith("http"):
            return line.strip()
    raise AssertionError("no address was printed")


def secrets_of(desk: Desk) -> list[str]:
    return [*desk.authority.access, *desk.authority.refresh, *desk.authority.used]


def test_a_key_from_standard_input_is_stored_sealed_and_syncs(
    desk: Desk, commands: Commands
) -> None:
    printed = commands.run("connect", "--configuration", "brex-api-key", typed="bxt_sandbox\n")
    assert "brex is connected to Northwind Robotics, Inc." in printed
    assert re.search(r"Can be synced: .*card_transactions", printed)
    assert "bxt_sandbox" not in printed
    assert desk.secrets() == {"api_key": "bxt_sandbox"}
    commands.run("sync")
    assert "connected" in commands.run("status")
    assert "Northwind" in commands.run("connections")


def test_consent_is_pasted_on_a_machine_without_a_browser(desk: Desk, commands: Commands) -> None:
    process = commands.start("connect", "--configuration", "brex", "--no-browser")
    url = question(process)
    assert "cards.pan" not in url
    assert "offline_access" in url
    printed, _ = process.communicate(consent(url) + "\n", timeout=HANGS)
    assert process.returncode == 0, printed
    assert re.search(r"Granted: .*\baccounts.card.readonly\b", printed)
    assert not [secret for secret in secrets_of(desk) if secret in printed]
    commands.run("sync")
    assert desk.refreshes == []


def test_what_workflows_write_with_is_asked_for_on_request(desk: Desk, commands: Commands) -> None:
    process = commands.start(
        "connect", "--configuration", "brex", "--no-browser", "--workflows", "--stream", "cards"
    )
    url = question(process)
    printed, _ = process.communicate(consent(url) + "\n", timeout=HANGS)
    assert process.returncode == 0, printed
    asked = set(parse_qs(urlsplit(url).query)["scope"][0].split())
    writes = {"budgets", "cards", "expenses.card", "users", "vendors"}
    assert writes | {"cards.readonly"} <= asked
    assert "Granted: budgets, budgets.readonly, cards, cards.readonly, " in printed


def test_consent_comes_back_to_this_machine_and_a_stranger_does_not_disturb(
    desk: Desk, commands: Commands
) -> None:
    process = commands.start("connect", "--configuration", "brex-staging")
    url = question(process)
    redirect = consent(url)
    stranger = httpx.get(re.sub("state=[^&]+", "state=stranger0123", redirect))
    assert stranger.status_code == 400
    assert httpx.get(redirect.replace("/callback", "/other")).status_code == 400
    answer = httpx.get(redirect)
    assert (answer.status_code, "close this page" in answer.text) == (200, True)
    printed, _ = process.communicate(timeout=HANGS)
    assert process.returncode == 0, printed
    assert desk.row().configuration == "brex-staging"
    shown = commands.run("connections")
    assert "brex-staging at http://127.0.0.1" in shown
    assert "dies unless used" in shown


def test_saying_no_connects_nothing(desk: Desk, commands: Commands) -> None:
    process = commands.start("connect", "--configuration", "brex")
    httpx.get(consent(question(process), answer="deny"))
    printed, _ = process.communicate(timeout=HANGS)
    assert process.returncode == 1
    assert "without consent: The person said no" in printed
    assert "Traceback" not in printed
    assert desk.authority.requests == []


def test_scopes_and_roles_that_are_missing_hide_streams(desk: Desk, commands: Commands) -> None:
    process = commands.start("connect", "--configuration", "brex")
    scopes = ["companies.readonly", "accounts.cash.readonly", "users.readonly"]
    httpx.get(consent(question(process), scope=scopes, employee="yes"))
    printed, _ = process.communicate(timeout=HANGS)
    [can] = re.findall(r"^Can be synced: (.*)$", printed, re.MULTILINE)
    readable = {"current_user", "users", "user_limits", "cost_centers", "company"}
    assert set(can.split(", ")) == readable
    assert "Cannot be synced: cards: " in printed
    assert "cards.readonly" in printed
    assert "Cannot be synced: cash_accounts: " in printed
    assert "Must be cash admin" in printed


def test_a_scope_lost_by_a_key_is_told_by_status_until_its_stream_is_left_out(
    desk: Desk, commands: Commands
) -> None:
    commands.run("connect", "--configuration", "brex-api-key", typed="bxt_sandbox\n")
    chosen = {"BREX_SYNC_STREAMS": "users,cards"}
    commands.run("sync", **chosen)
    commands.run("status", **chosen)
    missing = '{"type":"FORBIDDEN","message":"Missing required scope cards.readonly"}'
    desk.faults.add(Fault(FaultKind.STATUS, "/v2/cards", times=None, status=403, body=missing))
    commands.run("sync", **chosen)
    printed = commands.run("status", code=1, **chosen)
    assert "Brex no longer lets it read cards" in " ".join(printed.split())
    commands.run("status", BREX_SYNC_STREAMS="users")


def test_a_refresh_token_from_elsewhere_is_used_up_and_replaced(
    desk: Desk, commands: Commands
) -> None:
    desk.oauth()
    imported = desk.secrets()["refresh_token"]
    commands.run(
        "connect", "--configuration", "brex", "--import-refresh-token", typed=imported + "\n"
    )
    assert imported in desk.authority.used
    assert desk.secrets()["refresh_token"] in desk.authority.refresh
    again = commands.run("connect", "--import-refresh-token", typed=imported + "\n", code=1)
    assert "invalid_grant" in again
    assert imported not in again


def test_a_refused_connection_is_repaired_by_connecting_again_without_a_full_resync(
    desk: Desk, commands: Commands
) -> None:
    commands.run("connect", "--configuration", "brex-api-key", typed="bxt_sandbox\n")
    commands.run("sync")
    desk.authority.revoke_everything()
    refused = commands.run("sync", code=1)
    assert "Run `brex-sync connect brex`" in refused
    before = len(desk.app.state.requests)
    assert "Run `brex-sync connect brex`" in commands.run("status", code=1)
    assert "RECONNECT_REQUIRED" in commands.run("connections", code=1)
    commands.run("sync", code=1)
    assert len(desk.app.state.requests) == before
    desk.authority.keys["bxt_new"] = TokenPermissions()
    commands.run("connect", typed="bxt_new\n")
    printed = commands.run("sync", "--stream", "card_transactions")
    fetched = re.search(r"card_transactions: (\d+) rows fetched", printed)
    assert fetched is not None, printed
    assert int(fetched[1]) < 50


def test_another_company_is_not_poured_into_the_same_tables(desk: Desk, commands: Commands) -> None:
    commands.run("connect", "--configuration", "brex-api-key", typed="bxt_sandbox\n")
    company = desk.app.state.sandbox.world.collection("company")
    company.delete("cuacc_northwind")
    company.add({"id": "cuacc_other", "legal_name": "Other Ltd"})
    said = commands.run("connect", typed="bxt_sandbox\n", code=1)
    assert "that is Other Ltd, and the tables of brex hold Northwind Robotics" in said
    said = commands.run(
        "connect", "other", "--configuration", "brex-api-key", typed="bxt_sandbox\n"
    )
    assert "other is connected to Other Ltd" in said
    entries = yaml.safe_load((desk.home / "connections.yaml").read_text())["connections"]
    assert list(entries) == ["brex", "other"]


def test_the_sandboxs_tables_are_not_taken_for_a_company(desk: Desk, commands: Commands) -> None:
    commands.run("sync", "--stream", "users", BREX_CONFIGURATION="sandbox")
    said = commands.run("connect", "--configuration", "brex-api-key", typed="bxt_sandbox\n", code=1)
    assert "hold the sandbox's company" in said


def test_a_key_of_the_environment_stays_there(desk: Desk, commands: Commands) -> None:
    (commands.folder / ".env").write_text("BREX_API_KEY=bxt_sandbox\n")
    printed = commands.run("connect")
    assert "brex is connected to Northwind" in printed
    assert desk.row().secrets is None
    assert not (desk.home / "connections.yaml").exists()
    commands.run("sync", "--stream", "users")
    desk.authority.keys["bxt_second"] = TokenPermissions()
    commands.run("connect", "second", "--configuration", "brex-api-key", typed="bxt_second\n")
    shown = commands.run("connections")
    assert "brex: connected" in shown
    assert "second: connected" in shown
    assert "bxt_" not in (desk.home / "connections.yaml").read_text()


def test_a_file_of_the_persons_own_is_not_written_to(desk: Desk, commands: Commands) -> None:
    own = commands.folder / "connections.yaml"
    own.write_text("connections: {a: {configuration: sandbox}}  # mine\n")
    said = commands.run(
        "connect", "b", "--configuration", "brex-api-key", typed="bxt_sandbox\n", code=1
    )
    assert "add this line there first: b: {" in said
    assert own.read_text().endswith("# mine\n")


def test_disconnecting_revokes_and_forgets(desk: Desk, commands: Commands) -> None:
    process = commands.start("connect", "--configuration", "brex")
    httpx.get(consent(question(process)))
    process.communicate(timeout=HANGS)
    desk.vault.open(desk.row().secrets or "")
    assert "revoked at Brex" in commands.run("disconnect", "brex")
    assert all(issued.grant.revoked for issued in desk.authority.access.values())
    assert not (desk.home / "connections.yaml").exists()
    with pytest.raises(AssertionError):
        desk.row()


def test_what_brex_does_not_revoke_is_not_forgotten(desk: Desk, commands: Commands) -> None:
    process = commands.start("connect", "--configuration", "brex")
    httpx.get(consent(question(process)))
    process.communicate(timeout=HANGS)
    said = commands.run("disconnect", "brex", code=1, BREX_CLIENT_SECRET="wrong")
    assert "revoking answered 401" in said
    assert desk.row().secrets is not None
    assert "revoke it in the Brex dashboard" in commands.run("disconnect", "brex", "--forget")


def test_a_dead_connection_is_only_forgotten(desk: Desk, commands: Commands) -> None:
    credentials = desk.oauth()
    desk.authority.revoke_everything()
    desk.age(hours=2)
    with pytest.raises(ActionNeeded):
        credentials.access()
    said = commands.run("disconnect", "brex", BREX_CONFIGURATION="brex")
    assert "brex is forgotten." in said
    assert "dashboard" not in said
    assert "BREX_CONFIGURATION" in said


def test_a_new_key_seals_everything_and_the_old_one_opens_nothing(
    desk: Desk, commands: Commands
) -> None:
    desk.key("bxt_sandbox", "one")
    desk.key("bxt_team", "two")
    given = desk.vault.seal({"inputs": "{}"})
    assert workflow_runs.start_run(desk.engine, "a run", "one", "lock-card", "me", given) is None
    before = desk.row("one").secrets
    file = desk.home / "encryption.key"
    old = file.read_text()
    assert "of 2 connections" in commands.run("connections", "rotate-key")
    assert file.read_text() != old
    assert "," not in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert desk.row("one").secrets != before
    sealed = workflow_runs.sealed_inputs(desk.engine, "a run") or ""
    assert (sealed != given, desk.vault.open(sealed)) == (True, {"inputs": "{}"})
    assert desk.secrets("two") == {"api_key": "bxt_team"}


def test_one_key_of_the_environment_cannot_be_replaced_by_itself(
    desk: Desk, commands: Commands
) -> None:
    key = (desk.home / "encryption.key").read_text().strip()
    said = commands.run("connections", "rotate-key", code=1, BREX_SYNC_ENCRYPTION_KEY=key)
    assert "put the new key before the old one" in said
    assert key not in said


def test_without_the_key_that_sealed_the_others_nothing_new_is_sealed(
    desk: Desk, commands: Commands
) -> None:
    desk.key("bxt_sandbox", "one")
    Path(desk.home / "encryption.key").unlink()
    said = commands.run(
        "connect", "two", "--configuration", "brex-api-key", typed="bxt_sandbox\n", code=1
    )
    assert "bring it back, or set BREX_SYNC_ENCRYPTION_KEY" in said
    assert not (desk.home / "encryption.key").exists()


def test_how_to_connect_must_be_said_once(desk: Desk, commands: Commands) -> None:
    assert "--configuration brex" in commands.run("connect", code=1)


def test_a_key_brex_does_not_take_is_not_stored(desk: Desk, commands: Commands) -> None:
    said = commands.run(
        "connect", "--configuration", "brex-api-key", typed="bxt_wrong_one\n", code=1
    )
    assert "Brex does not take it" in said
    assert "bxt_wrong_one" not in said


def test_a_token_endpoint_that_fails_for_a_moment_costs_no_sync(
    desk: Desk, commands: Commands
) -> None:
    desk.oauth()
    desk.age(hours=2)
    desk.faults.add(Fault(FaultKind.STATUS, f"{ISSUER}/v1/token", status=503, times=2))
    commands.run("sync", "--stream", "users", BREX_CONFIGURATION="brex")
    assert desk.refreshes == ["HTTP 503", "HTTP 503", ""]


def test_keys_are_replaced_while_tokens_are_renewed(desk: Desk, commands: Commands) -> None:
    credentials = desk.oauth()
    rotating = [commands.start("connections", "rotate-key") for _ in range(2)]
    for _ in range(200):
        desk.age(hours=2)
        credentials.access()
        if all(process.poll() is not None for process in rotating):
            break
    assert [process.wait(timeout=HANGS) for process in rotating] == [0, 0]
    assert set(desk.refreshes) == {""}
    assert desk.secrets()["refresh_token"] in desk.authority.refresh
    credentials.access()
