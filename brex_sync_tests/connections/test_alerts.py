"""Alerts: one per fault, by Apprise, webhook or mail, and never lost to a target that is down."""

import json
import logging
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from typer.testing import CliRunner

from brex_sync.cli import cli
from brex_sync.connections import alerts, deprecated_alerts
from brex_sync.connections.alerts import tell_once
from brex_sync.connections.health import Level
from brex_sync.errors import ActionNeeded, SettingsError
from brex_sync.runtime.health import check_health
from brex_sync.settings import Settings, load_settings
from brex_sync.streams import STREAMS
from brex_sync.warehouse import Warehouse
from brex_sync.warehouse.state import checkpoints
from brex_sync.warehouse.state.checkpoints import Slice
from brex_sync_tests.connections.conftest import Desk
from brex_sync_tests.waiting import HANGS


@dataclass
class Target:
    """A webhook that notes what it is sent, and answers with `status`."""

    url: str = ""
    status: int = 200
    told: list[bytes] = field(default_factory=list)


@pytest.fixture
def target() -> Iterator[Target]:
    found = Target()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            found.told.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(found.status)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    found.url = f"http://127.0.0.1:{server.server_port}/hook"
    yield found
    server.shutdown()


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch, target: Target) -> Settings:
    return Settings(_env_file=None, BREX_SYNC_ALERT_URL=target.url)


@pytest.fixture
def by_apprise(target: Target) -> Settings:
    return Settings(_env_file=None, BREX_SYNC_ALERT_URLS=apprise_url(target))


def apprise_url(target: Target) -> str:
    return target.url.replace("http://", "json://")


def look(desk: Desk, settings: Settings) -> None:
    """What every look at a connection does."""
    try:
        desk.credentials().keep_alive()
    except ActionNeeded:
        pass
    tell_once(settings, desk.engine, desk.health())


def test_revoking_at_brex_leads_to_one_request_one_alert_and_quiet(
    desk: Desk, settings: Settings, target: Target
) -> None:
    desk.oauth()
    look(desk, settings)
    desk.authority.revoke_everything()
    for _ in range(30):
        desk.pass_time(days=1)
        look(desk, settings)
    assert desk.refreshes == ["invalid_grant"]
    assert len(target.told) == 1
    assert b"brex-sync connect brex" in target.told[0]
    assert target.told[0].startswith(b'{"text":')


def test_an_apprise_target_is_told_once(desk: Desk, by_apprise: Settings, target: Target) -> None:
    desk.oauth()
    desk.pass_time(days=91)
    for _ in range(3):
        look(desk, by_apprise)
    [told] = map(json.loads, target.told)
    assert (told["title"], told["type"]) == ("brex_sync: brex", "failure")
    assert "brex-sync connect brex" in told["message"]


def test_every_target_is_told_and_one_that_is_down_holds_nobody_up(
    desk: Desk, target: Target, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        nobody = f"json://127.0.0.1:{closed.getsockname()[1]}/hidden"
    here = apprise_url(target)
    settings = Settings(_env_file=None, alert_urls=f"{here}/1, {nobody} {here}/2,")
    desk.oauth()
    desk.pass_time(days=91)
    look(desk, settings)
    look(desk, settings)
    assert len(target.told) == 2
    [told] = [record.message for record in caplog.records if "did not take" in record.message]
    assert told == "the target of URL 2 of BREX_SYNC_ALERT_URLS did not take the alert"


def test_an_apprise_target_that_is_down_is_tried_again(
    desk: Desk, by_apprise: Settings, target: Target
) -> None:
    desk.oauth()
    desk.pass_time(days=91)
    target.status = 500
    look(desk, by_apprise)
    target.status = 200
    look(desk, by_apprise)
    look(desk, by_apprise)
    assert len(target.told) == 2


@pytest.mark.parametrize("status", [200, 302, 500])
def test_no_address_is_logged_at_any_level(
    desk: Desk, target: Target, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    target.status = status
    settings = Settings(_env_file=None, alert_url=target.url, alert_urls=apprise_url(target))
    desk.oauth()
    desk.pass_time(days=91)
    with caplog.at_level(logging.DEBUG):
        look(desk, settings)
    assert len(target.told) == 2
    assert "/hook" not in caplog.text


@pytest.mark.parametrize(
    "url",
    [
        "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ",
        "https://hooks.slack.com/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ",
        "mailtos://user:secret@example.com?to=ops@example.com,desk@example.com",
        "jsons://hooks.example.com/secret?:message=text",
        "json://localhost:8080/secret",
        "json://[::1]:8080/secret",
        "ntfy://topic",
        "syslog://",
    ],
)
def test_what_apprise_can_use_passes_the_check(url: str) -> None:
    settings = Settings(_env_file=None, alert_urls=f"{url},json://127.0.0.1/x")
    assert settings.alert_targets == [url, "json://127.0.0.1/x"]
    alerts.check(settings)


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("slak://hidden/b/c", "Apprise cannot use URL 2"),
        ("slack://hidden", "Apprise cannot use URL 2"),
        ("https://example.com/hidden", "Apprise cannot use URL 2"),
        ("json://example.com/hidden", "URL 2 is not encrypted and not of this machine"),
        ("mailto://user:hidden@example.com", "URL 2 is not encrypted and not of this machine"),
        ("rsyslog://hidden.example.com", "URL 2 is not encrypted and not of this machine"),
    ],
)
def test_up_refuses_a_url_that_could_not_be_told(
    monkeypatch: pytest.MonkeyPatch, clean_environment: None, url: str, told: str
) -> None:
    monkeypatch.setenv("BREX_SYNC_ALERT_URLS", f"json://127.0.0.1/x {url}")
    refused = CliRunner().invoke(cli, ["up"]).exception
    assert isinstance(refused, SettingsError)
    assert f"BREX_SYNC_ALERT_URLS: {told}" in str(refused)
    assert "hidden" not in str(refused)


@pytest.mark.parametrize(
    "urls", ["hooks.slack.com/hidden", "json://h/x hidden", "json://h/x, ://hidden", "a,hidden"]
)
def test_what_is_no_url_is_refused_by_every_command(
    monkeypatch: pytest.MonkeyPatch, clean_environment: None, urls: str
) -> None:
    monkeypatch.setenv("BREX_SYNC_ALERT_URLS", urls)
    with pytest.raises(SettingsError, match=r"BREX_SYNC_ALERT_URLS: number 1 is no URL") as refused:
        load_settings()
    assert "hidden" not in str(refused.value)


def test_the_old_settings_are_called_deprecated_once(
    desk: Desk, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    deprecated_alerts.note.cache_clear()
    alerts.check(settings)
    desk.oauth()
    desk.pass_time(days=91)
    look(desk, settings)
    assert caplog.text.count("BREX_SYNC_ALERT_URLS replaces both") == 1


def test_a_role_that_is_lost_is_told_once_by_the_streams_that_were_read_before(
    desk: Desk, settings: Settings, target: Target
) -> None:
    desk.oauth()
    with desk.engine.begin() as db:
        db.exec_driver_sql(
            "INSERT INTO brex_sync.unavailable (connection, stream, reason, since) VALUES "
            "('brex', 'cards', 'no role', now()), ('brex', 'vendors', 'no role', now())"
        )
    warehouse = Warehouse(desk.engine, "brex")
    checkpoints.open_lease(warehouse, Slice("brex", STREAMS["cards"]))
    connection = desk.credentials().connection
    assert check_health(settings, connection, warehouse).level is Level.WELL, (
        "never read, never lost"
    )
    with desk.engine.begin() as db:
        db.exec_driver_sql("UPDATE brex_sync.checkpoints SET synced_at = now()")
    for _ in range(2):
        tell_once(settings, desk.engine, found := check_health(settings, connection, warehouse))
    assert (found.level, found.usable) == (Level.ACTION, True)
    assert len(target.told) == 1
    assert b"no longer lets it read cards (" in target.told[0]
    without = settings.model_copy(update={"streams": "-cards"})
    assert check_health(without, connection, warehouse).level is Level.WELL


def test_the_next_fault_is_told_again(desk: Desk, settings: Settings, target: Target) -> None:
    for _ in range(2):
        desk.oauth()
        look(desk, settings)
        desk.pass_time(days=91)
        look(desk, settings)
        look(desk, settings)
    assert len(target.told) == 2


def test_a_target_that_is_down_is_tried_again(
    desk: Desk, settings: Settings, target: Target, caplog: pytest.LogCaptureFixture
) -> None:
    desk.oauth()
    desk.pass_time(days=91)
    target.status = 500
    look(desk, settings)
    target.status = 200
    look(desk, settings)
    look(desk, settings)
    assert len(target.told) == 2
    assert "/hook" not in caplog.text


def test_a_warning_is_not_an_alert(desk: Desk, settings: Settings, target: Target) -> None:
    desk.oauth()
    desk.pass_time(days=80)
    tell_once(settings, desk.engine, desk.health())
    assert target.told == []


def test_mail_reaches_who_is_named(desk: Desk) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        got: list[str] = []
        server = threading.Thread(target=_receive_mail, args=(listener, got))
        server.start()
        settings = Settings(  # type: ignore[call-arg]
            _env_file=None,
            BREX_SYNC_SMTP_URL=f"smtp://127.0.0.1:{listener.getsockname()[1]}",
            BREX_SYNC_ALERT_EMAIL="ops@example.com",
        )
        desk.oauth()
        desk.pass_time(days=91)
        look(desk, settings)
        server.join(timeout=HANGS)
    assert "rcpt to:<ops@example.com>" in "\n".join(got).lower()
    assert "brex-sync connect" in "".join(got)


def _receive_mail(listener: socket.socket, got: list[str]) -> None:
    """The least SMTP server that a client believes."""
    connection, _ = listener.accept()
    with connection, connection.makefile("rw", newline="\r\n") as stream:

        def say(line: str) -> None:
            stream.write(f"{line}\n")
            stream.flush()

        say("220 here")
        data = False
        for line in stream:
            got.append(line)
            if data:
                data = line.strip() != "."
                if not data:
                    say("250 taken")
            elif line.upper().startswith("DATA"):
                data = True
                say("354 go on")
            elif line.upper().startswith("QUIT"):
                say("221 bye")
                return
            else:
                say("250 yes")


def test_a_mail_server_without_a_recipient_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BREX_SYNC_SMTP_URL", "smtp://user:hidden@127.0.0.1")
    load_settings.cache_clear()
    with pytest.raises(SettingsError, match="BREX_SYNC_ALERT_EMAIL") as refused:
        load_settings()
    load_settings.cache_clear()
    assert "hidden" not in str(refused.value)
