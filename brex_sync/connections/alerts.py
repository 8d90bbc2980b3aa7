"""Tells whoever watches, once per fault: by a Slack-compatible webhook, by e-mail, or both."""

import logging
import smtplib
import ssl
from email.message import EmailMessage
from urllib.parse import unquote, urlsplit

import httpx
import sqlalchemy as sa

from brex_sync.brex.addresses import is_here
from brex_sync.connections.health import Health, Level
from brex_sync.settings import Settings
from brex_sync.warehouse import credentials as table

log = logging.getLogger(__name__)

PATIENCE = 10.0
"""Seconds to wait for the target."""


def tell_once(settings: Settings, engine: sa.Engine, health: Health) -> None:
    """Sends an alert if the connection needs a person and that was not told yet.

    Only what was sent counts as told: a target that is down is tried again at the next look. A
    connection that is well again makes the next fault a new one. One that was never connected is
    nobody's fault.
    """
    if not (settings.alert_url or settings.smtp_url):
        return
    with table.alerting(engine, health.connection) as mine:
        fault = health.told if health.level is Level.ACTION else None
        if mine is None or mine[1].alerted == fault:
            return
        if fault is None or _send(settings, f"brex_sync: {health.connection}: {fault}"):
            table.change(mine[0], health.connection, alerted=fault)


def _send(settings: Settings, text: str) -> bool:
    """Whether a target took it."""
    taken = False
    try:
        if settings.alert_url:
            _post(settings.alert_url.get_secret_value(), text)
            taken = True
    except httpx.HTTPError as error:
        log.warning("the alert webhook did not take it: %s", type(error).__name__)
    try:
        if settings.smtp_url:
            _mail(settings.smtp_url.get_secret_value(), settings.alert_email or "", text)
            taken = True
    except (OSError, smtplib.SMTPException) as error:
        log.warning("the mail server did not take it: %s", type(error).__name__)
    return taken


def _post(url: str, text: str) -> None:
    httpx.post(url, json={"text": text}, timeout=PATIENCE).raise_for_status()


def _mail(url: str, recipient: str, text: str) -> None:
    """Sends by `smtps://user:password@host:465`, or `smtp://…:587` with STARTTLS if offered.

    A password goes to no other machine in the clear.
    """
    parts = urlsplit(url)
    message = EmailMessage()
    message["Subject"] = " ".join(text.partition(". ")[0].split())[:120]
    message["To"] = recipient
    message["From"] = unquote(parts.username or "") if "@" in (parts.username or "") else recipient
    message.set_content(text)
    trusted = ssl.create_default_context()
    host = parts.hostname or ""
    with (
        smtplib.SMTP_SSL(host, parts.port or 465, timeout=PATIENCE, context=trusted)
        if parts.scheme == "smtps"
        else smtplib.SMTP(host, parts.port or 587, timeout=PATIENCE)
    ) as server:
        server.ehlo()
        if server.has_extn("starttls"):
            server.starttls(context=trusted)
        elif parts.username and parts.scheme == "smtp" and not is_here(host):
            raise smtplib.SMTPException("it takes no encryption, so no password goes there")
        if parts.username:
            server.login(unquote(parts.username), unquote(parts.password or ""))
        server.send_message(message)
