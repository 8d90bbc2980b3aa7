"""What reaches an app behind the guard, and what doesn't, whoever is logged in."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brex_sync.web.auth import Auth
from brex_sync.web.checks import SINGLE
from brex_sync.web.hosts import Host
from brex_sync_tests.web.asking import BEARER, FETCH, HOST, OURS, PAGE, PORT, Toy

JSON = ("content-type", "application/json")
SITES = ("cross-site", "same-site")
EVIL = ("http://evil.example", f"http://localhost:{PORT}", "http://127.0.0.1:9999", "null")


@pytest.fixture(params=["bearer", "cookie", "none"])
def inside(request: Any) -> tuple[Toy, list[tuple[str, str]]]:
    """A toy and the headers of somebody who is let in: by the token, a session, or as anybody."""
    if request.param == "none":
        return Toy(auth=Auth.NONE), []
    toy = Toy()
    return toy, [BEARER if request.param == "bearer" else toy.cookie()]


def test_the_app_s_own_page_reads_and_writes(inside: Any) -> None:
    toy, who = inside
    ours = [("origin", OURS), ("sec-fetch-site", "same-origin"), *FETCH, *who]
    assert toy.post(headers=ours).text == "in"
    assert toy.post("/graphql?op=RunsRootQuery", headers=ours).text == "in"
    assert toy.ask(target="/logs/x.out", headers=ours).text == "in"
    assert toy.ask(headers=[*PAGE, ("sec-fetch-site", "none"), *who]).text == "in"
    assert toy.ask("WEBSOCKET", "/graphql", ours).status == 101


def test_programs_need_neither_origin_nor_sec_fetch(inside: Any) -> None:
    toy, who = inside
    assert toy.post(headers=who).text == "in"
    assert toy.ask(target="/server_info", headers=who).text == "in"


@pytest.mark.parametrize("origin", EVIL)
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "OPTIONS", "WEBSOCKET"])
def test_no_page_of_another_origin_gets_through(inside: Any, method: str, origin: str) -> None:
    toy, who = inside
    headers = [JSON, ("origin", origin), ("sec-fetch-site", "cross-site"), *FETCH, *who]
    assert toy.ask(method, "/graphql", headers, b"{}").status == 403
    assert toy.ask(method, "/graphql", [JSON, ("origin", origin), *who]).status == 403
    assert toy.ask(method, "/logout", [("origin", origin), *who]).status == 403
    assert not toy.reached


@pytest.mark.parametrize("site", SITES)
@pytest.mark.parametrize(
    ("method", "mode", "dest"),
    [
        ("POST", "navigate", "document"), ("GET", "no-cors", "image"), ("GET", "cors", "empty"),
        ("GET", "navigate", "iframe"), ("GET", "navigate", "object"), ("GET", "no-cors", "script"),
        ("HEAD", "no-cors", "empty"), ("POST", "no-cors", "empty"),
    ],
)  # fmt: skip
def test_only_a_page_load_may_come_from_elsewhere(
    inside: Any, site: str, method: str, mode: str, dest: str
) -> None:
    toy, who = inside
    fetch = [("sec-fetch-site", site), ("sec-fetch-mode", mode), ("sec-fetch-dest", dest)]
    assert toy.ask(method, "/", [JSON, *fetch, *who]).status == 403
    assert not toy.reached


@pytest.mark.parametrize("site", SITES)
@pytest.mark.parametrize("told", [("sec-fetch-mode", "no-cors"), ("sec-fetch-dest", "image")])
def test_a_browser_that_tells_less_is_taken_at_its_word(inside: Any, site: str, told: Any) -> None:
    toy, who = inside
    assert toy.ask(headers=[("sec-fetch-site", site), told, *who]).status == 403
    assert not toy.reached


@pytest.mark.parametrize("path", ["/runs%0A", "/%00", "/a%0D%0Ab", "/%7F", "/%09"])
def test_a_path_is_one_line(inside: Any, path: str) -> None:
    toy, who = inside
    assert toy.ask(target=path, headers=who).status == 400
    assert not toy.reached


def test_a_link_elsewhere_leads_to_the_page(inside: Any) -> None:
    toy, who = inside
    assert toy.ask(headers=[*PAGE, ("sec-fetch-site", "cross-site"), *who]).text == "in"


def test_a_websocket_names_its_page(inside: Any) -> None:
    toy, who = inside
    assert toy.ask("WEBSOCKET", "/graphql", who).status == 403
    assert not toy.reached


@pytest.mark.parametrize("host", [None, "", "evil.example", f"evil.example:{PORT}", "127.0.0.1"])
@pytest.mark.parametrize("method", ["GET", "POST", "WEBSOCKET"])
def test_only_by_our_names_is_it_reached(inside: Any, method: str, host: str | None) -> None:
    toy, who = inside
    headers = [JSON, ("origin", f"http://{host}"), ("sec-fetch-site", "same-origin"), *who]
    assert toy.ask(method, "/graphql", headers, host=host).status in (400, 403)
    assert not toy.reached


def test_another_name_that_is_listed_is_ours_too() -> None:
    toy = Toy(others=(Host("dagster.example.com"),))
    headers = [JSON, ("origin", "https://dagster.example.com"), BEARER]
    assert toy.ask("POST", "/graphql", headers, b"{}", "dagster.example.com").text == "in"
    assert toy.ask("POST", "/graphql", headers, b"{}").status == 403


@pytest.mark.parametrize("name", SINGLE)
@pytest.mark.parametrize("method", ["GET", "POST", "WEBSOCKET"])
def test_a_header_that_is_there_twice_is_refused(inside: Any, method: str, name: str) -> None:
    toy, who = inside
    base = {"host": HOST, "origin": OURS, JSON[0]: JSON[1], "sec-fetch-site": "same-origin"}
    headers = dict([*base.items(), *who])
    twice = [*headers.items(), (name, headers.get(name, "same-origin"))]
    if name not in headers:
        twice.append(twice[-1])
    assert toy.ask(method, "/graphql", twice, b"{}", host=None).status in (400, 403)
    assert not toy.reached


@pytest.mark.parametrize(
    "target",
    [
        "/graphql?query=mutation{x}", "/graphql?op=x&query=mutation{x}", "/graphql?variables=",
        "/graphql%0A?query=mutation{x}", "/graphql/?query=mutation{x}", "/graphql?%71uery=x",
        "/graphql?operationName=x&op=y",
    ],
)  # fmt: skip
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
def test_graphql_in_the_address_reaches_nobody(inside: Any, method: str, target: str) -> None:
    toy, who = inside
    assert toy.ask(method, target, [JSON, *who], b'{"query": "{x}"}').status == 400
    assert not toy.reached


@pytest.mark.parametrize(
    "media",
    [
        "", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x",
        "application/graphql", "text/plain; application/json", "application/jsonx",
        "text/plain;charset=application/json", "application/json, text/plain",
        "multipart/application/json",
    ],
)  # fmt: skip
@pytest.mark.parametrize("path", ["/graphql", "/report_asset_materialization/x", "/whatever"])
def test_what_a_form_can_send_is_not_taken(inside: Any, path: str, media: str) -> None:
    toy, who = inside
    assert toy.ask("POST", path, [("content-type", media), *who], b"{}").status == 415
    assert not toy.reached


@pytest.mark.parametrize("media", ["application/json", "application/JSON; charset=utf-8"])
def test_json_is_taken_however_it_is_named(inside: Any, media: str) -> None:
    toy, who = inside
    assert toy.ask("POST", "/graphql", [("content-type", media), *who], b"{}").text == "in"


def test_a_post_anywhere_has_its_parameters_in_the_body(inside: Any) -> None:
    toy, who = inside
    assert toy.post("/report_asset_materialization/x?metadata={}", who).status == 400
    assert not toy.reached


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "get", "QUERY"])
def test_other_methods_are_unknown(inside: Any, method: str) -> None:
    toy, who = inside
    assert toy.ask(method, "/graphql", [JSON, *who], b"{}").status == 405
    assert not toy.reached


def test_every_answer_is_kept_from_foreign_frames_and_windows() -> None:
    toy = Toy()
    asked = [
        toy.ask(headers=[BEARER]), toy.ask(headers=PAGE), toy.ask(host="evil.example"),
        toy.ask(target="/login", headers=PAGE), toy.ask("PUT", headers=[BEARER]),
        toy.ask(target="/?token=x", headers=PAGE), toy.ask(target="/server_info", headers=FETCH),
    ]  # fmt: skip
    assert [one.status for one in asked] == [200, 401, 403, 401, 405, 401, 401]
    for answer in asked:
        policies = ",".join(answer.headers.getlist("content-security-policy"))
        assert "frame-ancestors 'none'" in policies
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "same-origin"
        assert answer.headers["cross-origin-opener-policy"] == "same-origin"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert "access-control-allow-origin" not in answer.headers
    assert "script-src 'none'" in asked[0].headers.getlist("content-security-policy")


@given(st.sampled_from(SINGLE), st.binary(max_size=30), st.text(max_size=20))
def test_no_header_and_no_path_gets_in_or_breaks_it(name: str, value: bytes, path: str) -> None:
    toy = Toy()
    headers = [(name, value.decode("latin-1"))]
    for method in ("GET", "POST", "WEBSOCKET"):
        toy.ask(method, "/" + path.replace("?", ""), headers)
    assert not toy.reached
