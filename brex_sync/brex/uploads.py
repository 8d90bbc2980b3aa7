"""Files put where Brex says: by a link that is its own permission, outside Brex's API.

The bearer token never goes there, so this is a client of its own.
"""

import httpx
import tenacity

from brex_sync.brex.addresses import is_private
from brex_sync.brex.cookies import no_cookies
from brex_sync.errors import LinkRefused, Refused, ServerFault, Transient, Unreachable

LARGEST = 50 * 1024 * 1024
"""Bytes a receipt may have (Brex's expenses reference)."""
DEADLINE = 300.0
"""Seconds for one file."""


async def put_file(
    link: str, name: str, content: bytes, transport: httpx.AsyncBaseTransport | None = None
) -> None:
    """Puts a file where `link` points; doing it twice comes to the same as once. `name` is for
    people.

    Raises:
        LinkRefused: the link does not let it in.
        BrexError: it could not be put; the message never has the link, which is a permission.
    """
    if not is_private(link):
        raise Refused("Brex answered with a link that is not https: the file was not sent")
    async with httpx.AsyncClient(
        transport=transport, timeout=DEADLINE, cookies=no_cookies()
    ) as http:
        async for attempt in tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception_type(Transient),
            stop=tenacity.stop_after_attempt(4),
            wait=tenacity.wait_random_exponential(0.2, 5),
            reraise=True,
        ):
            with attempt:
                await _put(http, link, name, content)


async def _put(http: httpx.AsyncClient, link: str, name: str, content: bytes) -> None:
    try:
        answer = await http.put(link, content=content)
    except httpx.HTTPError as error:
        raise Unreachable(f"{name} could not be put: {type(error).__name__}") from None
    if answer.status_code >= 500 or answer.status_code in (408, 425, 429):
        raise ServerFault(f"{name} could not be put: its store answered {answer.status_code}")
    if answer.status_code in (401, 403, 404):
        raise LinkRefused(f"the link for {name} is good no more ({answer.status_code})")
    if not answer.is_success:
        raise Refused(f"{name} was not taken: its store answered {answer.status_code}")
