"""The page, its rows and its downloads, for people in a browser who are logged in."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

import sqlalchemy as sa
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response, StreamingResponse
from starlette.routing import Route

from brex_sync.connections.declared import Connection
from brex_sync.errors import BadFilter, BrexSyncError, NoSuchPage
from brex_sync.marts import questions
from brex_sync.marts import rows as mart_rows
from brex_sync.marts.reader import columns_of, filled_marts, read_only
from brex_sync.pages import csv_file, rows_page
from brex_sync.pages.context import PageContext
from brex_sync.pages.filters import Filters, parse
from brex_sync.pages.freshness import FreshnessKeeper
from brex_sync.pages.links import PageLinks
from brex_sync.pages.overview import all_panels, choices, overview
from brex_sync.pages.panels import PANELS, build
from brex_sync.pages.rendering import render, stylesheet
from brex_sync.pages.rowset import RowsAddress, parse_rows
from brex_sync.settings import Settings
from brex_sync.web.auth import Auth
from brex_sync.web.hosts import LOOPBACK, Host
from brex_sync.web.login import LOGIN, LOGOUT

PATHS = ("/", "/page.css", "/panels/{panel}.csv", "/rows/{mart}.csv", "/rows/{mart}", LOGIN, LOGOUT)
"""What a browser asks for: these paths belong behind the login, the last two to it."""
_POLICY = "default-src 'none'; style-src 'self'; form-action 'self'"
_PRIVATE = {"Cache-Control": "no-store", "Content-Security-Policy": _POLICY}


def create_pages(
    settings: Settings, connections: Mapping[str, Connection], engine: sa.Engine
) -> Starlette:
    """The pages as an ASGI app that changes nothing; to be put behind the guard."""
    pages = Pages(settings, connections, engine, FreshnessKeeper(settings, connections, engine))
    app = Starlette(
        routes=[
            Route("/", pages.home),
            Route("/page.css", _style),
            Route("/panels/{panel}.csv", pages.panel),
            Route("/rows/{mart}.csv", pages.download),
            Route("/rows/{mart}", pages.rows),
        ],
        exception_handlers={
            BadFilter: partial(_told, 400, "That cannot be shown"),
            NoSuchPage: partial(_told, 404, "There is nothing here"),
            BrexSyncError: partial(_told, 503, "The numbers cannot be read now"),
            404: _missing,
        },
    )
    app.router.redirect_slashes = False
    return app


@dataclass(frozen=True)
class Pages:
    """Answers in threads, each in a transaction of its own."""

    settings: Settings
    connections: Mapping[str, Connection]
    engine: sa.Engine
    freshness: FreshnessKeeper

    def home(self, request: Request) -> Response:
        """The page."""
        with self._read(request) as (context, filters):
            offered = choices(context, filters, list(self.connections))
            connection = self.connections[filters.connection]
            page = overview(context, connection, all_panels(context), offered)
        return _page("overview.html", page=page, links=self._elsewhere(context), all=False)

    def panel(self, request: Request) -> Response:
        """A panel's table as CSV."""
        key = request.path_params["panel"]
        if key not in PANELS:
            raise NoSuchPage(f"No panel is called {key!r}.")
        with self._read(request) as (context, _):
            table = build(context, key).table
        if table is None:
            raise NoSuchPage(f"The panel {key!r} has no table now.")
        return _csv(f"{context.question.connection}-{key}", csv_file.of_table(table))

    def rows(self, request: Request) -> Response:
        """A page of a mart's rows."""
        with read_only(self.engine) as db:
            address = self._address(request, db)
            values = rows_page.values(db, address, request.query_params.multi_items())
        return _page("rows.html", **values)

    def download(self, request: Request) -> Response:
        """All rows of a mart that fit, with every column, as CSV."""
        with read_only(self.engine) as db:
            wanted = self._address(request, db).rows
        rows = mart_rows.all_rows(self.engine, wanted)
        name = f"{wanted.connection}-{wanted.mart}"
        return _csv(name, csv_file.written(wanted.columns, rows))

    @contextmanager
    def _read(self, request: Request) -> Iterator[tuple[PageContext, Filters]]:
        """What the address asks for, in one state of the warehouse.

        Freshness is asked before, as a request that has a connection must not wait for another.
        """
        name = self._connection(request)
        freshness = self.freshness.of(name)
        with read_only(self.engine) as db:
            today = questions.today(db)
            filters = parse(request.query_params.multi_items(), list(self.connections), today)
            links = PageLinks(filters, today, self._ui(request))
            marts = filled_marts(db, name)
            question = filters.question(today)
            yield PageContext(db, question, links, marts, today, freshness), filters

    def _address(self, request: Request, db: sa.Connection) -> RowsAddress:
        name, mart = self._connection(request), request.path_params["mart"]
        if mart not in filled_marts(db, name):
            raise NoSuchPage(f"No mart of {name} is called {mart!r}, or it is not filled yet.")
        columns = columns_of(db, name, mart)
        return parse_rows(name, mart, columns, request.query_params.multi_items())

    def _connection(self, request: Request) -> str:
        """The connection that the address names, or the first."""
        asked = [(n, v) for n, v in request.query_params.multi_items() if n == "connection"]
        return parse(asked, list(self.connections), datetime.now(UTC).date()).connection

    def _ui(self, request: Request) -> str | None:
        """Where Dagster's UI is for who reached us under this name; None for another's."""
        host = Host.parse(request.headers["host"])
        if host is None or host.name not in LOOPBACK:
            return None
        return f"http://{host.name}:{self.settings.ui_port}"

    def _elsewhere(self, context: PageContext) -> list[tuple[str, str]]:
        found = []
        if ui := context.links.dagster("/"):
            found.append(("Dagster", ui))
        if self.settings.ui_auth is Auth.TOKEN:
            found.append(("Log out", LOGIN))
        return found


def _page(template: str, status: int = 200, **values: Any) -> HTMLResponse:
    title = values.pop("title", None) or values["page"].title
    html = render(template, title=title, style=None, **values)
    return HTMLResponse(html, status, _PRIVATE)


def _csv(name: str, parts: Iterator[str]) -> StreamingResponse:
    disposition = {"Content-Disposition": f'attachment; filename="{name}.csv"'}
    return StreamingResponse(parts, 200, {**_PRIVATE, **disposition}, "text/csv; charset=utf-8")


def _style(request: Request) -> Response:
    return Response(stylesheet(), 200, {"Cache-Control": "no-cache"}, "text/css")


def _told(status: int, title: str, request: Request, error: Exception) -> Response:
    sentence = error.sentence if isinstance(error, BrexSyncError) else str(error)
    return _page("message.html", status, title=title, sentence=sentence)


def _missing(request: Request, error: Exception) -> Response:
    return _page(
        "message.html", 404, title="There is nothing here", sentence="No page has this address."
    )
