"""Alerts by webhook and by mail, for the settings that BREX_SYNC_ALERT_URLS replaces."""

import logging
import smtplib
import ssl
from email.message import EmailMessage
from functools import cache
from urllib.parse import unquote, urlsplit

from brex_sync.brex.addresses import is_here
from brex_sync.settings import Settings

log = logging.getLogger(__name__)

PATIENCE = 10.0
"""Seconds to wait for the target."""


def is_set(settings: Settings) -> bool:
    """Whether one of the settings is."""
    return bool(settings.alert_url or settings.smtp_url)


@cache
def note() -> None:
    """Says once a process which setting replaces them."""
    log.warning(
        "BREX_SYNC_ALERT_URL and BREX_SYNC_SMTP_URL are deprecated and still work: "
        "BREX_SYNC_ALERT_URLS replaces both (docs/connections.md)"
    )


def send(settings: Settings, text: str) -> bool:
    """Sends a text by webhook and by mail, as far as they are set; whether a target took it."""
    import httpx

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
    """Posts the text, and keeps the URL out of the log, where httpx writes each at level INFO."""
    import httpx

    logging.getLogger("httpx").setLevel(logging.WARNING)
    logging.getLogger("httpcore").setLevel(logging.WARNING)
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
