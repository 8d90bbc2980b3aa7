"""Pages of other origins against the running UI and service, and the person they are for."""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
from starlette.applications import Starlette
from starlette.responses import HTMLResponse
from starlette.routing import Route

from brex_sync.http_server import running
from brex_sync_tests.e2e.conftest import Up
from brex_sync_tests.e2e.test_up import MUTATION, first_run, runs
from brex_sync_tests.waiting import wait_until

pytestmark = pytest.mark.browser
ATTACKS = """
async ({ui, service, address, body, write}) => {
  const told = {};
  const form = (name, action, top) => new Promise(done => {
    const frame = document.createElement('iframe');
    frame.name = name;
    frame.onload = () => done('sent');
    document.body.append(frame);
    const form = document.createElement('form');
    form.method = 'POST';
    form.action = action;
    form.target = name;
    document.body.append(form);
    form.submit();
  });
  const image = (source) => new Promise(done => {
    const image = new Image();
    image.onload = () => done('shown');
    image.onerror = () => done('refused');
    image.src = source;
  });
  const script = (source) => new Promise(done => {
    const script = document.createElement('script');
    script.onload = () => done('ran');
    script.onerror = () => done('refused');
    script.src = source;
    document.head.append(script);
  });
  const ask = (url, options) =>
    fetch(url, {credentials: 'include', ...options}).then(
      answer => answer.type === 'opaque' ? 'opaque' : answer.text(), () => 'refused');
  const stream = (url) => new Promise(done => {
    const stream = new WebSocket(url, 'graphql-ws');
    stream.onopen = () => done('open');
    stream.onerror = () => done('refused');
  });
  const frame = (source) => new Promise(done => {
    const frame = document.createElement('iframe');
    frame.onload = () => done('loaded');
    frame.src = source;
    document.body.append(frame);
  });
  const json = {'Content-Type': 'application/json'};
  const text = {'Content-Type': 'text/plain; application/json'};
  await form('one', ui + address);
  await form('two', service + write);
  told.image = await image(ui + address);
  told.icon = await image(ui + '/favicon.png');
  told.script = await script(ui + '/graphql');
  told.get = await ask(ui + address, {});
  told.page = await ask(ui + '/', {});
  told.cors = await ask(ui + '/graphql', {method: 'POST', headers: json, body});
  await ask(ui + '/graphql', {method: 'POST', mode: 'no-cors', headers: text, body});
  await ask(ui + address, {method: 'POST', mode: 'no-cors'});
  told.logout = await ask(ui + '/logout', {method: 'POST', mode: 'cors'});
  told.write = await ask(service + write, {method: 'POST', headers: json, body: '{}'});
  await ask(service + write, {method: 'POST', mode: 'no-cors', headers: text, body: '{}'});
  told.read = await ask(service + '/workflows', {});
  told.serviceImage = await image(service + '/workflows');
  told.stream = await stream(ui.replace('http', 'ws') + '/graphql');
  told.serviceStream = await stream(service.replace('http', 'ws') + '/');
  await frame(ui + '/runs');
  await frame(ui + address);
  await frame(service + '/health');
  return told;
}
"""
"""What a page tries that a person merely visits. It tells what came of what can be told."""
TOLD = {
    "image", "icon", "script", "get", "page", "cors", "logout", "write", "read", "serviceImage",
    "stream", "serviceStream",
}  # fmt: skip


async def _site(request: Any) -> HTMLResponse:
    ui = request.query_params.get("to", "")
    return HTMLResponse(f"<!doctype html><title>Elsewhere</title><a href='{ui}'>the run</a>")


@pytest.fixture(scope="module", params=["127.0.0.1", "localhost"])
def elsewhere(request: Any) -> Iterator[str]:
    """A page of another origin: at another port of the same name, and under another name."""
    with running(Starlette(routes=[Route("/", _site)])) as url:
        yield f"http://{request.param}:{urlsplit(url).port}"


def attack(page: Any, up: Up, elsewhere: str) -> None:
    """Lets a page elsewhere try everything; nothing is done, and nothing is shown to it."""
    before = runs(up), writes(up)
    answers: list[tuple[str, int]] = []
    asked: list[str] = []
    page.goto("about:blank")
    page.on("request", lambda request: asked.append(request.url))
    page.on("response", lambda answer: answers.append((answer.url, answer.status)))
    page.goto(elsewhere)
    address = f"/graphql?{urlencode({'query': MUTATION})}"
    told = page.evaluate(
        ATTACKS,
        {
            "ui": up.url,
            "service": up.service,
            "address": address,
            "body": json.dumps({"query": MUTATION}),
            "write": "/workflows/brex/terminate-card",
        },
    )
    assert told == dict.fromkeys(TOLD, "refused")
    allowed = [url for url, status in answers if status < 400 and not url.startswith(elsewhere)]
    assert len([url for url in asked if url.startswith((up.url, up.service))]) >= 15
    assert allowed == [f"{up.service}/health"]
    assert not [frame.url for frame in page.frames[1:] if frame.url.startswith("http")]
    assert (runs(up), writes(up)) == before


def writes(up: Up) -> int:
    """How many changes were asked of Brex."""
    return int(up.sql("SELECT count(*) FROM brex_sync.workflow_runs")[0][0])


def test_a_page_elsewhere_does_nothing_to_who_is_logged_in(
    page: Any, up: Up, elsewhere: str
) -> None:
    attack(page, up, elsewhere)
    page.goto(f"{up.url}/runs")
    page.get_by_text("Runs").first.wait_for(timeout=60_000)


def test_a_page_elsewhere_does_nothing_without_a_login(
    stranger: Any, up: Up, elsewhere: str
) -> None:
    attack(stranger, up, elsewhere)


def test_a_form_that_fills_the_window_starts_nothing(page: Any, up: Up, elsewhere: str) -> None:
    before = runs(up)
    page.goto(elsewhere)
    address = f"{up.url}/graphql?{urlencode({'query': MUTATION})}"
    with page.expect_navigation() as sent:
        page.evaluate(
            """address => {
                const form = document.createElement('form');
                form.method = 'POST';
                form.action = address;
                document.body.append(form);
                form.submit();
            }""",
            address,
        )
    assert sent.value.status == 403
    page.goto(elsewhere)
    with page.expect_navigation() as followed:
        page.evaluate("address => { location.href = address }", address)
    assert followed.value.status in (400, 401)
    assert runs(up) == before


def test_a_link_elsewhere_leads_to_the_page(page: Any, up: Up, elsewhere: str) -> None:
    page.goto(f"{elsewhere}/?{urlencode({'to': f'{up.url}/runs'})}")
    page.get_by_text("the run").click()
    page.get_by_text("Runs").first.wait_for(timeout=60_000)
    page.get_by_text("Deployment").first.wait_for(timeout=60_000)
    assert page.url.startswith(f"{up.url}/runs")


def test_a_person_logs_in_by_the_token_and_out_again(stranger: Any, up: Up) -> None:
    stranger.goto(f"{up.url}/runs?tab=all")
    stranger.get_by_label("Token").fill("not the token")
    stranger.get_by_role("button", name="Log in").click()
    stranger.get_by_text("That is not the token").wait_for()
    stranger.get_by_label("Token").fill(up.token)
    stranger.get_by_role("button", name="Log in").click()
    stranger.get_by_text("Deployment").first.wait_for(timeout=60_000)
    assert stranger.url.startswith(f"{up.url}/runs")
    [cookie] = stranger.context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
    assert cookie["name"] not in stranger.evaluate("document.cookie")
    stranger.goto(f"{up.url}/login")
    stranger.get_by_role("button", name="Log out").click()
    stranger.get_by_label("Token").wait_for()
    assert stranger.context.cookies() == []


def test_who_is_logged_in_launches_a_run_as_before(page: Any, up: Up) -> None:
    assert up.await_run(first_run(up)) == "SUCCESS"
    before = runs(up)
    streamed: list[str] = []
    faults: list[str] = []
    page.on(
        "websocket",
        lambda stream: stream.on("framereceived", lambda frame: streamed.append(str(frame))),
    )
    page.on("console", lambda said: faults.append(said.text) if said.type == "error" else None)
    assert "token" not in page.url
    page.goto(f"{up.url}/assets/brex/users")
    page.get_by_role("button", name="Materialize").first.click(timeout=60_000)
    wait_until(lambda: runs(up) == before + 1, "no run was launched")
    found = up.graphql("{runsOrError{... on Runs{results{runId}}}}")["runsOrError"]["results"]
    page.goto(f"{up.url}/runs/{found[0]['runId']}")
    assert up.await_run(found[0]["runId"]) == "SUCCESS"
    page.get_by_text("Success").first.wait_for(timeout=60_000)
    assert streamed
    assert not [fault for fault in faults if "Content Security" in fault or "Refused" in fault]
