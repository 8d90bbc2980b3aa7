"""Names of hosts are taken apart, and never compared as they stand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brex_sync.web.hosts import Host, Hosts


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("127.0.0.1:3000", Host("127.0.0.1", 3000)),
        ("LocalHost", Host("localhost")),
        ("[::1]:3000", Host("[::1]", 3000)),
        ("[0:0:0:0:0:0:0:1]", Host("[::1]")),
        ("ui_1.example.com:65535", Host("ui_1.example.com", 65535)),
    ],
)
def test_a_host_is_a_name_and_a_port(text: str, host: Host) -> None:
    assert Host.parse(text) == host


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "x@127.0.0.1:3000", "127.0.0.1:3000@evil.example", "127.0.0.1:3000 ",
        "127.0.0.1:3000/", "127.0.0.1:3000#", "127.0.0.1:3000,evil.example", "127.0.0.1:",
        "127.0.0.1:0", "127.0.0.1:65536", "127.0.0.1:3000:3000", "127.0.0.1:३", "[::1", "::1",
        "[127.0.0.1]", "[::1]x", "[:::]", "localhost.", ".localhost", "a..b", "a.-b", "löcal",
        "127.0.0.1:+300", "127.0.0.1:3000\n", "http://127.0.0.1:3000",
    ],
)  # fmt: skip
def test_what_is_more_or_less_than_that_is_none(text: str) -> None:
    assert Host.parse(text) is None


def known(text: str, *others: str, port: int = 3000) -> bool:
    host = Host.parse(text)
    assert host is not None
    return host in Hosts(port, [one for one in map(Host.parse, others) if one])


@pytest.mark.parametrize("text", ["127.0.0.1:3000", "localhost:3000", "[::1]:3000", "[0::1]:3000"])
def test_this_machine_is_known_by_its_names_at_the_port(text: str) -> None:
    assert known(text)


@pytest.mark.parametrize(
    "text",
    [
        "127.0.0.1", "127.0.0.1:80", "localhost:3001", "evil.example:3000", "127.0.0.2:3000",
        "127.1:3000", "2130706433:3000", "localhost.evil.example:3000", "0.0.0.0:3000",
        "[::ffff:127.0.0.1]:3000", "x.localhost:3000",
    ],
)  # fmt: skip
def test_no_other_name_and_no_other_port_is_known(text: str) -> None:
    assert not known(text)


def test_other_names_are_known_where_they_are_listed() -> None:
    assert known("dagster.example.com", "dagster.example.com")
    assert known("dagster.example.com:443", "dagster.example.com")
    assert known("dagster.example.com:8443", "dagster.example.com:8443")
    assert not known("dagster.example.com:8443", "dagster.example.com")
    assert not known("dagster.example.com", "dagster.example.com:8443")
    assert not known("evil.dagster.example.com", "dagster.example.com")
    assert known("localhost", port=80)


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("127.0.0.1:3000", "http://127.0.0.1:3000"),
        ("dagster.example.com", "https://dagster.example.com"),
        ("dagster.example.com:443", "https://dagster.example.com"),
        ("[::1]:3000", "http://[::1]:3000"),
    ],
)
def test_a_page_of_the_host_is_its_own(host: str, origin: str) -> None:
    parsed = Host.parse(host)
    assert parsed is not None
    assert parsed.is_of(origin)


@pytest.mark.parametrize(
    "origin",
    [
        "", "null", "127.0.0.1:3000", "http://127.0.0.1", "http://127.0.0.1:3001", "file://",
        "http://localhost:3000", "http://127.0.0.1:3000.evil.example", "ws://127.0.0.1:3000",
        "http://127.0.0.1:3000@evil.example", "http://evil.example@127.0.0.1:3000",
        "http://127.0.0.1:3000/", "chrome-extension://127.0.0.1:3000", "http://127.0.0.1:3000 x",
    ],
)  # fmt: skip
def test_any_other_page_is_not(origin: str) -> None:
    assert not Host("127.0.0.1", 3000).is_of(origin)


@given(st.text(max_size=30))
def test_no_text_breaks_it(text: str) -> None:
    host = Host.parse(text)
    assert host is None or host not in Hosts(3000) or text.endswith(":3000")
    assert not Host("127.0.0.1", 3000).is_of(text)
