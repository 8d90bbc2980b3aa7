"""Where secrets may be sent: parsed as HTTP clients parse it, or not at all."""

import httpx
import pytest
from pydantic import ValidationError

from brex_sync.brex.addresses import is_mail_server, is_private
from brex_sync.settings import Settings

PRIVATE = [
    "https://api.brex.com",
    "https://api.brex.com/oauth2/default?x=1&y=[2]",
    "https://user:password@hooks.example.com:8443/path",
    "https://[2001:db8::1]/x",
    "https://10.0.0.7/hook",
    "http://127.0.0.1:8765/callback",
    "http://localhost/callback",
    "http://[::1]:8765/callback",
]
OTHERS = [
    "", "https:", "https:/", "https://", "https:///x", "https:evil.com", "https:/evil.com",
    "//evil.com", "https://?x", "https://#x", "https://:443/", "https://user@", "https://@/",
    "https://a@b@c/", "https://good.example\\@evil.com/", "https://good.example\\.evil.com",
    "https://evil.com#@good.example", "https://evil.com/#x", "https://ev il.com/",
    "https://evil.com/a b", " https://evil.com", "https://evil.com\n", "https://e\tvil.com/",
    "https://evil.com/\x00", "https://évil.com/", "https://evil.com/é", "https://-evil.com/",
    "https://evil..com/", "https://evil.com:0/", "https://evil.com:99999/",
    "https://evil.com:x/", "https://[::1/", "https://[x]/", "https://1.2.3/",
    "https://0x7f.1/", "https://256.1.1.1/", "https://0.0.0.0/", "https://%65vil.com/",
    "ftp://127.0.0.1/", "HTTP://example.com/", "http://example.com/",
    "http://127.0.0.1.evil.com/", "http://localhost.evil.com", "http://localhost@evil.com/",
    "http://127.0.0.1:80@evil.com/", "http://127.0.0.2/", "http://2130706433/",
    "http://0.0.0.0/", "http://[::ffff:127.0.0.1]/", "http://[::]/", "http://localhost./",
    "javascript:alert(1)", "file:///etc/passwd", "https://evil.com<script>",
    "http://127.0.0.1#@evil.com/",
]  # fmt: skip


@pytest.mark.parametrize("url", PRIVATE)
def test_a_plain_address_is_taken_as_the_client_takes_it(url: str) -> None:
    assert is_private(url)
    assert httpx.URL(url).host in url


@pytest.mark.parametrize("url", OTHERS)
def test_what_is_no_plain_address_is_not(url: str) -> None:
    assert not is_private(url)


MAIL = [
    "smtps://user%40a.b:p%3Aw@mail.example.com:465",
    "smtp://127.0.0.1:25",
    "smtp://mail.example",
]
NO_MAIL = [
    "", "smtp:", "smtp://", "smtp:mail.example", "smtp://127.0.0.1:x", "smtp://127.0.0.1:99999",
    "smtp://[::1", "https://mail.example", "smtp://a b", "smtp://mail.example\n", "mail.example:25",
]  # fmt: skip


@pytest.mark.parametrize("url", MAIL)
def test_a_mail_server_is_taken(url: str) -> None:
    assert is_mail_server(url)
    Settings(smtp_url=url, alert_email="a@b.example")


@pytest.mark.parametrize("url", NO_MAIL)
def test_what_is_none_is_told_without_its_value(url: str) -> None:
    assert not is_mail_server(url)
    if url:
        with pytest.raises(ValidationError, match="expected smtps://user:password@host:465"):
            Settings(smtp_url=url, alert_email="a@b.example")


@pytest.mark.parametrize("url", [url for url in OTHERS if url])
def test_no_alert_goes_anywhere_else(url: str) -> None:
    with pytest.raises(ValidationError, match="so no alert goes there"):
        Settings(alert_url=url)
