"""The service as one ASGI app."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute, Mount, Route

from brex_sync.guarding import guarded
from brex_sync.pages.app import PATHS, create_pages
from brex_sync.service import proxy, webhooks, workflows
from brex_sync.service.access import Direct, LocalOnly, local_token
from brex_sync.service.accounts import Accounts
from brex_sync.service.reception import WebhookReceiver
from brex_sync.service.worker import working
from brex_sync.warehouse.database import apart
from brex_sync.web.headers import ProtectingHeaders
from brex_sync.workflows import load


def create_service(accounts: Accounts) -> Starlette:
    """The app. /webhooks is open to Brex, the pages to whom the login lets in, and all else to
    programs of this machine that hold its token: no session of a browser counts there.

    Raises:
        WorkflowError: a module of workflows cannot be loaded.
        SettingsError: a token can be neither read nor made.
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
            *_pages(accounts),
            Mount("/", LocalOnly(local, local_token(accounts.settings))),
        ],
    )
    for app in (local, service):
        app.router.redirect_slashes = False
    return service


def _pages(accounts: Accounts) -> list[BaseRoute]:
    """The pages behind the login, with connections to the warehouse that no webhook waits for."""
    settings, engine = accounts.settings, apart(accounts.engine)

    async def close() -> None:
        engine.dispose()

    accounts.at_close(close)
    pages = create_pages(settings, accounts.connections, engine)
    guard = Direct(guarded(pages, settings, settings.service_port))
    return [Route(path, guard) for path in PATHS]


async def _health(request: Request) -> JSONResponse:
    return JSONResponse({"status": "up"})
