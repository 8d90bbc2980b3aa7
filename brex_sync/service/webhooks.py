"""POST /webhooks/{connection}: the only path meant for the internet."""

import asyncio
import logging

import sqlalchemy as sa
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from brex_sync.connections.vault import VaultError
from brex_sync.service.reception import Reception
from brex_sync.warehouse import faults
from brex_sync.webhooks.verify import LARGEST, Refused

log = logging.getLogger(__name__)

READING = 10.0
"""Seconds a sender has to send its body."""
STORING = 20.0
"""Seconds after which the sender is told to repeat."""


def routes(reception: Reception) -> list[BaseRoute]:
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
        except Refused as refused:
            reception.refuse(name, refused)
            return JSONResponse({"message": refused.reason}, refused.status)
        except (sa.exc.SQLAlchemyError, TimeoutError, VaultError) as error:
            log.error("%s: a webhook was not stored: %s", name, _first_line(error))
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
                    raise Refused(413, "the body is too large")
    except TimeoutError:
        raise Refused(408, "the body did not come") from None
    except ClientDisconnect:
        raise Refused(400, "the sender went away") from None
    return bytes(body)


def _first_line(error: Exception) -> str:
    said = faults.sentence(error) if isinstance(error, sa.exc.SQLAlchemyError) else str(error)
    return said or type(error).__name__
