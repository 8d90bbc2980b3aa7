"""Who is let in, how a browser comes by a session, and that the token stays where it belongs."""

from ipaddress import ip_network
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brex_sync.errors import SettingsError
from brex_sync.tokens import kept_token
from brex_sync.web import sessions
from brex_sync.web.auth import Auth, Vouching
from brex_sync.web.login import FORM, WRONG
from brex_sync.web.sessions import LASTS, Sessions
from brex_sync_tests.web.asking import BEARER, FETCH, OURS, PAGE, TOKEN, Answer, Toy

FORM_TYPE = ("content-type", "application/x-www-form-urlencoded")
FROM_HERE = [FORM_TYPE, ("origin", OURS), ("sec-fetch-site", "same-origin"), *PAGE]


def type_in(toy: Toy, token: str, target: str = "/", headers: Any = FROM_HERE) -> Answer:
    body = f"next={quote(target)}&token={quote(token)}".encode()
    return toy.ask("POST", "/login", headers, body)


def test_a_stranger_is_asked_to_log_in() -> None:
    toy = Toy()
    page = toy.ask(target="/runs?q=1", headers=PAGE)
    assert page.status == 401
    assert '<form method="post" action="/login">' in page.text
    assert 'value="/runs?q=1"' in page.text
    assert "<script" not in page.text
    assert toy.post().status == 401
    assert toy.ask(target="/server_info", headers=FETCH).headers["www-authenticate"] == "Bearer"
    ours = [("origin", OURS), ("sec-fetch-site", "same-origin")]
    assert toy.ask("WEBSOCKET", "/graphql", ours).status == 403
    assert not toy.reached


@pytest.mark.parametrize(
    ("said", "secure"),
    [
        ([("x-forwarded-proto", "https")], True),
        ([("x-forwarded-proto", "http")], False),
        ([], False),
    ],
)
def test_a_session_got_over_tls_goes_out_over_tls_only(
    said: list[tuple[str, str]], secure: bool
) -> None:
    answer = Toy().ask(target=f"/?token={TOKEN}", headers=[*PAGE, *said])
    assert ("Secure" in answer.headers["set-cookie"].split("; ")) is secure


@pytest.mark.parametrize(
    "shown", ["", "Bearer", "Bearer x", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN}x", "Bearer é"]
)
def test_nothing_but_the_token_is_a_bearer_s(shown: str) -> None:
    toy = Toy()
    assert toy.post(headers=[("authorization", shown)]).status == 401
    assert not toy.reached


def test_the_token_in_the_address_is_exchanged_and_left_behind() -> None:
    toy = Toy()
    answer = toy.ask(target=f"/runs/1?a=%26&token={TOKEN}&b=", headers=PAGE)
    assert (answer.status, answer.headers["location"]) == (303, "/runs/1?a=%26&b=")
    cookie = answer.headers["set-cookie"]
    assert {"HttpOnly", "SameSite=strict", f"Max-Age={LASTS}", "Path=/"} <= set(cookie.split("; "))
    assert "domain" not in cookie.lower()
    assert answer.headers["cache-control"] == "no-store"
    assert TOKEN not in str(answer.headers) + answer.text
    assert not toy.reached
    session = ("cookie", cookie.partition(";")[0])
    assert toy.ask(target="/runs/1?a=%26&b=", headers=[*PAGE, session]).text == "in"


@pytest.mark.parametrize(
    "target",
    ["//evil.example/", "/\\evil.example/", "///evil.example", "/%5Cevil.example", "/%2F/evil"],
)
def test_no_address_leads_elsewhere(target: str) -> None:
    toy = Toy()
    for answer in (
        toy.ask(target=f"{target}?token={TOKEN}", headers=PAGE),
        type_in(toy, TOKEN, target),
        type_in(toy, TOKEN, "https://evil.example"),
        type_in(toy, TOKEN, "\t//evil.example"),
    ):
        assert answer.status == 303
        location = answer.headers["location"]
        assert location.startswith("/")
        assert location[1:2] not in ("/", "\\")
        assert not set(location) & set("\t\r\n ")


def test_a_wrong_token_in_the_address_is_not_shown_again() -> None:
    answer = Toy().ask(target="/?token=almost-right", headers=PAGE)
    assert answer.status == 401
    assert "not the token" in answer.text
    assert "almost-right" not in answer.text
    assert "set-cookie" not in answer.headers


def test_only_a_page_load_exchanges_the_token() -> None:
    toy = Toy()
    for headers in (FETCH, [("sec-fetch-site", "cross-site"), *FETCH]):
        answer = toy.ask(target=f"/?token={TOKEN}", headers=headers)
        assert answer.status in (401, 403)
        assert "set-cookie" not in answer.headers
    assert toy.post(f"/?token={TOKEN}").status == 401


def test_the_token_can_be_typed_in() -> None:
    toy = Toy()
    answer = type_in(toy, f" {TOKEN} ", "/runs?a=b&c=d")
    assert (answer.status, answer.headers["location"]) == (303, "/runs?a=b&c=d")
    session = ("cookie", answer.headers["set-cookie"].partition(";")[0])
    assert toy.post(headers=[session]).text == "in"
    wrong = type_in(toy, "wrong", '"><script>alert(1)</script>')
    assert wrong.status == 401
    assert "<script" not in wrong.text


@pytest.mark.parametrize(
    "headers",
    [
        [FORM_TYPE],
        [FORM_TYPE, ("origin", "null")],
        [FORM_TYPE, ("origin", "http://127.0.0.1:9999"), ("sec-fetch-site", "same-site")],
    ],
)
def test_no_other_page_logs_anybody_in_or_out(headers: Any) -> None:
    toy = Toy()
    assert type_in(toy, TOKEN, headers=headers).status == 403
    out = toy.ask("POST", "/logout", [*headers, toy.cookie()])
    assert out.status in (403, 405)
    assert "set-cookie" not in out.headers


@pytest.mark.parametrize("body", [b"", b"token", b"\xff=\xff", b"&&=&", b"token=" + b"x" * FORM])
def test_an_odd_form_is_a_wrong_token(body: bytes) -> None:
    assert Toy().ask("POST", "/login", FROM_HERE, body).status == 401


def test_who_is_logged_in_can_log_out() -> None:
    toy = Toy()
    session = toy.cookie()
    page = toy.ask(target="/login", headers=[*PAGE, session])
    assert page.status == 200
    assert 'action="/logout"' in page.text
    out = toy.ask("POST", "/logout", [*FROM_HERE, session])
    assert (out.status, out.headers["location"]) == (303, "/login")
    assert "Max-Age=0" in out.headers["set-cookie"]
    assert toy.ask(target="/logout", headers=[*PAGE, session]).status == 405
    assert not toy.reached


def test_a_link_elsewhere_is_followed_once_the_browser_shows_its_cookie() -> None:
    """Strict cookies do not come with it, so our own page goes on to the same address."""
    toy = Toy()
    page = toy.ask(target="/runs/1?a=b&c", headers=[*PAGE, ("sec-fetch-site", "cross-site")])
    assert page.status == 401
    assert '<meta http-equiv="refresh" content="0; url=/runs/1?a=b&amp;c">' in page.text
    again = toy.ask(target="/runs/1", headers=[*PAGE, ("sec-fetch-site", "same-origin")])
    assert "refresh" not in again.text
    assert "<form" in again.text


def test_one_session_opens_every_port_of_the_same_home_and_no_other_home() -> None:
    ui, service, other = Toy(), Toy(port=8787), Toy(token="the-token-of-another-home")
    assert service.ask(headers=[ui.cookie()], host="127.0.0.1:8787").text == "in"
    assert other.ask(headers=[ui.cookie()]).status == 401
    assert ui.cookie()[1].partition("=")[0] != other.cookie()[1].partition("=")[0]
    stolen = ui.cookie()[1].partition("=")[2]
    assert other.ask(headers=[("cookie", f"{Sessions(other.token).cookie}={stolen}")]).status == 401


def test_a_session_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    one = Sessions(TOKEN)
    session = one.new()
    assert one.knows(session)
    monkeypatch.setattr(sessions, "LASTS", -1)
    assert not one.knows(session)


def test_a_session_is_new_each_time_and_does_not_hold_the_token() -> None:
    one = Sessions(TOKEN)
    assert one.new() != one.new()
    assert TOKEN not in one.new() + one.cookie


@given(st.text(st.characters(max_codepoint=255), max_size=120))
def test_no_other_text_is_a_session_or_the_token(text: str) -> None:
    one = Sessions(TOKEN)
    assert not one.knows(text)
    assert not one.is_token(text)


@given(st.data())
def test_no_changed_session_is_one(data: Any) -> None:
    one = Sessions(TOKEN)
    session = one.new()
    at = data.draw(st.integers(0, len(session) - 4))
    changed = "A" if session[at] != "A" else "B"
    assert not one.knows(session[:at] + changed + session[at + 1 :])


def test_guessing_is_limited_and_does_not_keep_programs_or_sessions_out() -> None:
    toy = Toy()
    session = toy.cookie()
    for _ in range(WRONG):
        assert type_in(toy, "wrong").status == 401
    assert type_in(toy, TOKEN).status == 429
    assert toy.ask(target=f"/?token={TOKEN}", headers=PAGE).status == 429
    assert toy.ask(headers=[session]).text == "in"
    assert toy.ask(headers=[BEARER]).text == "in"


def test_a_minute_later_tokens_are_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    toy = Toy()
    for _ in range(WRONG):
        type_in(toy, "wrong")
    monkeypatch.setattr("brex_sync.web.login.WITHIN", 0.0)
    assert type_in(toy, TOKEN).status == 303


PROXY = Vouching("X-Forwarded-User", (ip_network("10.1.0.0/16"), ip_network("::1")))
NAMED = ("x-forwarded-user", "ada@example.com")


@pytest.mark.parametrize("peer", ["10.1.2.3", "::1"])
def test_a_proxy_s_word_is_taken_at_its_address(peer: str) -> None:
    toy = Toy(Auth.PROXY, PROXY)
    assert toy.ask(headers=[NAMED], peer=peer).text == "in"
    assert toy.ask("WEBSOCKET", "/", [NAMED, ("origin", OURS)], peer=peer).status == 101


@pytest.mark.parametrize("peer", ["127.0.0.1", "10.2.0.1", "", "unix:", "10.1.2.3.evil"])
def test_the_same_word_of_anybody_else_is_not(peer: str) -> None:
    toy = Toy(Auth.PROXY, PROXY)
    assert toy.ask(headers=[NAMED], peer=peer).status == 401
    assert toy.ask("WEBSOCKET", "/", [NAMED, ("origin", OURS)], peer=peer).status == 403
    assert not toy.reached


@pytest.mark.parametrize("headers", [[], [("x-forwarded-user", " ")], [NAMED, NAMED]])
def test_a_proxy_names_one_person(headers: Any) -> None:
    toy = Toy(Auth.PROXY, PROXY)
    assert toy.ask(headers=headers, peer="10.1.2.3").status == 401


def test_behind_a_proxy_there_is_no_second_login_and_foreign_pages_stay_out() -> None:
    toy = Toy(Auth.PROXY, PROXY)
    assert toy.ask(target=f"/?token={TOKEN}", headers=PAGE).status == 401
    assert toy.ask(headers=[Toy().cookie()]).status == 401
    assert toy.ask(headers=[BEARER]).text == "in"
    evil = [NAMED, ("origin", "http://evil.example")]
    assert toy.ask("POST", "/graphql", evil, peer="10.1.2.3").status == 403


def test_a_proxy_s_header_says_nothing_where_no_proxy_is_trusted() -> None:
    toy = Toy(vouching=PROXY)
    assert toy.ask(headers=[NAMED], peer="10.1.2.3").status == 401
    assert Toy(Auth.PROXY).ask(headers=[NAMED], peer="10.1.2.3").status == 401


def test_nobody_has_to_log_in_where_that_is_asked_for() -> None:
    toy = Toy(Auth.NONE)
    assert toy.ask(headers=PAGE).text == "in"
    assert toy.post().text == "in"


def test_a_token_is_kept_for_its_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "home" / "ui-token"
    token = kept_token(file, "but_")
    assert kept_token(file, "but_") == token
    assert file.stat().st_mode & 0o777 == 0o600
    file.chmod(0o644)
    with pytest.raises(SettingsError, match="read by others"):
        kept_token(file, "but_")


@pytest.mark.parametrize("content", [b"", b"\n", b"short", b"\xff" * 40])
def test_a_file_without_a_token_lets_nobody_in(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "ui-token"
    file.touch(0o600)
    file.write_bytes(content)
    with pytest.raises(SettingsError, match="ui-token"):
        kept_token(file, "but_")
