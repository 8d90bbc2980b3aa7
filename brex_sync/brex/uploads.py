"""Uploads of files to the links that Brex returns. A link is its own permission and lies outside
Brex's API, so the bearer token is never sent there: this is a separate client.
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
    """Puts a file to `link`. Repeating it has no further effect. `name` is for messages.

    Raises:
        LinkRefused: the link was rejected.
        BrexError: the file could not be put. The message never has the link, which is a permission.
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
