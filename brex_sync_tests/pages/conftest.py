"""The service with its pages on a port, before marts that are made by hand."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
import sqlalchemy as sa

from brex_sync.connections.declared import Connection
from brex_sync.guarding import ui_token
from brex_sync.http_server import bind, running_on, url_of
from brex_sync.service.accounts import Accounts
from brex_sync.service.app import create_service
from brex_sync.settings import Configuration, Settings
from brex_sync.warehouse.database import open_engine
from brex_sync_tests.waiting import HANGS

MARTS = Path(__file__).with_name("marts.sql").read_text()


class Shown(HTMLParser):
    """A page as a browser has it: its texts, its elements, and where its links lead."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.links: dict[str, str] = {}
        self._href: str | None = None
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "a":
            self._href = dict(attrs).get("href")

    def handle_endtag(self, tag: str) -> None:
        if tag == "a":
            self._href = None

    def handle_data(self, data: str) -> None:
        if text := data.strip():
            self.texts.append(text)
            if self._href is not None:
                self.links.setdefault(text, self._href)

    @property
    def text(self) -> str:
        return " ".join(self.texts)


@dataclass
class Visit:
    """The service, and a browser of somebody who is logged in."""

    url: str
    browser: httpx.Client
    settings: Settings
    engine: sa.Engine

    def get(self, path: str = "/", **parameters: Any) -> httpx.Response:
        return self.browser.get(path, params=parameters or None)

    def page(self, path: str = "/", **parameters: Any) -> Shown:
        answer = self.get(path, **parameters)
        assert answer.status_code == 200, answer.text
        return Shown(answer.text)


@contextmanager
def visiting(engine: sa.Engine, home: Path, **more: Any) -> Iterator[Visit]:
    listener = bind(0)
    settings = Settings(
        _env_file=None,
        BREX_SYNC_HOME=home,
        BREX_SYNC_SERVICE_PORT=listener.getsockname()[1],
        BREX_SYNC_SERVICE_TOKEN="bst_for_programs_of_this_machine",
        **more,
    )
    names = ("brex", "brex_uk")
    connections = {
        n: Connection(n, Configuration.SANDBOX, "http://127.0.0.1:1", token="x") for n in names
    }
    url = url_of(listener)
    app = create_service(Accounts(settings, engine, connections))
    with running_on(app, listener), httpx.Client(base_url=url, timeout=HANGS) as browser:
        browser.get("/", params={"token": ui_token(settings)})
        yield Visit(url, browser, settings, engine)


@pytest.fixture(scope="module")
def standing_visit(server: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visit]:
    """One for all tests of a module that change nothing."""
    with psycopg.connect(server.url("postgres"), autocommit=True) as db:
        db.execute("CREATE DATABASE visits TEMPLATE prepared STRATEGY file_copy")
        make_marts(server.url("visits"))
        engine = open_engine(server.url("visits"))
        with visiting(engine, tmp_path_factory.mktemp("home")) as opened:
            yield opened
        engine.dispose()
        db.execute("DROP DATABASE visits WITH (FORCE)")


@pytest.fixture
def visit(standing_visit: Visit) -> Visit:
    return standing_visit


@pytest.fixture
def new_visit(engine: sa.Engine, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Opens the service before a warehouse of its own, without marts."""
    with visiting(engine, tmp_path) as opened:
        yield opened


def make_marts(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as db:
        db.execute(MARTS.encode())
