"""Whether the parts that were started answer, and have loaded what they need."""

import json
import socket
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import ProxyHandler, Request, build_opener

from brex_sync.errors import CodeNotLoaded

PATIENCE = 60
"""Seconds for one answer; who waits asks again."""
LOADED = (
    "{workspaceOrError{... on Workspace{locationEntries{loadStatus locationOrLoadError"
    "{... on PythonError{message}}}}}}"
)
_OPENER = build_opener(ProxyHandler({}))
"""Asks this machine itself, whatever proxy the environment names: the token stays here."""


def listens(path: Path) -> bool:
    """Whether somebody listens on a socket of the file system."""
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0


def answers(url: str, token: str | None = None) -> bool:
    """Whether a GET is answered, with the token where one is given."""
    return _asked(Request(url), token) is not None  # noqa: S310


def has_loaded(url: str, token: str) -> bool:
    """Whether Dagster, whose UI is at `url`, has loaded our code.

    Raises:
        CodeNotLoaded: it could not.
    """
    body = json.dumps({"query": LOADED}).encode()
    headers = {"Content-Type": "application/json"}
    answer = _asked(Request(f"{url}/graphql", body, headers), token)  # noqa: S310
    try:
        found = json.loads(answer or b"")["data"]["workspaceOrError"].get("locationEntries", [])
    except ValueError:
        return False
    return bool(found) and all(_is_loaded(entry) for entry in found)


def _is_loaded(entry: dict[str, Any]) -> bool:
    if message := (entry["locationOrLoadError"] or {}).get("message"):
        raise CodeNotLoaded(f"Dagster cannot load brex_sync: {message.strip().splitlines()[-1]}")
    return bool(entry["loadStatus"] == "LOADED")


def _asked(request: Request, token: str | None) -> bytes | None:
    if token is not None:
        request.add_header("Authorization", f"Bearer {token}")
    try:
        with _OPENER.open(request, timeout=PATIENCE) as answer:
            content: bytes = answer.read()
            return content
    except (URLError, OSError, HTTPException):
        return None
