"""The command that asks Brex anything, with the stored credential."""

from __future__ import annotations

import asyncio
import sys
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from brex_sync.brex.allowed import READS
from brex_sync.brex.strict_json import clean
from brex_sync.cli.common import ConnectionName
from brex_sync.errors import SettingsError, Transient
from brex_sync.terminal import agree, errors, say, say_json

if TYPE_CHECKING:
    from brex_sync.brex.client import BrexClient, BrexRequest, Reply
    from brex_sync.client.calls import Params
    from brex_sync.client.filtering import Filter


def register(cli: typer.Typer) -> None:
    """Adds the command of this module."""
    cli.command()(request)


def request(
    method: Annotated[str, typer.Argument(help="GET, POST, PUT or DELETE.")],
    path: Annotated[str, typer.Argument(help="The path, such as /v2/users/me.")],
    query: Annotated[
        list[str] | None,
        typer.Option("-q", "--query", help="A parameter, as name=value; may be given repeatedly."),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option("-d", "--data", help="JSON to send, or @file to read it from (@- for stdin)."),
    ] = None,
    paginate: Annotated[
        bool,
        typer.Option(
            "--paginate", help="Read a list to its end: one item per line, as the pages come."
        ),
    ] = False,
    jq: Annotated[
        str | None,
        typer.Option("--jq", help="Apply a jq program to the answer, or to each item of a list."),
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="Do not ask before something is written at Brex.")
    ] = False,
    idempotency_key: Annotated[
        str | None,
        typer.Option(help="Do it once for this key; a POST or PUT gets a new one if not given."),
    ] = None,
    connection: ConnectionName = None,
) -> None:
    """Ask Brex anything with the stored credential, and print its answer as JSON.

    Numbers are printed as Brex wrote them. What Brex refuses is told in one line, with its trace
    id, and ends with 1. Whatever is not a GET asks first.
    """
    from brex_sync.client.calls import call_of
    from brex_sync.client.filtering import Filter

    call = call_of(method, path, _params(query or []), _data(data), idempotency_key)
    chosen = Filter(jq) if jq is not None else None
    if paginate and call.method not in READS:
        raise SettingsError("--paginate reads a list, so it goes with GET")
    if call.method not in READS and not yes:
        _confirm(call)
    asyncio.run((_list if paginate else _ask)(call, chosen, connection))


async def _ask(call: BrexRequest, chosen: Filter | None, connection: str | None) -> None:
    from brex_sync.client.opening import opened

    async with opened(connection) as client:
        reply = await _sent(client, call)
    body, _ = clean(reply.body)
    if not body.strip():
        return
    try:
        text = msgspec.json.format(body, indent=2)
    except msgspec.DecodeError:
        say(body.decode())
        return
    for line in await _filtered(chosen, text):
        say_json(line)


async def _sent(client: BrexClient, call: BrexRequest) -> Reply:
    from brex_sync.brex.client import Meter

    try:
        return await client.send(call, Meter())
    except Transient:
        if call.idempotency_key is not None:
            errors.print(
                "Whether it was done is not known. To have it done once, ask for it again with "
                f"--idempotency-key {call.idempotency_key}",
                highlight=False,
                soft_wrap=True,
            )
        raise


async def _list(call: BrexRequest, chosen: Filter | None, connection: str | None) -> None:
    from brex_sync.client.listing import pages
    from brex_sync.client.opening import opened

    async with (
        opened(connection) as client,
        aclosing(pages(client, call.path, call.params)) as walked,
    ):
        async for page in walked:
            for item in page.items:
                line = msgspec.json.format(item, indent=-1)
                for one in await _filtered(chosen, line):
                    say_json(one)


async def _filtered(chosen: Filter | None, text: bytes) -> list[str]:
    """What a jq program makes of an answer. It ends when the command is stopped."""
    if chosen is None:
        return [text.decode()]
    try:
        return await asyncio.to_thread(chosen.results, text)
    except asyncio.CancelledError:
        chosen.close()
        raise


def _confirm(call: BrexRequest) -> None:
    if not sys.stdin.isatty():
        raise SettingsError(f"{call} may change something at Brex: say --yes to do it")
    agree(f"{call} may change something at Brex. Do it?")


def _params(given: list[str]) -> Params:
    params: dict[str, list[str]] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not name or not equals or not text.isprintable():
            raise SettingsError(f"-q {text!a}: expected name=value, such as limit=10")
        params.setdefault(name, []).append(value)
    return params


def _data(given: str | None) -> bytes | None:
    if given is None:
        return None
    body = _read(given[1:]) if given.startswith("@") else given.encode("utf-8", "replace")
    try:
        msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"-d is not JSON: {error}") from None
    return body


def _read(name: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise SettingsError(f"-d @{name}: {error.strerror}") from None
