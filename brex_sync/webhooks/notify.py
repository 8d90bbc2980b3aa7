"""Others told, by signed webhooks of our own, of what changed here and of Brex's events.

Signed by Standard Webhooks, so that any of its libraries verifies what comes. A notice is in the
outbox before it is sent, and is sent until it is taken, so it may come twice: under one id.
"""

import asyncio
import logging
from datetime import UTC, datetime

import httpx
import msgspec
import sqlalchemy as sa
from standardwebhooks import Webhook

from brex_sync.brex.addresses import is_private
from brex_sync.brex.cookies import no_cookies
from brex_sync.errors import SettingsError
from brex_sync.settings import Settings
from brex_sync.sync.notices import notices
from brex_sync.warehouse.events import outbox
from brex_sync.warehouse.events.inbox import InboxEvent
from brex_sync.warehouse.events.outbox import Letter, Notice

log = logging.getLogger(__name__)

FORWARDED = "brex.event"
PATIENCE = 10.0
"""Seconds a receiver has to answer."""


def targets(settings: Settings) -> tuple[str, ...]:
    """The URLs to be told.

    Raises:
        SettingsError: one is not private.
    """
    urls = tuple(url.strip() for url in settings.notify_urls.split(",") if url.strip())
    for url in urls:
        if not is_private(url):
            raise SettingsError(f"BREX_SYNC_NOTIFY_URLS: {url} is neither https nor this machine")
    return urls


def forwarded(settings: Settings, connection: str, event: InboxEvent) -> list[Notice]:
    """The notices that pass a verified event of Brex on, if that is asked for."""
    if not settings.notify_events:
        return []
    data = {"connection": connection, "id": event.id, "event": msgspec.Raw(event.body.encode())}
    return notices(targets(settings), FORWARDED, data, datetime.now(UTC))


async def deliver(engine: sa.Engine, settings: Settings, seconds: float) -> int:
    """Sends what is due, to all URLs side by side; answers how much was taken.

    A URL that does not take a notice is left for this time: the others don't wait for it. Several
    processes may do this at once: each notice is sent by one of them.

    Raises:
        PostgresError: the outbox could not be read, or noted in.
    """
    urls = targets(settings)
    if settings.notify_secret is None or not urls:
        return 0
    due = [url for url in await asyncio.to_thread(outbox.urls_due, engine) if url in urls]
    if not due:
        return 0
    signer = Webhook(settings.notify_secret.get_secret_value())
    end = asyncio.get_running_loop().time() + seconds
    async with httpx.AsyncClient(
        timeout=PATIENCE, follow_redirects=False, cookies=no_cookies()
    ) as http:
        posts = [_post_all(engine, http, signer, url, end) for url in due]
        return sum(await asyncio.gather(*posts))


async def _post_all(
    engine: sa.Engine, http: httpx.AsyncClient, signer: Webhook, url: str, end: float
) -> int:
    """Sends one URL what is due, in order, until it does not take one or the time is over."""
    count = 0
    while asyncio.get_running_loop().time() < end:
        letter = await asyncio.to_thread(outbox.claim, engine, url)
        if letter is None:
            break
        fault = await _post(http, signer, letter)
        if fault is not None:
            log.warning("a notification was not taken by %s: %s", _host(url), fault)
            await asyncio.to_thread(outbox.failed, engine, letter, fault)
            break
        await asyncio.to_thread(outbox.taken, engine, letter)
        count += 1
    return count


async def _post(http: httpx.AsyncClient, signer: Webhook, letter: Letter) -> str | None:
    """What went wrong, or None. The answer's body is not read."""
    now = datetime.now(UTC).replace(microsecond=0)
    headers = {
        "content-type": "application/json",
        "user-agent": "brex-sync",
        "webhook-id": letter.id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": signer.sign(letter.id, now, letter.body),
    }
    try:
        async with (
            asyncio.timeout(PATIENCE),
            http.stream("POST", letter.url, content=letter.body, headers=headers) as answer,
        ):
            status = answer.status_code
    except TimeoutError:
        return f"no answer within {PATIENCE:g} s"
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return type(error).__name__
    return None if 200 <= status < 300 else f"answered {status}"


def _host(url: str) -> str:
    """Where it goes, without what may be secret in it."""
    return httpx.URL(url).host
