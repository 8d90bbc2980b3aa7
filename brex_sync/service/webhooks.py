"""POST /webhooks/{connection}: the only path meant for the internet."""

import asyncio
import logging

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from brex_sync.errors import BrexSyncError, DeliveryRejected
from brex_sync.service.reception import WebhookReceiver
from brex_sync.webhooks.verify import LARGEST

log = logging.getLogger(__name__)

READING = 10.0
"""Seconds a sender has to send its body."""
STORING = 20.0
"""Seconds after which the sender is told to repeat."""


def routes(reception: WebhookReceiver) -> list[BaseRoute]:
    """The route by which Brex delivers events of a connection."""

    async def deliver(request: Request) -> Response:
        name = request.path_params["connection"]
        if name not in reception.accounts.connections:
            return JSONResponse({"message": "there is no such connection"}, 404)
        try:
            body = await _read(request)
            headers = {key.lower(): value for key, value in request.headers.items()}
            async with asyncio.timeout(STORING):
                await reception.take(name, headers, body)
        except DeliveryRejected as refused:
            reception.refuse(name, refused)
            return JSONResponse({"message": refused.reason}, refused.status)
        except (BrexSyncError, TimeoutError) as error:
            log.error("%s: a webhook was not stored: %s", name, str(error) or "not in time")
            return JSONResponse({"message": "not stored; send it again"}, 503)
        return JSONResponse({"message": "stored"})

    return [Route("/webhooks/{connection}", deliver, methods=["POST"])]


async def _read(request: Request) -> bytes:
    """The body, of which no more is read than may be."""
    body = bytearray()
    try:
        async with asyncio.timeout(READING):
            async for chunk in request.stream():
                body += chunk
                if len(body) > LARGEST:
                    raise DeliveryRejected(413, "the body is too large")
    except TimeoutError:
        raise DeliveryRejected(408, "the body did not come") from None
    except ClientDisconnect:
        raise DeliveryRejected(400, "the sender went away") from None
    return bytes(body)
