"""The guard as the settings of a home say, and what `up` tells of it."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.responses import PlainTextResponse

from brex_sync.guarding import FILE, guarded, ui_token
from brex_sync.runtime.supervisor import _of_ui
from brex_sync.settings import Settings


def settings(home: Path, **more: Any) -> Settings:
    return Settings(_env_file=None, BREX_SYNC_HOME=home, **more)


def ask(
    made: Settings, port: int = 3000, peer: str = "127.0.0.1", host: str = "", **headers: str
) -> int:
    """The status of a GET to the guard that such settings make."""

    async def go() -> int:
        app = guarded(PlainTextResponse("in"), made, port)
        transport = httpx.ASGITransport(app, client=(peer, 5000))
        base = f"http://{host or f'127.0.0.1:{port}'}"
        async with httpx.AsyncClient(transport=transport, base_url=base) as client:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            return (await client.get("/server_info", headers=named)).status_code

    return asyncio.run(go())


def test_by_default_the_home_s_token_lets_in(tmp_path: Path) -> None:
    made = settings(tmp_path)
    assert ask(made) == 401
    token = (tmp_path / FILE).read_text().strip()
    assert ui_token(made) == token
    assert ask(made, Authorization=f"Bearer {token}") == 200
    assert ask(made, X_Forwarded_User="ada") == 401
    [link, where] = _of_ui(3000, made)
    assert link.endswith(f" http://127.0.0.1:3000/?token={token}")
    assert str(tmp_path / FILE) in where


def test_a_proxy_is_trusted_at_its_address_for_its_header(tmp_path: Path) -> None:
    made = settings(
        tmp_path,
        BREX_SYNC_UI_AUTH="proxy",
        BREX_SYNC_UI_AUTH_FROM="10.0.0.7, ::1",
        BREX_SYNC_UI_AUTH_HEADER="Remote-User",
        BREX_SYNC_UI_HOSTS="dagster.example.com, localhost:8000",
    )
    assert ask(made, peer="10.0.0.7", host="dagster.example.com", Remote_User="ada") == 200
    assert ask(made, peer="::1", host="localhost:8000", Remote_User="ada") == 200
    assert ask(made, peer="10.0.0.8", Remote_User="ada") == 401
    assert ask(made, peer="10.0.0.7", X_Forwarded_User="ada") == 401
    assert ask(made, peer="10.0.0.7", host="evil.example", Remote_User="ada") == 403
    [told] = _of_ui(3000, made)
    assert "10.0.0.7" in told
    assert ui_token(made) not in told


def test_no_login_has_to_be_asked_for_and_is_warned_of(tmp_path: Path) -> None:
    made = settings(tmp_path, BREX_SYNC_UI_AUTH="none")
    assert ask(made) == 200
    assert ask(made, Origin="http://evil.example") == 403
    assert "WARNING" in " ".join(_of_ui(3000, made))


@pytest.mark.parametrize("port", [3000, 8787])
def test_every_port_of_a_home_has_the_same_login(tmp_path: Path, port: int) -> None:
    made = settings(tmp_path)
    assert ask(made, port, Authorization=f"Bearer {ui_token(made)}") == 200
