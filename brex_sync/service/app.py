"""The service as one ASGI app."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route

from brex_sync.service import proxy, webhooks, workflows
from brex_sync.service.access import LocalOnly, local_token
from brex_sync.service.accounts import Accounts
from brex_sync.service.reception import WebhookReceiver
from brex_sync.service.worker import working
from brex_sync.web.headers import ProtectingHeaders
from brex_sync.workflows import load


def create_service(accounts: Accounts) -> Starlette:
    """The app. What is for this machine alone is behind its token; /webhooks is open to Brex.

    Raises:
        WorkflowError: a module of workflows cannot be loaded.
    """

    reception = WebhookReceiver(accounts)
    known = load(accounts.settings.workflow_modules)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with accounts, working(reception, known):
            yield

    local = Starlette(routes=[*proxy.routes(accounts), *workflows.routes(accounts, known)])
    service = Starlette(
        lifespan=lifespan,
        middleware=[Middleware(ProtectingHeaders)],
        routes=[
            Route("/health", _health),
            *webhooks.routes(reception),
            Mount("/", LocalOnly(local, local_token(accounts.settings))),
        ],
    )
    for app in (local, service):
        app.router.redirect_slashes = False
    return service


async def _health(request: Request) -> JSONResponse:
    return JSONResponse({"status": "up"})
