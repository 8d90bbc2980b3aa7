"""Where a credential goes on the wire: to the host it is for, over TLS that is proved."""

import asyncio
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from brex_sync.brex.application import Application
from brex_sync.brex.client import BrexApi, BrexClient, Meter, Patience
from brex_sync.brex.oauth import OAuth
from brex_sync.brex.paging import fetch_item, listing_of
from brex_sync.brex.rate_limit import RateLimiter
from brex_sync.brex.strict_json import read_item
from brex_sync.connections.declared import load_connections
from brex_sync.errors import BrexError, OAuthError, SettingsError, Unreachable, UnusableAnswer
from brex_sync.settings import load_settings
from brex_sync.streams import STREAMS

ONCE = Patience(deadline=5, attempts=1)


class Server(ThreadingHTTPServer):
    """Answers everything with `status` and `headers`; notes what it was sent."""

    status = 200
    location = ""

    def __init__(self) -> None:
        self.seen: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                outer.seen.append(str(self.headers))
                self.send_response(outer.status)
                if outer.location:
                    self.send_header("Location", outer.location)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def do_GET(self) -> None:
                self.answer()

            def do_POST(self) -> None:
                self.answer()

            def log_message(self, *_: Any) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()


@pytest.fixture
def server() -> Iterator[Server]:
    opened = Server()
    yield opened
    opened.shutdown()


@pytest.fixture
def other() -> Iterator[Server]:
    opened = Server()
    yield opened
    opened.shutdown()


def get(url: str, path: str = "/v2/company") -> Any:
    async def ask() -> Any:
        endpoint = BrexApi(url, lambda: "at_secret")
        async with BrexClient(endpoint, RateLimiter(), ONCE) as client:
            return await client.get(path, {}, read_item, Meter())

    return asyncio.run(ask())


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(server: Server, other: Server, status: int) -> None:
    server.status, server.location = status, f"http://127.0.0.1:{other.server_port}/v2/company"
    with pytest.raises(UnusableAnswer, match=str(status)):
        get(f"http://127.0.0.1:{server.server_port}")
    assert len(server.seen) == 1
    assert "at_secret" in server.seen[0]
    assert other.seen == []


@pytest.fixture
def self_signed(server: Server, tmp_path: Path) -> str:
    """The server behind a certificate nobody vouches for."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), False
        )
        .sign(key, hashes.SHA256())
    )
    pem = tmp_path / "server.pem"
    pem.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    return f"https://127.0.0.1:{server.server_port}"


def test_a_certificate_nobody_vouches_for_gets_no_credential(
    server: Server, self_signed: str
) -> None:
    with pytest.raises(Unreachable, match="certificate"):
        get(self_signed)
    application = Application(self_signed, "client", "secret", "http://127.0.0.1/")
    with pytest.raises(OAuthError, match="certificate"), OAuth(application) as oauth:
        oauth.refresh("rt_secret")
    assert server.seen == []


def asked_for_user(key: str) -> list[bytes]:
    """The paths in which a user of that identifier is asked for."""
    seen: list[bytes] = []

    def note(request: httpx.Request) -> httpx.Response:
        seen.append(request.url.raw_path)
        return httpx.Response(404)

    async def ask() -> None:
        endpoint = BrexApi("https://api.brex.test", lambda: "at_secret")
        async with BrexClient(endpoint, RateLimiter(), ONCE, httpx.MockTransport(note)) as client:
            await fetch_item(client, STREAMS["users"], key, Meter())

    with pytest.raises(BrexError):
        asyncio.run(ask())
    return seen


@pytest.mark.parametrize("key", ["a/../b", "x?limit=1", "é#%2f", "../cards/1/lock"])
def test_identifiers_are_percent_encoded(key: str) -> None:
    (path,) = asked_for_user(key)
    assert path.startswith(b"/v2/users/")
    assert path.count(b"/") == 3
    assert b"?" not in path
    listed = listing_of(STREAMS["cash_transactions"], key, {}, None)
    assert listed.path.count("/") == STREAMS["cash_transactions"].path.count("/")


@pytest.mark.parametrize("key", ["a/../pan", "../cards/1/pan", "%2e%2e%2fcards%2f1%2fPAN"])
def test_an_identifier_that_spells_a_card_number_s_path_is_not_asked_for(key: str) -> None:
    assert asked_for_user(key) == []


@pytest.mark.parametrize("variable", ["BREX_API_URL", "BREX_AUTH_URL"])
def test_a_host_without_https_is_refused_before_anything_is_sent(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BREX_SYNC_HOME", str(tmp_path))
    monkeypatch.setenv("BREX_CONFIGURATION", "brex")
    monkeypatch.setenv(variable, "http://brex.example.com")
    load_settings.cache_clear()
    with pytest.raises(SettingsError, match="not https"):
        load_connections(load_settings())
    load_settings.cache_clear()
