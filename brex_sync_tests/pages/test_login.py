"""Who sees the pages: a browser that is logged in, and its session opens nothing else."""

from typing import Any

import httpx
import pytest

from brex_sync.guarding import ui_token
from brex_sync_tests.pages.conftest import Visit
from brex_sync_tests.waiting import HANGS

PAGES = ["/", "/rows/spend", "/rows/spend.csv", "/panels/merchants.csv", "/page.css"]


def ask(visit: Visit, path: str, method: str = "GET", **headers: str) -> httpx.Response:
    """A request of somebody without a session."""
    named: Any = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.request(method, f"{visit.url}{path}", headers=named, timeout=HANGS)


@pytest.mark.parametrize("path", PAGES)
def test_without_a_session_there_is_the_login_and_no_number(visit: Visit, path: str) -> None:
    answer = ask(visit, path)
    assert answer.status_code == 401
    assert '<form method="post" action="/login">' in answer.text
    assert "Slack" not in answer.text
    assert visit.get(path).status_code == 200


@pytest.mark.parametrize("path", PAGES)
def test_under_another_name_the_page_is_refused(visit: Visit, path: str) -> None:
    bearer = f"Bearer {ui_token(visit.settings)}"
    for host in ("evil.example", "127.0.0.1:1", "evil.example:8787"):
        assert ask(visit, path, Host=host, Authorization=bearer).status_code == 403


def test_another_page_s_request_is_refused(visit: Visit) -> None:
    for headers in ({"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site",
                    "Sec-Fetch-Mode": "no-cors"}, {"Origin": "http://127.0.0.1:3000"}):  # fmt: skip
        assert visit.browser.get("/", headers=headers).status_code == 403


def test_through_a_proxy_that_hides_the_name_nobody_comes_in(visit: Visit) -> None:
    for header in ("X-Forwarded-For", "CF-Connecting-IP", "Forwarded"):
        assert visit.browser.get("/", headers={header: "203.0.113.5"}).status_code == 403
        assert ask(visit, "/login", **{header: "203.0.113.5"}).status_code == 403


@pytest.mark.parametrize(
    "path",
    ["/proxy/brex/v2/users", "/workflows", "/workflows/brex", "/workflows/brex/terminate-card",
     "/anything", "/rows", "/rows/spend/more", "/%2e%2e/workflows"],
)  # fmt: skip
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_session_opens_pages_and_nothing_else(visit: Visit, path: str, method: str) -> None:
    answer = visit.browser.request(method, path, headers={"Origin": visit.url})
    assert answer.status_code in (401, 404, 405)
    bearer = {"Authorization": f"Bearer {ui_token(visit.settings)}"}
    assert visit.browser.request(method, path, headers=bearer).status_code in (401, 404, 405)


def test_the_service_s_token_opens_no_page(visit: Visit) -> None:
    token = visit.settings.service_token
    assert token is not None
    shown = f"Bearer {token.get_secret_value()}"
    assert ask(visit, "/", Authorization=shown).status_code == 401


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_pages_are_only_read(visit: Visit, method: str) -> None:
    body = {"Content-Type": "application/json", "Origin": visit.url}
    answer = visit.browser.request(method, "/rows/spend", headers=body, content=b"{}")
    assert answer.status_code == 405


def test_webhooks_and_health_ask_for_no_login(visit: Visit) -> None:
    assert ask(visit, "/health").json() == {"status": "up"}
    assert ask(visit, "/webhooks/nobody", "POST").status_code == 404


def test_logging_out_ends_the_browser_s_session(visit: Visit) -> None:
    with httpx.Client(base_url=visit.url, timeout=HANGS) as browser:
        entered = browser.get("/", params={"token": ui_token(visit.settings)})
        assert entered.status_code == 303
        assert browser.get("/").status_code == 200
        assert browser.post("/logout", headers={"Origin": visit.url}).status_code == 303
        assert browser.get("/").status_code == 401
