"""Others are told of what changed: signed, until they take it, and nobody waits for anybody."""

import asyncio
import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from pydantic import SecretStr, ValidationError
from standardwebhooks import Webhook
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from brex_sync.connections.connect import rotate_key
from brex_sync.errors import SettingsError
from brex_sync.http_server import running
from brex_sync.runtime.syncing import open_sync
from brex_sync.settings import Settings
from brex_sync.streams import STREAMS
from brex_sync.sync.report import Report
from brex_sync.warehouse.events import outbox
from brex_sync.webhooks import notify
from brex_sync_tests.sandbox.hearing import Receiver, receiving
from brex_sync_tests.waiting import wait_until
from brex_sync_tests.webhooks.conftest import SECRET, Office, signed, told

KEY = "whsec_" + SECRET
BODY = told("USER_UPDATED", user_id="cuuser_00001")


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


def tell(office: Office, *urls: str, **more: Any) -> None:
    office.settings = office.settings.model_copy(
        update={"notify_urls": ",".join(urls), "notify_secret": SecretStr(KEY), **more}
    )


def sync(office: Office, *names: str) -> Report:
    async def go() -> Report:
        async with open_sync(office.settings, office.connection) as run:
            return await run.run([STREAMS[name] for name in names])

    return asyncio.run(go())


def deliver(office: Office, seconds: float = 20.0) -> int:
    return asyncio.run(notify.deliver(office.rig.engine, office.settings, seconds))


def states(office: Office) -> list[tuple[Any, ...]]:
    return office.rig.rows("SELECT state, tries FROM brex_sync.notifications ORDER BY number")


def make_due(office: Office, days: int = 0) -> None:
    with office.rig.engine.begin() as db:
        db.execute(
            sa.text(
                "UPDATE brex_sync.notifications SET next_try_at = now(), "
                "created_at = created_at - make_interval(days => :days)"
            ),
            {"days": days},
        )


def test_a_sync_that_changed_something_is_told_and_one_that_did_not_is_not(
    office: Office, receiver: Receiver
) -> None:
    tell(office, receiver.url)
    sync(office, "users", "departments")
    assert {h.body["data"]["stream"] for h in receiver.heard} == {"users", "departments"}
    count = len(office.rig.live("users"))
    [first] = [h for h in receiver.heard if h.body["data"]["stream"] == "users"]
    assert first.body["type"] == "stream.changed"
    data = first.body["data"]
    since = data.pop("changed_since")
    assert data == {
        "connection": "brex",
        "stream": "users",
        "kind": "manual",
        "inserted": count,
        "updated": 0,
        "deleted": 0,
    }
    sync(office, "users")
    assert len(receiver.heard) == 2
    office.world.collection("users").edit("cuuser_00001", title_id=None)
    office.world.collection("users").delete("cuuser_00004")
    sync(office, "users")
    data = receiver.heard[-1].body["data"]
    assert (data["inserted"], data["updated"], data["deleted"]) == (0, 1, 1)
    query = "SELECT id FROM brex.users WHERE _changed_at >= :since ORDER BY id"
    changed = office.rig.rows(query, since=datetime.fromisoformat(data["changed_since"]))
    assert changed == [("cuuser_00001",), ("cuuser_00004",)]
    everything = office.rig.rows(query, since=datetime.fromisoformat(since))
    assert len(everything) == count


def test_whoever_is_told_can_verify_it(office: Office, receiver: Receiver) -> None:
    tell(office, receiver.url)
    sync(office, "departments")
    [heard] = receiver.heard
    assert Webhook(KEY).verify(heard.raw, heard.headers) == heard.body
    assert signed(heard.raw, heard.id, age=0).keys() <= {
        name.title() for name in heard.headers
    }  # fmt: skip


def test_rows_that_an_event_changed_are_told_too(office: Office, receiver: Receiver) -> None:
    office.know(SECRET)
    tell(office, receiver.url)
    office.deliver(BODY)
    office.process()
    assert deliver(office) == 1
    data = receiver.heard[0].body["data"]
    assert (data["stream"], data["kind"], data["inserted"]) == ("users", "webhook", 1)


def test_events_are_forwarded_on_request_once_and_as_they_came(
    office: Office, receiver: Receiver
) -> None:
    office.know(SECRET)
    tell(office, receiver.url)
    office.deliver(BODY, "msg_0")
    assert deliver(office) == 0
    tell(office, receiver.url, notify_events=True)
    office.deliver(BODY)
    office.deliver(BODY)
    assert deliver(office) == 1
    [heard] = receiver.heard
    assert heard.body["type"] == "brex.event"
    expected = {"connection": "brex", "id": "msg_1", "event": json.loads(BODY)}
    assert heard.body["data"] == expected


def test_what_is_not_taken_is_sent_again_under_its_id_until_it_is(
    office: Office, receiver: Receiver
) -> None:
    tell(office, receiver.url)
    receiver.statuses = [500, 404, 302]
    sync(office, "departments")
    for _ in range(5):
        assert states(office)[0][0] == "waiting" or len(receiver.heard) == 4
        make_due(office)
        deliver(office)
    assert states(office) == [("done", 4)]
    assert receiver.ids() == [receiver.heard[0].id] * 4


def test_waits_grow_and_it_is_given_up_after_days_and_shown(office: Office) -> None:
    tell(office, "http://127.0.0.1:9/hook")
    sync(office, "departments")
    assert deliver(office) == 0, "it is not due"
    waits = []
    for _ in range(3):
        make_due(office)
        deliver(office)
        waits.append(
            office.rig.one(
                "SELECT round(extract(epoch FROM next_try_at - now()))::int "
                "FROM brex_sync.notifications"
            )
        )
    assert waits == [pytest.approx(s, abs=1) for s in (10, 20, 40)]
    make_due(office, days=4)
    deliver(office)
    assert states(office) == [("given_up", 5)]
    [url] = outbox.not_taken(office.rig.warehouse)
    assert (url.waiting, url.given_up, url.note) == (0, 1, "ConnectError")


def test_a_receiver_that_hangs_stalls_no_other_and_a_redirect_is_not_followed(
    office: Office, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notify, "PATIENCE", 1.0)
    elsewhere: list[str] = []

    async def hang(request: Request) -> Response:
        await asyncio.sleep(30)
        return Response()

    async def redirect(request: Request) -> Response:
        return RedirectResponse("/elsewhere", 307)

    async def note(request: Request) -> Response:
        elsewhere.append(request.url.path)
        return Response()

    app = Starlette(
        routes=[
            Route("/hang", hang, methods=["POST"]),
            Route("/redirect", redirect, methods=["POST"]),
            Route("/elsewhere", note, methods=["POST"]),
        ]
    )
    with running(app) as url:
        tell(office, f"{url}/hang", f"{url}/redirect", receiver.url)
        sync(office, "departments", "locations", "titles")
        assert len(receiver.heard) == 3
    assert elsewhere == []
    by_url = office.rig.rows(
        "SELECT url, count(*) FILTER (WHERE tries > 0), max(note) FROM brex_sync.notifications "
        "WHERE state = 'waiting' GROUP BY url ORDER BY url"
    )
    assert by_url == [
        (f"{url}/hang", 1, "no answer within 1 s"),
        (f"{url}/redirect", 1, "answered 307"),
    ]


def test_several_who_send_at_once_send_each_thing_once(office: Office, receiver: Receiver) -> None:
    tell(office, receiver.url)
    letters = [outbox.Notice(receiver.url, "stream.changed", "{}") for _ in range(40)]
    with office.rig.engine.begin() as db:
        outbox.put(db, "brex", letters)

    async def all_at_once() -> list[int]:
        sends = (notify.deliver(office.rig.engine, office.settings, 20.0) for _ in range(4))
        return await asyncio.gather(*sends)

    assert sum(asyncio.run(all_at_once())) == 40
    assert len(set(receiver.ids())) == len(receiver.ids()) == 40


def test_the_service_sends_by_itself(office: Office, receiver: Receiver) -> None:
    tell(office, receiver.url)
    with office.rig.engine.begin() as db:
        outbox.put(db, "brex", [outbox.Notice(receiver.url, "stream.changed", '{"a": 1}')])
    with running(office.service()):
        wait_until(lambda: len(receiver.heard) == 1)


@pytest.mark.parametrize("url", ["http://example.com/x", "ftp://127.0.0.1/", "example.com"])
def test_what_is_told_goes_only_where_none_can_read_along(office: Office, url: str) -> None:
    tell(office, url)
    with pytest.raises(SettingsError, match="neither https nor this machine"):
        notify.targets(office.settings)


@pytest.mark.parametrize(
    "wrong",
    [{"notify_urls": "https://a.example"}, {"notify_secret": "short"}, {"notify_secret": "é" * 40}],
)
def test_a_secret_is_needed_and_must_be_one(wrong: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="openssl rand"):
        Settings(home=tmp_path, **wrong)


def test_a_new_key_seals_brexs_secrets_too(office: Office) -> None:
    office.know(SECRET)
    before = office.rig.one("SELECT secrets FROM brex_sync.webhook_secrets")
    rotate_key(office.settings)
    assert office.rig.one("SELECT secrets FROM brex_sync.webhook_secrets") != before
    assert office.post(BODY, signed(BODY)).status_code == 200
