"""Asking a sandbox in this process."""

import asyncio
from typing import Any

import httpx

from brex_sync.sandbox.app import TOKEN


def get(app: Any, path: str, token: str | None = TOKEN, **kw: Any) -> httpx.Response:
    """One request; keywords as httpx has them."""

    async def ask() -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://brex.test", headers=headers
        ) as client:
            return await client.request(kw.pop("method", "GET"), path, **kw)

    return asyncio.run(ask())


def listed(app: Any, path: str, **params: Any) -> list[dict[str, Any]]:
    """All items of a list, page after page."""
    found: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        answer = get(app, path, params=params | cursor)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        found += page["items"]
        if page["next_cursor"] is None:
            return found
        cursor = {"cursor": page["next_cursor"]}


def ids(app: Any, path: str, **params: Any) -> list[str]:
    """The ids of a list."""
    return [item["id"] for item in listed(app, path, **params)]
