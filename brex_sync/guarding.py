"""The guard and the login of this home, by its settings, in front of every app with pages."""

from starlette.types import ASGIApp

from brex_sync.settings import Settings
from brex_sync.tokens import kept_token
from brex_sync.web.auth import Auth, Vouching, parse_networks
from brex_sync.web.guard import Guard
from brex_sync.web.hosts import Hosts, parse_hosts
from brex_sync.web.login import Login

FILE = "ui-token"


def ui_token(settings: Settings) -> str:
    """The token that people exchange for a session and scripts send; created if there is none.

    Raises:
        SettingsError: it can be neither read nor created.
    """
    return kept_token(settings.home / FILE, "but_")


def guarded(app: ASGIApp, settings: Settings, port: int) -> Guard:
    """An app for browsers, behind guard and login, served on `port` of this machine.

    All apps of one home share their sessions.

    Raises:
        SettingsError: the token can be neither read nor created.
    """
    vouching = None
    if settings.ui_auth is Auth.PROXY:
        vouching = Vouching(settings.ui_auth_header, parse_networks(settings.ui_auth_from))
    login = Login(ui_token(settings), settings.ui_auth, vouching)
    return Guard(app, Hosts(port, parse_hosts(settings.ui_hosts)), login)
